"""Clients of the soft plant that come and go as fast as it lets them, and its memory meanwhile."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psutil
from asyncua import ua

from benchmarks.load_rows import Row
from benchmarks.watcher import Watcher, refused
from plant_sim.unit.tags import Role

if TYPE_CHECKING:
    from benchmarks.soft_plant import SoftPlant

ITEMS = 20
RETRY_S = 0.2
SAMPLE_S = 2.0
WARM_UP_S = 60.0
"""Until abandoned sessions end as fast as new ones come, and the heap has its size."""
GOAL_MB = 5.0
"""Growth or shrinkage."""
ORDERLY = Role.OPERATOR
ABRUPT = (Role.OBSERVER, Role.APC, Role.ENGINEER)
ABANDONED_MS = 5000.0
"""Session time-out of those that vanish, the shortest there is: the sooner the next may come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Resident memory after so many minutes, when so many sessions had ended."""

    minutes: float
    ended: int
    mb: float


async def vanish(plant: SoftPlant, user: Role, timeout_ms: float | None = None) -> int:
    """One client that subscribes and is gone; how often it was refused before, for want of room."""
    attempts = 0
    while True:
        try:
            watcher = await Watcher.open(plant, user, items=ITEMS, timeout_ms=timeout_ms)
        except ua.UaStatusCodeError as error:
            if not refused(error):
                raise
            attempts += 1
            await asyncio.sleep(RETRY_S)
        else:
            await watcher.first()
            await watcher.vanish()
            return attempts


class Churn:
    """Clients that come and go until it is `over`; cancelled, asyncua may go on regardless."""

    def __init__(self, plant: SoftPlant) -> None:
        self._plant = plant
        self.over = False
        self.orderly = self.abrupt = 0

    async def in_order(self) -> None:
        """Subscribe, hear something, close; again and again."""
        while not self.over:
            async with Watcher.session(self._plant, ORDERLY, items=ITEMS) as watcher:
                await watcher.first()
            self.orderly += 1

    async def abruptly(self, user: Role) -> None:
        """Subscribe, hear something, vanish; again and again."""
        while not self.over:
            await vanish(self._plant, user, ABANDONED_MS)
            self.abrupt += 1

    @property
    def ended(self) -> int:
        """Sessions that have ended."""
        return self.orderly + self.abrupt


async def memory(plant: SoftPlant, minutes: float) -> tuple[list[Row], list[dict[str, Any]]]:
    """Resident memory of the plant during `minutes` of churn after the warm-up; the samples, too.

    A malloc that hands memory back late looks like growth, so no single sample is judged alone: the
    start and the end are the middle ones of those of a twentieth of the time.
    """
    process = psutil.Process(plant.pid)
    churn = Churn(plant)
    loops = [asyncio.create_task(churn.in_order())]
    loops += [asyncio.create_task(churn.abruptly(user)) for user in ABRUPT]
    seen: list[Sample] = []
    try:
        await _unless_one_fails(loops, min(WARM_UP_S, 12.0 * minutes))
        begun_s, before = time.monotonic(), (churn.orderly, churn.abrupt)
        while (passed := (time.monotonic() - begun_s) / 60.0) < minutes or not seen:
            mb = process.memory_info().rss / 1e6
            ended = churn.ended - sum(before)
            seen.append(Sample(minutes=round(passed, 3), ended=ended, mb=round(mb, 3)))
            await _unless_one_fails(loops, SAMPLE_S)
    finally:
        churn.over = True
        await asyncio.gather(*loops, return_exceptions=True)
    orderly, abrupt = churn.orderly - before[0], churn.abrupt - before[1]
    size = f"{minutes:g} min, {orderly} orderly and {abrupt} abrupt ends"
    return _rows(seen, size), [asdict(sample) for sample in seen]


async def _unless_one_fails(loops: list[asyncio.Task[None]], seconds: float) -> None:
    done, _ = await asyncio.wait(loops, timeout=seconds, return_when="FIRST_EXCEPTION")
    for loop in done:
        loop.result()


def _rows(seen: list[Sample], size: str) -> list[Row]:
    sizes = [sample.mb for sample in seen]
    part = max(1, len(sizes) // 20)
    start, end = (sorted(some)[len(some) // 2] for some in (sizes[:part], sizes[-part:]))
    figures = {"at the start": start, "least": min(sizes), "most": max(sizes), "at the end": end}
    return [
        Row(name="growth of memory", size=size, value=end - start, unit="MB", goal=GOAL_MB),
        *(
            Row(name=f"resident memory, {when}", size=size, value=value, unit="MB")
            for when, value in figures.items()
        ),
    ]
