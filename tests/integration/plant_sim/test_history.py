"""HistoryRead over the wire: ranges, pages, refusals, restart and kill."""

import asyncio
import math
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

import pytest
from asyncua import ua

from plant_sim.opcua import limits
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import Role

KEPT = [tag for tag in TAGS if tag.history]
PV = "R101/PV/Temperature"
SP = "R101/SP/Temperature"
TARGET = "R101/MV/InitiatorFeed/Target"
NEVER = ua.get_win_epoch()


def details(start=NEVER, end=NEVER, count=0, *, bounds=False):
    return ua.ReadRawModifiedDetails(
        IsReadModified=False,
        StartTime=start,
        EndTime=end,
        NumValuesPerNode=count,
        ReturnBounds=bounds,
    )


async def ask(peer, *nodes, what, points=None, release=False, **others):
    """One HistoryRead; nodes are browse paths or node ids."""
    params = ua.HistoryReadParameters(
        HistoryReadDetails=what,
        TimestampsToReturn=others.get("stamps", ua.TimestampsToReturn.Both),
        ReleaseContinuationPoints=release,
        NodesToRead=[
            ua.HistoryReadValueId(
                NodeId=peer.ids.get(node, node),
                IndexRange=others.get("index_range", ""),
                ContinuationPoint=point,
            )
            for node, point in zip(nodes, points or [None] * len(nodes), strict=True)
        ],
    )
    return await peer.client.uaclient.history_read(params)


def stamps(result):
    return [value.SourceTimestamp for value in result.HistoryData.DataValues]


def values(result):
    return [value.Value.Value for value in result.HistoryData.DataValues]


async def raw(peer, path, start, end, count=0):
    node = peer.client.get_node(peer.ids[path])
    return await node.read_raw_history(start, end, count, return_bounds=False)


async def all_pages(peer, path, what):
    (result,) = await ask(peer, path, what=what)
    found, sizes = [], []
    while True:
        assert result.StatusCode.name == "Good"
        found += result.HistoryData.DataValues
        sizes.append(len(result.HistoryData.DataValues))
        if result.ContinuationPoint is None:
            return found, sizes
        (result,) = await ask(peer, path, what=what, points=[result.ContinuationPoint])


async def recorded(peer, path, count, limit_s=20.0):
    """Wait until so many values are there; returns them, the oldest first."""
    end_s = time.monotonic() + limit_s
    while True:
        found = await raw(peer, path, datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
        if len(found) >= count:
            return found
        assert time.monotonic() < end_s, f"{path}: {len(found)} values"
        await asyncio.sleep(0.05)


@pytest.fixture
def quick_history(start_plant, tmp_path):
    """A plant of one's own that keeps a sample every 50 ms in a file."""

    def start(*options):
        config = tmp_path / "plant.toml"
        config.write_text(
            f"[history]\nfile = '{tmp_path / 'history.db'}'\ninterval_s = 0.05\n"
            "[server]\ntick_s = 0.01\n"
        )
        return start_plant("--config", str(config), *options)

    return start


def test_every_pv_sp_target_and_actual_has_a_history():
    assert {tag.path for tag in KEPT} == {
        *(tag.path for tag in TAGS if tag.path.startswith(("R101/PV/", "R101/SP/"))),
        *(
            f"R101/MV/{name}/{item}"
            for name in ("InitiatorFeed", "CoolantTemperature")
            for item in ("Target", "Actual")
        ),
    }


@pytest.mark.parametrize("role", list(Role))
async def test_everybody_reads_the_history_of_every_tag_that_has_one(plant, role):
    async with plant.peer(role) as peer:
        what = details(start=datetime.now(UTC) + timedelta(hours=1), count=1, bounds=True)
        results = await ask(peer, *(tag.path for tag in TAGS), what=what)
        for tag, result in zip(TAGS, results, strict=True):
            if tag.history:
                assert result.StatusCode.name == "Good", tag.path
                assert len(result.HistoryData.DataValues) == 1
            else:
                assert result.StatusCode.name == "BadHistoryOperationUnsupported", tag.path


async def test_attributes_say_which_tags_have_a_history(plant):
    async with plant.peer("observer") as peer:
        for tag in TAGS:
            node = peer.client.get_node(peer.ids[tag.path])
            kept = await node.read_attribute(ua.AttributeIds.Historizing)
            assert kept.Value.Value is tag.history, tag.path
            assert (ua.AccessLevel.HistoryRead in await node.get_access_level()) is tag.history
            assert (ua.AccessLevel.HistoryRead in await node.get_user_access_level()) is tag.history


async def test_setpoints_come_back_as_they_were_written(fresh):
    written = [341.0, 342.0, 343.0, 344.0, 345.0]
    async with fresh.peer("operator") as peer:
        start = datetime.now(UTC)
        shown = []
        for value in written:
            await peer.put(SP, value)
            (data,) = await peer.data(SP)
            shown.append((data.Value.Value, data.SourceTimestamp))
        end = datetime.now(UTC)
        found = await raw(peer, SP, start, end)
        assert [(one.Value.Value, one.SourceTimestamp) for one in found] == shown
        assert all(one.StatusCode.is_good() and one.ServerTimestamp is None for one in found)
        back = await raw(peer, SP, end, start)
        assert [one.Value.Value for one in back] == written[::-1]
        assert [one.Value.Value for one in await raw(peer, SP, start, None, 2)] == written[:2]
        assert [one.Value.Value for one in await raw(peer, SP, None, end, 2)] == [345.0, 344.0]
        exact = await raw(peer, SP, shown[2][1], shown[2][1])
        assert [one.Value.Value for one in exact] == [343.0]
        half_open = await raw(peer, SP, shown[1][1], shown[3][1])
        assert [one.Value.Value for one in half_open] == [342.0, 343.0]


async def test_bounds_are_the_values_around_or_said_to_be_missing(fresh):
    async with fresh.peer("operator") as peer:
        times = []
        for value in (341.0, 342.0):
            await peer.put(SP, value)
            (data,) = await peer.data(SP)
            times.append(data.SourceTimestamp)
        inside = times[0] + (times[1] - times[0]) / 2
        future = datetime.now(UTC) + timedelta(hours=1)
        (result,) = await ask(peer, SP, what=details(inside, future, bounds=True))
        assert values(result) == [341.0, 342.0, None]
        missing = result.HistoryData.DataValues[-1]
        assert missing.StatusCode.name == "BadBoundNotFound"
        assert missing.SourceTimestamp == future


async def test_no_data_in_a_range_is_said(plant):
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    async with plant.peer("observer") as peer:
        (result,) = await ask(peer, PV, what=details(long_ago, long_ago + timedelta(days=1)))
        assert result.StatusCode.name == "GoodNoData"
        assert result.HistoryData.DataValues == []
        assert result.ContinuationPoint is None
        assert await raw(peer, PV, long_ago, long_ago + timedelta(days=1)) == []


async def test_a_long_answer_comes_in_pages(quick_history):
    plant = quick_history("--speed", "3000")
    async with plant.peer("observer") as peer:
        whole = await recorded(peer, PV, 25)
        start, end = whole[0].SourceTimestamp, whole[-1].SourceTimestamp
        expected = [(one.SourceTimestamp, one.Value.Value) for one in whole[:-1]]
        found, sizes = await all_pages(peer, PV, details(start, end, 7))
        assert [(one.SourceTimestamp, one.Value.Value) for one in found] == expected
        assert sizes == [7] * (len(expected) // 7) + [len(expected) % 7] * bool(len(expected) % 7)
        back, _ = await all_pages(peer, PV, details(end, start, 7))
        assert [one.SourceTimestamp for one in back] == [
            one.SourceTimestamp for one in reversed(whole[1:])
        ]
        gaps = [(b[0] - a[0]).total_seconds() for a, b in pairwise(expected)]
        assert min(gaps) >= 0.05


async def test_an_answer_is_bounded_however_much_is_asked_for(start_plant):
    plant = start_plant()
    async with plant.peer("operator") as peer:
        start = datetime.now(UTC)
        for index in range(1500):  # a setpoint is kept at every write
            await peer.put(SP, 340.0 + index % 1000 / 100.0)
        what = details(start, datetime.now(UTC))
        (alone,) = await ask(peer, SP, what=what)
        assert len(alone.HistoryData.DataValues) == limits.MAX_HISTORY_VALUES
        several = await ask(peer, *[SP] * 10, what=what)
        assert [len(one.HistoryData.DataValues) for one in several] == [
            limits.MAX_HISTORY_VALUES // 10
        ] * 10
        found, sizes = await all_pages(peer, SP, what)
        assert sizes == [1000, 500]
        assert len(await raw(peer, SP, start, datetime.now(UTC))) == len(found) == 1500


async def test_continuation_points_end_when_used_released_or_replaced(fresh):
    async with fresh.peer("operator") as peer:
        start = datetime.now(UTC)
        for value in range(4):
            await peer.put(SP, 340.0 + value)
        what = details(start, datetime.now(UTC), 1)

        async def first():
            (result,) = await ask(peer, SP, what=what)
            assert values(result) == [340.0]
            return result.ContinuationPoint

        async def again(point, path=SP, *, release=False):
            (result,) = await ask(peer, path, what=what, points=[point], release=release)
            return result.StatusCode.name

        used = await first()
        assert await again(used) == "Good"
        assert await again(used) == "BadContinuationPointInvalid"
        released = await first()
        assert await again(released, release=True) == "Good"
        assert await again(released) == "BadContinuationPointInvalid"
        assert await again(await first(), PV) == "BadContinuationPointInvalid"
        assert await again(b"12345678") == "BadContinuationPointInvalid"
        oldest = await first()
        for _ in range(limits.MAX_CONTINUATION_POINTS):
            newest = await first()
        assert await again(oldest) == "BadContinuationPointInvalid"
        assert await again(newest) == "Good"
        many = await ask(peer, *[SP] * (limits.MAX_CONTINUATION_POINTS + 3), what=what)
        assert [one.StatusCode.name for one in many[-4:]] == [
            "Good",
            *["BadNoContinuationPoints"] * 3,
        ]
        async with fresh.peer("operator") as other:
            (result,) = await ask(other, SP, what=what, points=[await first()])
            assert result.StatusCode.name == "BadContinuationPointInvalid"


async def test_what_is_not_a_raw_read_of_two_limits_is_refused(plant):
    later = datetime.now(UTC) + timedelta(hours=1)  # nothing is recorded there meanwhile
    good = details(later, later + timedelta(hours=1))
    modified = details(later, later + timedelta(hours=1))
    modified.IsReadModified = True
    processed = ua.ReadProcessedDetails(
        StartTime=later,
        EndTime=later + timedelta(hours=1),
        ProcessingInterval=1000.0,
        AggregateType=[ua.NodeId(ua.ObjectIds.AggregateFunction_Average)],
    )
    unsupported, invalid = "BadHistoryOperationUnsupported", "BadHistoryOperationInvalid"
    async with plant.peer("observer") as peer:
        for what, others, status in (
            (modified, {}, unsupported),
            (processed, {}, unsupported),
            (ua.ReadAtTimeDetails(ReqTimes=[later]), {}, unsupported),
            (details(), {}, invalid),
            (details(start=later), {}, invalid),
            (details(end=later), {}, invalid),
            (details(count=5), {}, invalid),
            (good, {"stamps": ua.TimestampsToReturn.Neither}, "BadTimestampsToReturnInvalid"),
            (good, {"stamps": ua.TimestampsToReturn.Server}, "BadTimestampNotSupported"),
            (good, {"index_range": "0:1"}, "BadIndexRangeNoData"),
        ):
            (result,) = await ask(peer, PV, what=what, **others)
            assert result.StatusCode.name == status, (what, others)
        nowhere = ua.NodeId(999_999, peer.index)
        objects = ua.NodeId(ua.ObjectIds.ObjectsFolder)
        results = await ask(peer, PV, nowhere, objects, what=good)
        assert [one.StatusCode.name for one in results] == [
            "GoodNoData",
            "BadNodeIdUnknown",
            unsupported,
        ]
        with pytest.raises(ua.uaerrors.BadNothingToDo):
            await ask(peer, what=good)
        with pytest.raises(ua.uaerrors.BadTooManyOperations):
            await ask(peer, *[PV] * (limits.MAX_OPERATIONS + 1), what=good)


async def test_quality_is_kept_with_the_value(fresh):
    async with fresh.peer("engineer") as peer:
        start = datetime.now(UTC)
        for kind in ("bad_quality", "nan", "communication_loss", "clear"):
            await peer.do("Sim/InjectFault", "Temperature", kind, 0.0, 1e6)
            await asyncio.sleep(0.1)
        found = await raw(peer, PV, start, datetime.now(UTC))
        runs = [list(run) for _, run in groupby(found, key=lambda one: one.StatusCode.name)]
        bad, not_a_number, lost, good = [run[0] for run in runs[runs[0][0].StatusCode.is_good() :]]
        assert (bad.StatusCode.name, bad.Value.Value) == ("BadSensorFailure", None)
        assert not_a_number.StatusCode.is_good()
        assert math.isnan(not_a_number.Value.Value)
        assert (lost.StatusCode.name, lost.Value.Value) == ("BadNoCommunication", None)
        assert good.StatusCode.is_good()
        assert 280.0 < good.Value.Value < 420.0


async def test_history_survives_a_restart(quick_history):
    plant = quick_history()
    async with plant.peer("operator") as peer:
        start = datetime.now(UTC)
        await peer.put(SP, 341.0)
        before = await raw(peer, SP, start, datetime.now(UTC))
        await recorded(peer, PV, 5)
        pv = await recorded(peer, PV, 5)
    assert plant.stop() == 0
    plant = quick_history()
    async with plant.peer("operator") as peer:
        found = await raw(peer, SP, start, datetime.now(UTC))
        assert [one.Value.Value for one in found] == [341.0, 350.0]  # the start of the new one
        assert found[0] == before[0]
        (old,) = await raw(peer, PV, pv[0].SourceTimestamp, pv[0].SourceTimestamp)
        assert old == pv[0]
    assert plant.stop() == 0


async def test_a_kill_leaves_a_whole_file_with_all_but_the_last_seconds(quick_history):
    plant = quick_history("--speed", "3000")
    async with plant.peer("observer") as peer:
        seen = await recorded(peer, PV, 30)
        plant.process.kill()
        plant.process.wait(10)
    path = plant.directory / "history.db"
    assert path.with_name("history.db-wal").exists()  # nobody has closed it
    (plant.directory / "ready.json").unlink()
    plant = quick_history("--speed", "3000")
    async with plant.peer("observer") as peer:
        found = await raw(
            peer, PV, seen[0].SourceTimestamp, seen[-1].SourceTimestamp + timedelta(microseconds=1)
        )
        assert found == seen
    assert plant.stop() == 0
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


async def test_several_units_have_a_history_each(start_plant, tmp_path):
    plant = start_plant("--units", "2", "--history", str(tmp_path / "h.db"))
    first, second = plant.ready["endpoints"]
    async with (
        plant.peer("operator", endpoint=first) as one,
        plant.peer("operator", endpoint=second) as two,
    ):
        start = datetime.now(UTC)
        await one.put(SP, 341.0)
        await two.put(SP, 342.0)
        for peer, value in ((one, 341.0), (two, 342.0)):
            assert [v.Value.Value for v in await raw(peer, SP, start, datetime.now(UTC))] == [value]
    assert plant.stop() == 0
    for number, value in ((1, 341.0), (2, 342.0)):
        database = sqlite3.connect(tmp_path / f"h-{number}.db")
        last = "SELECT value FROM sample WHERE tag = 1202 ORDER BY time_us DESC LIMIT 1"
        assert database.execute(last).fetchone() == (value,)
        database.close()
    assert not (tmp_path / "h.db").exists()
