"""The soft plant, in clear and encrypted, for foreign clients, and what they say to it as text."""

import contextlib
import re
from pathlib import Path

import pytest
import pytest_asyncio

from controller.opcua.pki import Folder, wish
from plant_sim.opcua.methods import METHODS
from plant_sim.unit.tag_table import FOLDERS, TAGS
from tests.interop.clients.capture import Capture
from tests.support.soft_plant import Plant

INDEX = 2
"""Of the plant's namespace."""
NODES = {
    path: f"ns={INDEX};i={number}"
    for path, number in (
        *FOLDERS.items(),
        *((tag.path, tag.number) for tag in TAGS),
        *((method.path, method.number) for method in METHODS),
    )
}


class Identity:
    """A client's application: URI, certificate, key; trusted by whom `meet` introduces it to."""

    def __init__(self, folder, uri):
        self.uri = uri
        self.folder = Folder(folder)
        self.folder.init(wish(uri=uri, given=(), days=2), 2048)

    def meet(self, plant):
        Folder(plant.pki).trust(self.folder.own())


@pytest.fixture(scope="session")
def nodes():
    """Browse path -> node id, as text."""
    return NODES


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plant(tmp_path_factory):
    """A soft plant in clear."""
    running = Plant(tmp_path_factory.mktemp("clear"))
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def encrypting(tmp_path_factory):
    """A soft plant that encrypts."""
    running = Plant(tmp_path_factory.mktemp("encrypting"), secure=True)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture(scope="session")
def plant_class():
    """For tests that need a plant of their own."""
    return Plant


@pytest.fixture(scope="session")
def make_identity(tmp_path_factory, encrypting):
    """A client that the encrypting plant trusts: make_identity(uri)."""

    def make(uri):
        identity = Identity(tmp_path_factory.mktemp("identity") / "pki", uri)
        identity.meet(encrypting)
        return identity

    return make


@pytest.fixture(scope="session")
def captures(request, tmp_path_factory):
    """Folder of the captured exchanges."""
    asked = request.config.getoption("--captures")
    folder = Path(asked).absolute() if asked else tmp_path_factory.mktemp("captures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def captured(captures):
    """Relay to an endpoint and write down what is said: async with captured(endpoint, name)."""

    @contextlib.asynccontextmanager
    async def capture(endpoint, name):
        file = captures / f"{name}.txt"
        file.write_text("", encoding="utf-8")
        async with Capture(endpoint, file) as relay:
            relay.file = file
            yield relay

    return capture


def services(file):
    """The names of the services in a captured exchange."""
    return set(re.findall(r"MSG . +\d+ (\w+)$", file.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.fixture(scope="session")
def services_in():
    return services
