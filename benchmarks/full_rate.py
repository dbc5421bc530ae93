"""Two clients that watch 500 tags each at 10 Hz: what arrives, and what it costs the plant."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.load_rows import Row
from benchmarks.wide_plant import WIDE_FIRST
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import Kind, Role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.soft_plant import SoftPlant

CLIENTS = (Role.OBSERVER, Role.OPERATOR)
"""Who watches: the plant bounds the items of a user, so each client is a user of its own."""
RATE_HZ = 10.0
CPU_GOAL = 60.0
"""Of the plant, in % of one core."""
FULL = 0.99
"""Of the values that there are to be had: the rest is what is under way at the ends."""
SETTLE_S = 3.0
READY_S = 120.0
_STILL = ("Sim/Truth/PeakTemperature",)
CHANGING = tuple(
    tag.number
    for tag in TAGS
    if tag.kind is Kind.DOUBLE
    and tag.path not in _STILL
    and tag.path.startswith(("R101/PV/", "Sim/Truth/", "Sim/PlantTime"))
)
"""Doubles that take a new value in every tick of a plant that runs with noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What one client had counted at one time."""

    at_s: float
    values: int
    repeated: int
    messages: int


class Counter:
    """A counting client in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, plant: SoftPlant, user: Role, nodes: list[list[int]], *, queue: int
    ) -> AsyncIterator[Counter]:
        """It has subscribed to everything; it ends with the context.  nodes: of each endpoint."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.counting_client",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        counter = cls(process)
        wanted: dict[str, Any] = {"urls": plant.endpoints, "nodes": nodes, "queue": queue}
        wanted |= {"user": str(user), "password": plant.passwords[user]}
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        process.stdin.write(json.dumps(wanted).encode() + b"\n")
        try:
            await asyncio.wait_for(counter.mark(), READY_S)
            yield counter
        finally:
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                await process.communicate()

    async def mark(self) -> Mark:
        """Its next report; raises RuntimeError where it has ended."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a counting client has ended; what it said is above")
        return Mark(**json.loads(line))

    async def until(self, at_s: float) -> Mark:
        """Its first report not before a time of the monotonic clock."""
        while (mark := await self.mark()).at_s < at_s:
            pass
        return mark


async def cpu_share(pid: int, seconds: float) -> float:
    """CPU of a process during the next seconds, in % of one core."""
    process = psutil.Process(pid)
    begun_s, before = time.monotonic(), process.cpu_times()
    await asyncio.sleep(seconds)
    after, taken_s = process.cpu_times(), time.monotonic() - begun_s
    return 100.0 * (after.user + after.system - before.user - before.system) / taken_s


def watched(units: int, tags: int, *, wide: bool) -> list[list[int]]:
    """Numbers of the tags to watch of each unit, `tags` in all."""
    if wide:
        return [list(range(WIDE_FIRST, WIDE_FIRST + tags))]
    shares = [tags // units + (place < tags % units) for place in range(units)]
    return [list(islice(cycle(CHANGING), share)) for share in shares]


async def publishing(
    plant: SoftPlant, *, tags: int, seconds: float, wide: bool = False
) -> list[Row]:
    """CPU of the plant without clients, and with two that watch `tags` items each.

    A queue of more than one value only where the plant writes as often as it publishes: the two
    drift through each other, and of two values in one interval none may be lost. Its own tags it
    writes twice as often, so the newest is enough.
    """
    idle = await cpu_share(plant.pid, max(5.0, seconds / 3))
    nodes = watched(len(plant.endpoints), tags, wide=wide)
    async with contextlib.AsyncExitStack() as stack:
        counters = [
            await stack.enter_async_context(
                Counter.running(plant, user, nodes, queue=10 if wide else 1)
            )
            for user in CLIENTS
        ]
        begun_s = time.monotonic() + SETTLE_S
        first = [await counter.until(begun_s) for counter in counters]
        busy = await cpu_share(plant.pid, seconds)
        ended_s = time.monotonic()
        last = [await counter.until(ended_s) for counter in counters]
    rates = [(b.values - a.values) / (b.at_s - a.at_s) for a, b in zip(first, last, strict=True)]
    arrived = sum(b.values - a.values for a, b in zip(first, last, strict=True))
    repeated = sum(b.repeated - a.repeated for a, b in zip(first, last, strict=True))
    distinct = sum(len(set(numbers)) for numbers in nodes)
    size = f"{tags} items on {distinct} tags, {len(CLIENTS)} clients, {len(nodes)} units"
    full = RATE_HZ * tags * len(CLIENTS)
    each = 1e4 * busy / sum(rates)
    return [
        Row(name="values", size=size, value=sum(rates), unit="per s", floor=FULL * full),
        Row(name="CPU of the plant", size=size, value=busy, unit="% of one core", goal=CPU_GOAL),
        Row(name="CPU of the plant, no client", size=size, value=idle, unit="% of one core"),
        Row(name="CPU of the plant a value", size=size, value=each, unit="us"),
        Row(name="at the full rate", size=size, value=each * full / 1e4, unit="% of one core"),
        Row(
            name="values that were the ones before",
            size=size,
            value=100.0 * repeated / max(1, arrived),
            unit="%",
            goal=0.1,
        ),
    ]
