"""One event loop moves the plant and serves everybody: disks and other threads keep off it."""

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
import threading
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import Client, ua

from plant_sim.history import HistoryStore
from plant_sim.opcua import trend_recorder
from plant_sim.opcua.area import PlantArea
from plant_sim.opcua.history_recorder import HistoryRecorder
from plant_sim.opcua.server import PlantServer
from plant_sim.opcua.trend_recorder import TrendRecorder
from plant_sim.opcua.users import RoleUsers
from plant_sim.plant import PlantOptions
from plant_sim.trend import TrendFile
from plant_sim.unit.handshake import Handshake
from plant_sim.unit.reactor_unit import ReactorUnit
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import NAMESPACE, Role
from tests.support.waiting import until

TAG = {tag.path: tag for tag in TAGS}
BEAT, SP = "APC/HeartbeatOut", "R101/SP/Temperature"
PASSWORD = "only-for-this-test"  # noqa: S105
TICKS, ROW_BYTES = 20, 500


class HangingDisk(HistoryStore):
    """A disk that answers when it is let go, at the latest after some seconds."""

    def __init__(self):
        super().__init__(None, retention_s=1e10, max_values=10**6)
        self.reached, self.go = threading.Event(), threading.Event()
        self.answers = []

    def write(self, samples, now_us):
        self.reached.set()
        self.answers.append(self.go.wait(20.0))
        super().write(samples, now_us)


@contextlib.asynccontextmanager
async def serving(store, trend=None):
    """A plant in this process, its history in `store`."""
    unit = ReactorUnit(
        scenario="startup",
        seed=0,
        options=PlantOptions(),
        hand=Handshake(),
        speed=3000.0,
        trend=trend,
    )
    history = HistoryRecorder(store, interval_s=0.05)
    users = RoleUsers({"operator": (Role.OPERATOR, PASSWORD)})
    server = PlantServer(unit, users, host="127.0.0.1", port=0, history=history, trend=trend)
    area = PlantArea([server], tick_s=0.01)
    await area.start()
    try:
        yield server
    finally:
        await area.stop()
        history.close()


@contextlib.asynccontextmanager
async def operating(server):
    """An operator's session: a function from the path of a tag to its node."""
    client = Client(server.endpoint, timeout=10)
    client.set_user("operator")
    client.set_password(PASSWORD)
    async with client:
        index = await client.get_namespace_index(NAMESPACE)
        yield lambda path: client.get_node(ua.NodeId(TAG[path].number, index))


async def test_a_disk_that_hangs_holds_up_no_tick_and_no_other_client():
    store = HangingDisk()
    async with serving(store) as server, operating(server) as node, operating(server) as other:

        async def reached():
            return store.reached.is_set()

        await until(reached)
        beat = await node(BEAT).read_value()

        async def beaten():
            return await node(BEAT).read_value() >= beat + TICKS

        await until(beaten)
        await node(SP).write_value(ua.DataValue(ua.Variant(341.5, ua.VariantType.Double)))
        now = datetime.now(UTC)
        asked = asyncio.create_task(
            other(SP).read_raw_history(now - timedelta(hours=1), now, return_bounds=False)
        )
        beat += TICKS
        await until(beaten)
        assert not asked.done(), "who asks for the history waits for the disk"
        store.go.set()
        assert (await asked)[-1].Value.Value == 341.5
    assert all(store.answers), "the event loop itself waited, and nobody was left to let it go"


async def test_a_trend_file_that_hangs_holds_up_no_tick_and_no_client(tmp_path):
    path = tmp_path / "trend.csv"
    os.mkfifo(path)  # a file that takes one page and then makes its writer wait
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    size = fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    trend = TrendRecorder(TrendFile(path))
    os.read(reader, size)  # the header
    rescued = threading.Event()

    def drain():  # where the event loop itself waits, nobody else would let it go
        rescued.set()
        os.set_blocking(reader, True)
        while os.read(reader, size):
            pass

    rescue = threading.Timer(20.0, drain)
    rescue.start()
    store = HistoryStore(None, retention_s=1e10, max_values=1000)
    try:
        async with serving(store, trend) as server, operating(server) as node:

            async def full():
                (held,) = struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))
                return held > size - ROW_BYTES

            await until(full)
            beat = await node(BEAT).read_value()

            async def beaten():
                return await node(BEAT).read_value() >= beat + TICKS

            await until(beaten)
            await node(SP).write_value(ua.DataValue(ua.Variant(341.5, ua.VariantType.Double)))
            assert not rescued.is_set(), "the event loop waited too"
            assert trend.failure == ""
            rescue.cancel()
    finally:
        if not rescued.is_set():
            os.close(reader)
        trend.close()
    assert "Broken pipe" in trend.failure


def test_a_trend_with_a_gap_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(trend_recorder, "MAX_PENDING", 3)
    trend = TrendRecorder(TrendFile(tmp_path / "trend.csv"))
    unit = ReactorUnit(
        scenario="startup",
        seed=0,
        options=PlantOptions(),
        hand=Handshake(),
        speed=1.0,
        trend=trend,
    )
    unit.advance(600.0, 0.0)
    assert trend.failure == "the disk does not keep up"
    trend.close()
    assert len(trend.path.read_text().splitlines()) == 1


async def test_another_thread_cannot_touch_the_plant():
    store = HistoryStore(None, retention_s=1e10, max_values=1000)
    async with serving(store) as server, operating(server) as node:
        with pytest.raises(RuntimeError, match="another thread"):
            await asyncio.to_thread(asyncio.run, server.show())
        for attempt in (
            lambda: server.write(TAG[SP], 341.5, "nobody"),
            lambda: asyncio.run(elsewhere(server)),
        ):
            with pytest.raises(RuntimeError):
                await asyncio.to_thread(attempt)
        assert await node(SP).read_value() != 341.5
        beat = await node(BEAT).read_value()

        async def beaten():
            return await node(BEAT).read_value() > beat

        await until(beaten)


async def elsewhere(server):
    server.write(TAG[SP], 341.5, "nobody")
