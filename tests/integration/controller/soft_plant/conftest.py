"""The controller and the soft plant as two real processes, and an operator between them."""

from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.controllers import Controller
from tests.support.soft_plant import Plant


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant_process(tmp_path_factory):
    """One soft plant a module: starting one takes seconds."""
    plant = Plant(tmp_path_factory.mktemp("plant"))
    await plant.start()
    yield plant
    await plant.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def soft_plant(plant_process):
    """The soft plant at the start of a new episode, and nobody's lease on it."""
    if not plant_process.process.running:
        await plant_process.start()
    async with plant_process.login("engineer") as engineer:
        await engineer.wait("APC/LeaseOwner", "", seconds=10.0)
        await engineer.reset("startup")
    return plant_process


@pytest_asyncio.fixture(loop_scope="module")
async def controller(tmp_path, soft_plant):
    """A running controller of the soft plant."""
    running = Controller(tmp_path)
    running.configure(soft_plant.url, soft_plant.password("apc"))
    await running.start()
    yield running
    if running.process.running:
        await running.process.end()


@pytest_asyncio.fixture(loop_scope="module")
async def operator(soft_plant):
    """The operator, logged in."""
    async with soft_plant.login("operator") as session:
        yield session


@pytest.fixture
def make_controller(tmp_path):
    """Controllers that are not started yet; killed at the end if they still run."""
    made: list[Controller] = []

    def make(folder: Path = tmp_path, **changes) -> Controller:
        made.append(Controller(folder, **changes))
        return made[-1]

    yield make
    for item in made:
        if item.process is not None and item.process.running:
            item.process.kill()


@pytest.fixture(scope="module")
def plant_class():
    """For tests that need a plant of their own kind."""
    return Plant
