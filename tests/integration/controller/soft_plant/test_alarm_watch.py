"""The number of the plant's alarms over OPC UA, with the soft plant in this process, where its
subscriptions can be reached.
"""

import asyncio
from time import monotonic

import pytest
import pytest_asyncio
from asyncua import ua

from controller.opcua.alarm_watch import AlarmWatch
from controller.opcua.subscription import SILENT_KEEPALIVES, SILENT_S
from plant_sim.history import HistoryStore
from plant_sim.opcua.area import PlantArea
from plant_sim.opcua.history_recorder import HistoryRecorder
from plant_sim.opcua.server import PlantServer
from plant_sim.opcua.users import load_users
from plant_sim.plant import PlantOptions
from plant_sim.unit.handshake import Handshake
from plant_sim.unit.reactor_unit import ReactorUnit

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD_PV = "medium", "unacknowledged"


class Clock:
    """The time, and as much more as it is told."""

    def __init__(self):
        self.ahead_s = 0.0

    def __call__(self):
        return monotonic() + self.ahead_s


@pytest_asyncio.fixture(loop_scope="module")
async def inside(plant_class, tmp_path):
    """A plant to log in to, and the core of its server."""
    plant = plant_class(tmp_path)
    users = load_users(tmp_path / "users.toml")
    unit = ReactorUnit(
        scenario="grade_up", seed=0, options=PlantOptions(), hand=Handshake(), speed=300.0
    )
    store = HistoryStore(None, retention_s=3600.0, max_values=1000)
    history = HistoryRecorder(store, interval_s=1.0)
    server = PlantServer(unit, users, host="127.0.0.1", port=0, history=history)
    area = PlantArea([server], tick_s=0.05)
    await area.start()
    try:
        (plant.url,) = area.endpoints
        yield plant, server._core
    finally:
        await area.stop()


async def until(watch, wanted, seconds=15.0):
    async with asyncio.timeout(seconds):
        while not wanted(await watch.counts()):  # noqa: ASYNC110 - it is to be asked
            await asyncio.sleep(0.05)


async def test_a_dropped_subscription_is_unknown_and_then_made_anew(inside):
    plant, core = inside
    async with plant.login("engineer") as engineer, plant.login("apc") as apc:
        kinds = ua.VariantType.String, ua.VariantType.Double
        name, kind = (ua.Variant(text, kinds[0]) for text in ("MonomerConc", "bad_quality"))
        size, length = (ua.Variant(number, kinds[1]) for number in (0.0, 1e6))
        await engineer.call("Sim/InjectFault", name, kind, size, length)
        clock = Clock()
        watch = AlarmWatch(apc._client.uaclient.session, clock=clock)
        await until(watch, lambda counts: counts and counts[BAD_PV] == 1)
        service = core.subscription_service
        (own,) = service.subscriptions
        await service.delete_subscriptions([own])
        clock.ahead_s = 2.0 * SILENT_KEEPALIVES * SILENT_S
        assert await watch.counts() is None
        await until(watch, lambda counts: counts and counts[BAD_PV] == 1)
        assert own not in service.subscriptions
        assert len(service.subscriptions) == 1
