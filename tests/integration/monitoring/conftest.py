"""A soft plant, two controllers, and the real Prometheus and Alertmanager that watch them.

All are processes; one set serves every test of the folder.
"""

import signal

import pytest
import pytest_asyncio
from asyncua import ua

from tests.integration.monitoring.controllers import PERIOD_S, POLICY, SLOW_PERIOD_S, Controller
from tests.integration.monitoring.plant import LONG_DAYS, SHORT_DAYS, Plant, certified
from tests.integration.monitoring.watchers import Watchers
from tests.support.controllers import fetched
from tests.support.soft_plant import SPEED
from tests.support.waiting import until_told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watchers(tmp_path_factory):
    found = Watchers(tmp_path_factory.mktemp("watchers"))
    try:
        await found.start()
        yield found
    finally:
        found.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant(tmp_path_factory):
    served = Plant(tmp_path_factory.mktemp("plant"))
    try:
        await served.start()
        yield served
    finally:
        if served.process is not None:
            served.process.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def first(watchers, plant, tmp_path_factory):
    """R101: the bundle's own policy, a certificate of a year."""
    made = Controller(tmp_path_factory.mktemp("first"), "R101")
    made.configure(plant, 0, certified(plant, made.folder / "pki", LONG_DAYS))
    try:
        await made.start()
        await watchers.scrape(made)
        yield made
    finally:
        if made.process is not None:
            made.process.end(signal.SIGINT)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second(watchers, plant, first, tmp_path_factory):
    """R102: a policy of one's own that can be made slow, a certificate of two days."""
    made = Controller(tmp_path_factory.mktemp("second"), "R102")
    (made.folder / "slow_policy.py").write_text(POLICY)
    policy = '[policy]\nfactory = "slow_policy:make"\ntimeout_s = 0.499\n'
    pki = certified(plant, made.folder / "pki", SHORT_DAYS)
    made.configure(plant, 1, pki, policy, period_s=SLOW_PERIOD_S)
    try:
        async with plant.login("engineer", 1) as engineer:
            slower = SPEED * PERIOD_S / SLOW_PERIOD_S
            await engineer.put("Sim/Speed", slower, ua.VariantType.Double)
        await made.start()
        await watchers.scrape(first, made)
        yield made
    finally:
        if made.process is not None:
            made.process.end(signal.SIGINT)


@pytest.fixture(scope="module")
def fetch():
    """The text at an address."""
    return fetched


@pytest.fixture(scope="module")
def wait_until():
    """Waits until a function is true."""
    return until_told


@pytest.fixture(scope="module")
def certify():
    """Makes a folder of certificates that the plant trusts."""
    return certified
