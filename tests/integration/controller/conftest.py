"""A foreign vendor's server, in process, over real loopback OPC UA.

Other node ids (strings), other units (degC, percent of span, g/L), no interface block unless asked
for, other namespace index at every start.
"""

import asyncio
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from asyncua import Server, ua

from controller.configuration.binding import bind
from controller.configuration.tags import parse_tags
from controller.metrics import Labelling, Metrics
from controller.opcua.connection import Wanted
from controller.opcua.endpoint import Endpoint
from controller.opcua.link import Link, LinkOptions
from controller.opcua.outbound import Ownership

URI = "urn:vendor:plc7"

TAGS = {
    "schema": 1,
    "namespaces": {"plc": URI},
    "cv": {
        "PolymerConc": {
            "pv": "plc:s=AI_4711.PV",
            "sp": "plc:s=AIC_4711.SP",
            "unit": "g/L",
            "range": [0.0, 400.0],
        },
        "Temperature": {
            "pv": f"nsu={URI};s=TI_101.PV",
            "sp": "plc:s=TIC_101.SP",
            "unit": "degC",
            "range": [0.0, 150.0],
        },
    },
    "mv": {
        "InitiatorFeed": {
            "target": "plc:s=FIC_12.RSP",
            "actual": "plc:s=FIC_12.OUT",
            "unit": "percent",
            "span": [0.0, 2.5],
            "range": [0.0, 100.0],
            "max_move": 20.0,
        },
        "CoolantTemperature": {
            "target": "plc:s=TIC_77.RSP",
            "actual": "plc:s=TIC_77.OUT",
            "unit": "degC",
            "range": [26.85, 76.85],
            "max_move": 10.0,
        },
    },
    "dv": {"MonomerConc": {"pv": "plc:s=AI_4710.PV", "unit": "g/L", "range": [0.0, 1000.0]}},
}

BLOCK = {
    "heartbeat_in": "plc:s=APC.HB_IN",
    "heartbeat_out": "plc:s=APC.HB_OUT",
    "request": "plc:s=APC.REQUEST",
    "mode": "plc:s=APC.MODE",
}

DOUBLES = {
    "AI_4711.PV": 102.0,
    "AIC_4711.SP": 100.0,
    "TI_101.PV": 76.5,
    "TIC_101.SP": 76.85,
    "FIC_12.OUT": 40.0,
    "FIC_12.RSP": 40.0,
    "TIC_77.OUT": 60.0,
    "AI_4710.PV": 420.0,
    "SIM.SPEED": 3000.0,
}
SINGLES = {"TIC_77.RSP": 60.0}
BLOCK_VALUES = {
    "APC.HB_IN": 0,
    "APC.HB_OUT": 0,
    "APC.REQUEST": True,
    "APC.MODE": 0,
    "APC.NOTE": "",
}
WRITABLE = ("FIC_12.RSP", "TIC_77.RSP", "APC.HB_IN", "APC.REQUEST")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ForeignPlant:
    """The vendor's server; may be stopped and started again on the same port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"opc.tcp://127.0.0.1:{port}/plc"
        self.nodes = {}
        self.index = 0
        self._server = None

    async def start(self, *, other_namespaces: int = 1) -> None:
        server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for number in range(other_namespaces):
            await server.register_namespace(f"urn:vendor:other{number}")
        self.index = await server.register_namespace(URI)
        folder = await server.nodes.objects.add_folder(
            self._id("PLC"), ua.QualifiedName("PLC", self.index)
        )
        self.nodes = {}
        for name, value in DOUBLES.items():
            await self._add(folder, name, value, ua.VariantType.Double)
        for name, value in SINGLES.items():
            await self._add(folder, name, value, ua.VariantType.Float)
        kinds = dict(
            zip(BLOCK_VALUES, ("UInt16", "UInt32", "Boolean", "Int32", "String"), strict=True)
        )
        for name, value in BLOCK_VALUES.items():
            await self._add(folder, name, value, ua.VariantType[kinds[name]])
        for name in WRITABLE:
            await self.nodes[name].set_writable()
        await server.start()
        self._server = server

    def _id(self, name: str) -> ua.NodeId:
        return ua.NodeId(name, self.index)

    async def _add(self, folder, name, value, kind) -> None:
        qualified = ua.QualifiedName(name, self.index)
        self.nodes[name] = await folder.add_variable(
            self._id(name), qualified, value, varianttype=kind
        )

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None
            await asyncio.sleep(0)

    async def put(self, name: str, value, *, status=None, source_time=None) -> None:
        kind = await self.nodes[name].read_data_type_as_variant_type()
        code = ua.StatusCode(status if status is not None else ua.StatusCodes.Good)
        await self.nodes[name].write_value(
            ua.DataValue(
                ua.Variant(value, kind),
                StatusCode=code,
                SourceTimestamp=source_time or datetime.now(UTC),
            )
        )

    async def reset(self) -> None:
        if self._server is None:
            await self.start()
        for name, value in {**DOUBLES, **SINGLES, **BLOCK_VALUES}.items():
            await self.put(name, value)
        for name in WRITABLE:
            await self.nodes[name].set_writable()

    async def get(self, name: str):
        return await self.nodes[name].read_value()


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
