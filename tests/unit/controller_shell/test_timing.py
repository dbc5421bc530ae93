"""The scan clock: the grid by itself, and the scheduler job under delays and wall-clock steps."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import apscheduler.schedulers.base as scheduler_base
import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from hypothesis import given
from hypothesis import strategies as st

from controller.timing import GridJob, GridPoint, ScanGrid

PERIODS = st.floats(0.001, 3600.0)
DELAYS = st.lists(st.floats(0.0, 1e4), min_size=1, max_size=60)


@given(origin=st.floats(0.0, 1e7), period=PERIODS, delays=DELAYS)
def test_any_sequence_of_delays_neither_repeats_nor_bursts(origin, period, delays):
    grid = ScanGrid(origin_s=origin, period_s=period)
    now, last, starts = origin, 0, []
    for delay in delays:
        number = grid.following(last, now)
        assert number > last
        start = max(now, grid.instant(number))
        starts.append((number, start))
        last, now = number, start + delay * period / 100.0
    slack = 1e-6 * period + 1e-8 * abs(origin)
    for (n1, t1), (n2, t2) in itertools.pairwise(starts):
        assert n2 > n1
        assert t2 >= t1
        # A late start must not be followed by a run before the next grid instant.
        assert t2 >= grid.instant(n1 + 1) - slack


@given(period=PERIODS, last=st.integers(0, 10**6), back=st.floats(0.0, 1e6))
def test_a_clock_that_runs_backwards_yields_the_next_number(period, last, back):
    grid = ScanGrid(origin_s=0.0, period_s=period)
    assert grid.following(last, grid.instant(last) - back) == last + 1


def test_passed_instants_are_skipped_not_made_up_for():
    grid = ScanGrid(origin_s=10.0, period_s=1.0)
    assert grid.following(3, 13.2) == 4
    assert grid.following(3, 17.5) == 8


class SteppingDatetime(datetime):
    """The scheduler's wall clock, stepped by the tests."""

    offset = timedelta()

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + cls.offset


async def run_job(period_s: float, seconds: float, work, disturb=None) -> list[GridPoint]:
    points: list[GridPoint] = []

    async def record(point: GridPoint) -> None:
        points.append(point)
        await work(point)

    scheduler = AsyncIOScheduler(timezone=UTC)
    job = GridJob(scheduler, "scan", period_s, record)
    scheduler.start()
    job.start(asyncio.get_running_loop().time())
    try:
        if disturb is None:
            await asyncio.sleep(seconds)
        else:
            await disturb(seconds)
    finally:
        job.stop()
        scheduler.shutdown(wait=False)
        await asyncio.sleep(0)
    return points


async def nothing(_point: GridPoint) -> None:
    return None


def assert_on_grid(points: list[GridPoint], period_s: float) -> None:
    numbers = [point.number for point in points]
    assert numbers == sorted(set(numbers))
    for before, after in itertools.pairwise(points):
        assert after.skipped == after.number - before.number - 1
        assert after.planned_s - before.planned_s == pytest.approx(
            period_s * (after.number - before.number)
        )
        assert after.started_s >= after.planned_s - 1e-3


@pytest.mark.parametrize("hours", [-1.0, 1.0])
async def test_a_wall_clock_step_neither_loses_nor_doubles_a_scan(monkeypatch, hours):
    monkeypatch.setattr(scheduler_base, "datetime", SteppingDatetime)
    monkeypatch.setattr(SteppingDatetime, "offset", timedelta())

    async def step_clock(seconds: float) -> None:
        for turn in range(5):
            await asyncio.sleep(seconds / 6.0)
            SteppingDatetime.offset = timedelta(hours=hours * (turn + 1))
        await asyncio.sleep(seconds / 6.0)

    points = await run_job(0.05, 1.2, nothing, step_clock)
    assert_on_grid(points, 0.05)
    ran = len(points) + sum(point.skipped for point in points)
    assert ran >= 21


async def test_an_overrun_skips_and_counts_and_does_not_bunch():
    async def slow_once(point: GridPoint) -> None:
        if point.number == 3:
            await asyncio.sleep(0.23)

    points = await run_job(0.05, 0.8, slow_once)
    assert_on_grid(points, 0.05)
    after = next(point for point in points if point.number > 3)
    assert after.number >= 8
    assert after.skipped == after.number - 4
    gaps = [b.started_s - a.started_s for a, b in itertools.pairwise(points)]
    assert min(gaps) > 0.02


async def test_runs_never_overlap():
    running = 0
    worst = 0

    async def long(_point: GridPoint) -> None:
        nonlocal running, worst
        running += 1
        worst = max(worst, running)
        await asyncio.sleep(0.07)
        running -= 1

    points = await run_job(0.03, 0.6, long)
    assert worst == 1
    assert len(points) >= 3
    assert all(point.skipped >= 2 for point in points[1:])
