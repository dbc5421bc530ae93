import math
import sqlite3
import threading
from datetime import timedelta

import pytest

from plant_sim.history import HistoryStore, Sample
from plant_sim.opcua.history_recorder import EPOCH, HistoryRecorder, microseconds
from plant_sim.unit.tag_table import TAGS

TAG = {tag.path: tag for tag in TAGS}
PV, TARGET = TAG["R101/PV/Temperature"], TAG["R101/MV/InitiatorFeed/Target"]
GOOD, BAD = 0, 0x808C0000


def at(seconds):
    return EPOCH + timedelta(seconds=seconds)


@pytest.fixture
def recorder():
    made = HistoryRecorder(HistoryStore(None, retention_s=1e10, max_values=10**6), interval_s=1.0)
    yield made
    made.close()


async def stored(recorder, tag):
    found = await recorder.read(lambda store: store.read(tag.number, 0, 10**18, 1000))
    return [(one.time_us / 1e6, one.value, one.status) for one in found]


def test_microseconds_are_exact():
    later = timedelta(days=20_000, microseconds=1)
    assert microseconds(EPOCH + later) == 20_000 * 86_400_000_000 + 1


async def test_a_scanned_tag_is_taken_once_an_interval_and_when_its_status_changes(recorder):
    for tick in range(50):
        status, value = (BAD, None) if 18 <= tick < 22 else (GOOD, 300.0 + tick)
        recorder.record(PV, value, status, at(tick * 0.125))
    expected = [0, 8, 16, 18, 22, 30, 38, 46]
    assert [time_s / 0.125 for time_s, _, _ in await stored(recorder, PV)] == expected


async def test_every_write_to_another_tag_is_taken(recorder):
    for tick in range(10):
        recorder.record(TARGET, float(tick), GOOD, at(tick * 0.01))
    assert [value for _, value, _ in await stored(recorder, TARGET)] == list(range(10))


async def test_a_clock_that_is_set_back_does_not_stop_it(recorder):
    for seconds in (100.0, 50.0, 51.5):
        recorder.record(PV, 1.0, GOOD, at(seconds))
    assert [time_s for time_s, _, _ in await stored(recorder, PV)] == [50.0, 51.5, 100.0]


class Failing(HistoryStore):
    """A store on a disk that is full for a while."""

    full = True

    def write(self, samples, now_us):
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        super().write(samples, now_us)


async def test_what_cannot_be_written_is_written_later():
    store = Failing(None, retention_s=1e10, max_values=1000)
    recorder = HistoryRecorder(store, interval_s=1.0)
    for seconds in (1.0, 2.0):
        recorder.record(PV, seconds, GOOD, at(seconds))
        assert await stored(recorder, PV) == []
        assert "full" in recorder.failure
    store.full = False
    recorder.record(PV, math.inf, GOOD, at(3.0))
    assert [time_s for time_s, _, _ in await stored(recorder, PV)] == [1.0, 2.0, 3.0]
    assert recorder.failure == ""
    recorder.close()


class Stuck(HistoryStore):
    """A store on a disk that does not answer until it is let go."""

    def __init__(self):
        super().__init__(None, retention_s=1e10, max_values=10**6)
        self.go = threading.Event()
        self.batches = []

    def write(self, samples, now_us):
        self.go.wait(30)
        self.batches.append(len(list(samples)))
        super().write(samples, now_us)


async def test_a_slow_disk_holds_up_nobody_and_gets_few_large_pieces():
    store = Stuck()
    recorder = HistoryRecorder(store, interval_s=1.0)
    for second in range(100):
        recorder.record(TARGET, float(second), GOOD, at(second))
        recorder.flush()  # returns though nothing is written
    store.go.set()
    assert len(await stored(recorder, TARGET)) == 100
    assert len(store.batches) <= 2
    recorder.close()


def test_closing_writes_what_waits(tmp_path):
    path = tmp_path / "history.db"
    store = HistoryStore(path, retention_s=1e10, max_values=1000)
    recorder = HistoryRecorder(store, interval_s=1.0)
    recorder.record(PV, 1.0, GOOD, at(1.0))
    recorder.close()
    again = HistoryStore(path, retention_s=1e10, max_values=1000)
    assert again.read(PV.number, 0, 10**18, 9) == [Sample(PV.number, 1_000_000, 1.0, GOOD)]
    again.close()
