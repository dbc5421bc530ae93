"""The scan clock: an absolute grid on the monotonic clock, and the job that runs on it.

A grid instant that has passed is skipped and counted, never made up for, so scans can be lost to
an overrun but can neither bunch nor overlap.  APScheduler owns the jobs (one instance, coalesced),
but it compares due times with the wall clock, which operators and NTP may step; so a job here
waits on the event loop's monotonic timer and is handed to the scheduler at the moment it is due.
See docs/adr/0002-scan-clock.md.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from apscheduler.triggers.base import BaseTrigger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from apscheduler.schedulers.asyncio import AsyncIOScheduler

PARKED = datetime(9999, 1, 1, tzinfo=UTC)
"""Due time of a job that is not due: after any wall clock."""

DUE = datetime(1970, 1, 2, tzinfo=UTC)
"""Due time of a job that is due now: before any wall clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanGrid:
    """Instants `origin_s + n * period_s` on the monotonic clock, n = 1, 2, ...

    origin_s: monotonic time of n = 0 [s].  period_s: distance of two instants [s], positive.
    """

    origin_s: float
    period_s: float

    def instant(self, number: int) -> float:
        """Monotonic time of grid point `number` [s]."""
        return self.origin_s + number * self.period_s

    def following(self, last: int, now_s: float) -> int:
        """Number of the grid point to run after `last` when the time is `now_s`.

        Strictly larger than `last` and strictly in the future of `now_s`: it neither repeats nor
        catches up.  A clock that seems to run backwards yields `last + 1`.
        """
        return max(last + 1, math.floor((now_s - self.origin_s) / self.period_s) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPoint:
    """One run on the grid; times on the monotonic clock [s].

    number: index on the grid, gaps are skipped runs.  skipped: grid points passed over directly
    before this one.  planned_s: the grid instant.  started_s: when the run began.
    """

    number: int
    skipped: int
    planned_s: float
    started_s: float

    @property
    def lateness_s(self) -> float:
        """How long after its grid instant the run began [s], never negative."""
        return max(0.0, self.started_s - self.planned_s)


class Parked(BaseTrigger):  # type: ignore[misc]
    """Trigger of a job that is due only when `GridJob` says so."""

    __slots__ = ()

    def get_next_fire_time(self, _previous: datetime | None, _now: datetime) -> datetime:
        """Always far in the future: the scheduler by itself never runs the job."""
        return PARKED


class GridJob:
    """Runs a coroutine on a `ScanGrid` through an APScheduler job.

    The next instant is armed when a run has ended, so two runs cannot overlap however late one
    is; `max_instances=1` of the scheduler says the same a second time.
    """

    def __init__(
        self,
        scheduler: AsyncIOScheduler,
        name: str,
        period_s: float,
        work: Callable[[GridPoint], Awaitable[None]],
    ) -> None:
        self._scheduler = scheduler
        self._name = name
        self._period_s = period_s
        self._work = work
        self._grid: ScanGrid | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._last = 0
        self._next = 1
        scheduler.add_job(
            self._run,
            trigger=Parked(),
            id=name,
            name=name,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
            next_run_time=PARKED,
        )

    def start(self, origin_s: float) -> None:
        """Begin the grid at monotonic time `origin_s`; the first run is one period later."""
        self._grid = ScanGrid(origin_s=origin_s, period_s=self._period_s)
        self._arm(self._grid)

    def stop(self) -> None:
        """Run no more; a run in progress ends by itself."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, grid: ScanGrid) -> None:
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        self._next = grid.following(self._last, loop.time())
        self._timer = loop.call_at(grid.instant(self._next), self._release)

    def _release(self) -> None:
        """Hand the job to the scheduler, which then sees it as due at any wall-clock time."""
        changes: dict[str, Any] = {"next_run_time": DUE}
        self._scheduler.modify_job(self._name, **changes)

    async def _run(self) -> None:
        grid = self._grid
        if grid is None or self._stopped:
            return
        number, skipped = self._next, self._next - self._last - 1
        self._last = number
        point = GridPoint(
            number=number,
            skipped=skipped,
            planned_s=grid.instant(number),
            started_s=asyncio.get_running_loop().time(),
        )
        try:
            await self._work(point)
        finally:
            self._arm(grid)
