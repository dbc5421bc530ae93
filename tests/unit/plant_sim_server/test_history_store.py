import math
import os
import sqlite3
import stat

import pytest

from plant_sim.errors import ConfigurationError
from plant_sim.history import HistoryStore, Sample

HOUR_US = 3_600_000_000
DAY_S = 86_400.0
GOOD, BAD = 0, 0x808C0000


def open_store(path=None, *, retention_s=DAY_S, max_values=1000):
    return HistoryStore(path, retention_s=retention_s, max_values=max_values)


def samples(tag, times, value=1.0):
    return [Sample(tag, time_us, value + time_us, GOOD) for time_us in times]


def times(store, tag, first=0, last=10**18, limit=10**6):
    return [sample.time_us for sample in store.read(tag, first, last, limit)]


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    opened = open_store(tmp_path / "history.db" if request.param == "file" else None)
    yield opened
    opened.close()


def test_samples_come_back_in_both_directions_within_the_range_and_the_limit(store):
    store.write([*samples(1, [30, 10, 20]), *samples(2, [15])], 40)
    assert store.read(1, 10, 30, 9) == samples(1, [10, 20, 30])
    assert store.read(1, 30, 10, 9) == samples(1, [30, 20, 10])
    assert times(store, 1, 11, 29) == [20]
    assert times(store, 1, 30, 0, 2) == [30, 20]
    assert times(store, 3) == []


def test_what_a_double_and_a_status_can_be_comes_back(store):
    odd = [
        Sample(1, 1, math.inf, GOOD),
        Sample(1, 2, -1.7e308, GOOD),
        Sample(1, 3, 5e-324, 0x406E0000),
        Sample(1, 4, None, BAD),
        Sample(1, 5, math.nan, GOOD),
    ]
    store.write(odd, 10)
    back = store.read(1, 0, 9, 9)
    assert back[:4] == odd[:4]
    assert math.isnan(back[4].value)
    assert back[4].status == GOOD


def test_a_second_sample_of_an_instant_replaces_the_first(store):
    store.write([Sample(1, 5, 1.0, GOOD)], 5)
    store.write([Sample(1, 5, 2.0, GOOD)], 6)
    assert store.read(1, 0, 9, 9) == [Sample(1, 5, 2.0, GOOD)]


def test_neighbours(store):
    store.write(samples(1, [10, 20]), 30)
    asked = [(9, True), (10, True), (11, True), (21, True), (9, False), (19, False), (99, False)]
    found = [store.neighbour(1, time_us, later=later) for time_us, later in asked]
    assert found == [10, 10, 20, None, None, 10, 20]
    assert store.neighbour(2, 10, later=True) is None


def test_what_is_too_old_goes_but_for_the_last_value_before(store):
    now_us = 100 * HOUR_US
    old = [now_us - 50 * HOUR_US, now_us - 30 * HOUR_US]
    new = [now_us - 20 * HOUR_US, now_us]
    store.write([*samples(1, old + new), *samples(2, old)], now_us)
    assert times(store, 1) == [old[1], *new]
    assert times(store, 2) == [old[1]]


def test_of_each_tag_the_newest_are_kept(store):
    store.write([*samples(1, range(5000)), *samples(2, range(10))], 5000)
    assert times(store, 1) == list(range(4000, 5000))
    assert times(store, 2) == list(range(10))


def test_deletion_comes_again_and_the_file_stops_growing(tmp_path):
    path = tmp_path / "history.db"
    store = open_store(path)
    sizes = []
    for minute in range(1, 40):
        now_us = minute * 61_000_000
        store.write(samples(1, range(now_us, now_us + 2000)), now_us)
        assert len(times(store, 1)) == 1000
        sizes.append(store._database.execute("PRAGMA page_count").fetchone()[0])
    assert max(sizes) < 2 * sizes[0]  # all of it together takes 25 times as much
    store.close()


def test_a_history_goes_on_where_it_ended(tmp_path):
    path = tmp_path / "history.db"
    for time_us in (1, 2, 3):
        store = open_store(path)
        store.write(samples(1, [time_us]), time_us)
        store.close()
    assert list(tmp_path.iterdir()) == [path]  # no log of SQLite's is left
    store = open_store(path)
    assert times(store, 1) == [1, 2, 3]
    store.close()


def test_what_a_killed_process_leaves_is_a_history(tmp_path):
    path = tmp_path / "history.db"
    store = open_store(path)
    store.write(samples(1, range(100)), 100)
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):  # as a kill leaves them: nothing was closed
        copy.with_name(copy.name + suffix).write_bytes(
            path.with_name(path.name + suffix).read_bytes()
        )
    store.close()
    again = open_store(copy)
    assert times(again, 1) == list(range(100))
    again.close()


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("keep me")
    other = tmp_path / "other.db"
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE mine (x)")
    database.commit()
    database.close()
    os.mkfifo(tmp_path / "fifo")
    for path in (notes, other, tmp_path / "fifo", tmp_path):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(ConfigurationError, match="not a history"):
            open_store(path)
        assert before is None or path.read_bytes() == before


def test_a_history_of_another_version_is_refused(tmp_path):
    path = tmp_path / "history.db"
    open_store(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(ConfigurationError, match="version 2"):
        open_store(path)


def test_a_damaged_file_is_said(tmp_path):
    path = tmp_path / "history.db"
    open_store(path).close()
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 5000)
    with pytest.raises(ConfigurationError, match=r"history\.file"):
        open_store(path)


def test_two_processes_do_not_share_a_file(tmp_path):
    store = open_store(tmp_path / "history.db")
    with pytest.raises(ConfigurationError, match="another process"):
        open_store(tmp_path / "history.db")
    store.close()
    open_store(tmp_path / "history.db").close()


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ConfigurationError, match=r"history\.file"):
        open_store(tmp_path / "no" / "history.db")
    if os.geteuid() != 0:
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(ConfigurationError, match=r"history\.file"):
            open_store(tmp_path / "history.db")
        tmp_path.chmod(stat.S_IRWXU)
