"""What many clients cost the soft plant: publishing, abrupt ends, memory.

    python -m benchmarks.soft_plant_load [--units 1] [--tags 500] [--seconds 30]
                                         [--drops 200] [--minutes 10] [--out soft_plant_load.json]

publishing: two clients, `--tags` monitored items each at 10 Hz, on tags that change in every tick
of the plant. A unit has few of them, so an item watches what others watch too; with `--units 40`
every item has a tag of its own, and 40 reactors are computed besides.
drops: clients that subscribe and vanish without a word; after 30 s every user must be able to have
all the subscriptions that a user may have, so none is left.
memory: clients subscribe and end as fast as the plant lets them, one user in order, one abruptly.

CPU is the plant's own time, so it may be measured on a busy machine. A part with 0 is left out.
Exit codes: 0 every goal is met, 1 one is not, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import psutil
from asyncua import ua
from rich.console import Console
from rich.table import Table

from benchmarks.soft_plant import SoftPlant, soft_plant
from benchmarks.watcher import Watcher, refused
from plant_sim.opcua import limits
from plant_sim.unit.tags import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENTS = (Role.OBSERVER, Role.OPERATOR)
"""Who watches: the plant bounds the items of a user, so each client is a user of its own."""
SETTLE_S = 3.0
CPU_GOAL = 60.0
"""Of the plant, in % of one core."""
FREE_AFTER_S = 30.0
"""From the last drop to the moment at which no subscription may be left."""
DROPPED_ITEMS = 20
RETRY_S = 0.2
SAMPLE_S = 2.0
WARM_UP_S = 60.0
"""Until abandoned sessions end as fast as new ones come, and the heap has its size."""
MEMORY_GOAL = 5.0
"""Growth or shrinkage, in MB."""
EXIT_MISSED, EXIT_INTERRUPTED = 1, 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure; goal: what it may be at most, None where it only informs."""

    name: str
    size: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def missed(self) -> bool:
        """Whether there is a goal and this is beyond it."""
        return self.goal is not None and abs(self.value) > self.goal


async def cpu_share(pid: int, seconds: float) -> float:
    """CPU of a process during the next seconds, in % of one core."""
    process = psutil.Process(pid)
    begun_s, before = time.monotonic(), process.cpu_times()
    await asyncio.sleep(seconds)
    after, taken_s = process.cpu_times(), time.monotonic() - begun_s
    return 100.0 * (after.user + after.system - before.user - before.system) / taken_s


async def publishing(plant: SoftPlant, *, tags: int, seconds: float) -> list[Row]:
    """CPU of the plant without clients, and with two that watch `tags` items each."""
    idle = await cpu_share(plant.pid, max(5.0, seconds / 3))
    units = len(plant.endpoints)
    share = [tags // units + (place < tags % units) for place in range(units)]
    async with contextlib.AsyncExitStack() as stack:
        watchers = [
            await stack.enter_async_context(Watcher.session(plant, user, url=url, items=items))
            for user in CLIENTS
            for url, items in zip(plant.endpoints, share, strict=True)
            if items
        ]
        await asyncio.sleep(SETTLE_S)
        begun, begun_s = sum(watcher.notified for watcher in watchers), time.monotonic()
        busy = await cpu_share(plant.pid, seconds)
        arrived = sum(watcher.notified for watcher in watchers) - begun
        rate = arrived / (time.monotonic() - begun_s)
    distinct = sum(min(items, Watcher.moving_tags()) for items in share)
    size = f"{tags} items on {distinct} tags, {len(CLIENTS)} clients, {units} units"
    return [
        Row(name="CPU of the plant, no client", size=size, value=idle, unit="% of one core"),
        Row(name="CPU of the plant", size=size, value=busy, unit="% of one core", goal=CPU_GOAL),
        Row(name="notifications", size=size, value=rate, unit="per s"),
    ]


async def vanish(plant: SoftPlant, user: Role) -> int:
    """One client that subscribes and is gone; how often it was refused before, for want of room."""
    attempts = 0
    while True:
        try:
            watcher = await Watcher.open(plant, user, items=DROPPED_ITEMS)
        except ua.UaStatusCodeError as error:
            if not refused(error):
                raise
            attempts += 1
            await asyncio.sleep(RETRY_S)
        else:
            await watcher.first()
            await watcher.vanish()
            return attempts


async def left_behind(plant: SoftPlant, user: Role) -> int:
    """How many of the subscriptions that a user may have are taken by nobody that is there."""
    made = 0
    async with contextlib.AsyncExitStack() as stack:
        while made < limits.MAX_SUBSCRIPTIONS_PER_USER:
            try:
                watcher = await stack.enter_async_context(Watcher.session(plant, user, items=0))
                for _ in range(limits.MAX_SUBSCRIPTIONS_PER_SESSION):
                    await watcher.subscribe(0)
                    made += 1
            except ua.UaStatusCodeError as error:
                if not refused(error):
                    raise
                break
    return limits.MAX_SUBSCRIPTIONS_PER_USER - made


async def drops(plant: SoftPlant, count: int) -> list[Row]:
    """`count` clients vanish; what they leave."""
    users = list(Role)
    begun_s, refusals = time.monotonic(), 0
    for place in range(count):
        refusals += await vanish(plant, users[place % len(users)])
    taken_s = time.monotonic() - begun_s
    await asyncio.sleep(FREE_AFTER_S)
    left = sum([await left_behind(plant, user) for user in users])
    size, after = f"{count} abrupt ends", f"{FREE_AFTER_S:g} s"
    return [
        Row(name=f"subscriptions left after {after}", size=size, value=left, unit="", goal=0),
        Row(name="refused for want of room meanwhile", size=size, value=refusals, unit="attempts"),
        Row(name="time taken", size=size, value=taken_s, unit="s"),
    ]  # fmt: skip


class Churn:
    """Clients that come and go, until told to stop."""

    def __init__(self, plant: SoftPlant) -> None:
        self._plant = plant
        self.orderly = self.abrupt = 0

    async def in_order(self) -> None:
        """Subscribe, hear something, close; for ever."""
        while True:
            async with Watcher.session(self._plant, Role.OPERATOR, items=DROPPED_ITEMS) as watcher:
                await watcher.first()
            self.orderly += 1

    async def abruptly(self) -> None:
        """Subscribe, hear something, vanish; for ever."""
        while True:
            await vanish(self._plant, Role.OBSERVER)
            self.abrupt += 1


async def memory(plant: SoftPlant, minutes: float) -> list[Row]:
    """Resident memory of the plant at the end of the churn less that after the warm-up."""
    process = psutil.Process(plant.pid)
    churn, seen = Churn(plant), []
    loops = [asyncio.create_task(loop) for loop in (churn.in_order(), churn.abruptly())]
    end_s = time.monotonic() + 60.0 * minutes
    try:
        await asyncio.sleep(min(WARM_UP_S, 12.0 * minutes))
        while time.monotonic() < end_s:
            seen.append(process.memory_info().rss / 1e6)
            done, _ = await asyncio.wait(loops, timeout=SAMPLE_S, return_when="FIRST_EXCEPTION")
            for loop in done:
                loop.result()
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
    part = max(1, len(seen) // 5)
    growth = fmean(seen[-part:]) - fmean(seen[:part])
    size = f"{minutes:g} min, {churn.orderly} orderly and {churn.abrupt} abrupt ends"
    return [
        Row(name="growth of memory", size=size, value=growth, unit="MB", goal=MEMORY_GOAL),
        Row(name="resident memory at the end", size=size, value=seen[-1], unit="MB"),
    ]


async def measure(options: argparse.Namespace) -> list[Row]:
    """The parts that were asked for, each on a fresh plant."""
    found: list[Row] = []
    if options.seconds:
        async with soft_plant(units=options.units) as plant:
            found += await publishing(plant, tags=options.tags, seconds=options.seconds)
    if options.drops:
        async with soft_plant() as plant:
            found += await drops(plant, options.drops)
    if options.minutes:
        async with soft_plant() as plant:
            found += await memory(plant, options.minutes)
    return found


def table(rows: Sequence[Row]) -> Table:
    """The rows for people."""
    shown = Table("figure", "size", "value", "goal", "unit")
    for row in rows:
        goal = "" if row.goal is None else f"{row.goal:g}{' MISSED' if row.missed else ''}"
        shown.add_row(row.name, row.size, f"{row.value:.2f}", goal, row.unit)
    return shown


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soft_plant_load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--units", type=int, default=1, help="reactors for the publishing part")
    parser.add_argument("--tags", type=int, default=500, help="monitored items of each client")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the publishing part")
    parser.add_argument("--drops", type=int, default=200, help="abrupt ends of clients")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the memory part")
    parser.add_argument("--out", type=Path, default=Path("soft_plant_load.json"))
    options = parser.parse_args(arguments)
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # a vanished client's own complaints
    try:
        rows = asyncio.run(measure(options))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    Console(width=None if sys.stdout.isatty() else 160).print(table(rows))
    document = {"rows": [asdict(row) for row in rows], "machine": platform.platform()}
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return EXIT_MISSED if any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
