"""The foreign plant of `foreign_plant.py`, links to it, and services on it."""

import tomllib
from dataclasses import dataclass

import pytest
import pytest_asyncio

from controller.configuration.binding import bind
from controller.configuration.tags import parse_tags
from controller.metrics import Labelling, Metrics
from controller.opcua.connection import Wanted
from controller.opcua.endpoint import Endpoint
from controller.opcua.lease import Ownership
from controller.opcua.link import Link, LinkOptions
from tests.integration.controller.foreign_plant import BLOCK, FOREIGN_TAGS, URI, ForeignPlant
from tests.integration.controller.service_rig import Rig
from tests.support.lines import no_fault
from tests.support.processes import free_port

TAGS = tomllib.loads(FOREIGN_TAGS)
TAGS["cv"]["Temperature"]["pv"] = f"nsu={URI};s=TI_101.PV"  # the other way to name a namespace


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def foreign_server():
    """One server a module: starting one takes more than a second."""
    server = ForeignPlant(free_port())
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def plant(foreign_server):
    """The foreign server with an interface block, every value as at its start."""
    await foreign_server.reset()
    return foreign_server


@dataclass(frozen=True)
class Variable:
    name: str
    unit: str
    low: float
    high: float


class PolymerManifest:
    """What `bind` needs of a manifest."""

    cvs = (Variable("PolymerConc", "kg/m3", 0, 400), Variable("Temperature", "K", 280, 400))
    mvs = (
        Variable("InitiatorFeed", "kg/h", 0.0, 2.5),
        Variable("CoolantTemperature", "K", 300.0, 350.0),
    )
    dvs = (Variable("MonomerConc", "kg/m3", 0.0, 1000.0),)


def make_metrics() -> Metrics:
    return Metrics(
        Labelling(
            cvs=[("PolymerConc", "kg/m3"), ("Temperature", "K")],
            mvs=[("InitiatorFeed", "kg/h"), ("CoolantTemperature", "K")],
            tags=[],
            modes=["INIT"],
            outcomes=[],
            refusals=[],
            period_s=0.1,
            deadline_s=0.05,
            version="0",
            model_name="m",
            model_version="1",
            model_sha256="0",
        )
    )


@pytest.fixture
def mv_tags():
    """The MV tables, to be changed."""
    return {name: dict(entry) for name, entry in TAGS["mv"].items()}


@pytest.fixture
def make_link(plant):
    """Builds links to the foreign plant; block=False: as if it had no interface block."""

    def build(*, block: bool = True, read_only: bool = False, url: str | None = None, **changes):
        data = {**TAGS, "handshake": BLOCK if block else {}}
        tags = parse_tags({**data, **changes}, file="tags.toml")
        references = tags.references()
        written = [] if read_only else [key for key in references if key.endswith(".target")]
        if block and not read_only:
            written += ["handshake.heartbeat_in", "handshake.request"]
            written += [key for key in references if key.startswith("diagnostics.")]
        if tags.handshake.mode_on_shed is not None and not read_only:
            written.append("handshake.mode")
        return Link(
            endpoint=Endpoint(
                url=url or plant.url, user=None, password=None, connect_timeout_s=3.0
            ),
            wanted=Wanted(
                references=references,
                methods=tags.methods(),
                read=[key for key in references if key != "handshake.heartbeat_in"],
                written=written,
                targets=[key for key in written if key.endswith(".target")],
                publishing_s=0.05,
            ),
            binding=bind(tags, PolymerManifest(), file="tags.toml"),
            options=LinkOptions(
                read_only=read_only,
                request_timeout_s=0.5,
                reconnect_max_s=1.0,
                ownership=Ownership(owner="test", lease_ttl_s=10.0),
            ),
            metrics=make_metrics(),
        )

    return build


@pytest_asyncio.fixture(loop_scope="module")
async def link(make_link):
    """An open link."""
    opened = make_link()
    assert await opened.open(no_fault) is None
    yield opened
    await opened.close()


@pytest.fixture
def cv_tags():
    """The CV tables, to be changed."""
    return {name: dict(entry) for name, entry in TAGS["cv"].items()}


@pytest_asyncio.fixture(loop_scope="module")
async def rig(tmp_path, plant, capfd):  # noqa: ARG001 - capfd keeps the ready line out of the report
    """A service that is not started yet."""
    made = Rig(tmp_path, plant)
    yield made
    if made.task is not None and not made.task.done():
        await made.stop()
