"""Interleaved repetitions: what is compared runs in one run, turn by turn, in random order.

A machine that slows down for a while then slows all contenders, and a ratio of medians keeps its
meaning. Each call is timed by itself, on the wall clock and in CPU time of the calling thread. As
in the service, garbage collection is on, and what was allocated before is frozen out of it.
"""

from __future__ import annotations

import asyncio
import gc
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

WARM_UP_ROUNDS = 3
FEWEST_ROUNDS = 3
"""Counted rounds that are run however short the time is."""

FOR_P99, FOR_P999 = 100, 1000

NS = 1e-9


def _nothing() -> None:
    """No preparation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Something to call. calls: how often in a row in each round.

    lead_in: a call that is not timed goes before them, so that caches are what they are in a
    loop and not what the contender before has left; without it the calls are what they find.
    prepare: called before every call of `work`, and not timed.
    """

    name: str
    work: Callable[[], Any]
    calls: int = 1
    lead_in: bool = True
    prepare: Callable[[], None] = _nothing

    def untimed(self) -> Any:
        """One call, prepared; what it returned."""
        self.prepare()
        return self.work()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Quantiles of durations, by interpolation; NaN where there are too few to know: p99 takes
    100 of them, p999 takes 1000.
    """

    p50: float
    p99: float
    p999: float

    @classmethod
    def of(cls, durations: Sequence[float]) -> Self:
        """Quantiles of at least one duration; raises ValueError for none."""
        if not len(durations):
            raise ValueError("no repetition was timed")
        p50, p99, p999 = np.quantile(np.asarray(durations), (0.5, 0.99, 0.999)).tolist()
        count = len(durations)
        return cls(
            p50=p50,
            p99=p99 if count >= FOR_P99 else math.nan,
            p999=p999 if count >= FOR_P999 else math.nan,
        )

    def scaled(self, factor: float) -> Quantiles:
        """The same in another unit."""
        return Quantiles(p50=self.p50 * factor, p99=self.p99 * factor, p999=self.p999 * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What one contender took [s], and how often it was timed."""

    name: str
    wall: Quantiles
    cpu: Quantiles
    repetitions: int


@dataclass(slots=True)
class _Clock:
    """Durations of one contender [ns]."""

    contender: Contender
    wall: list[int] = field(default_factory=list)
    cpu: list[int] = field(default_factory=list)

    def timed(self) -> None:
        """Call once and time it."""
        self.contender.prepare()
        cpu = time.thread_time_ns()
        wall = time.perf_counter_ns()
        self.contender.work()
        self.wall.append(time.perf_counter_ns() - wall)
        self.cpu.append(time.thread_time_ns() - cpu)

    async def awaited(self) -> None:
        """Call once, await the answer, and time both; CPU time is the event loop's."""
        self.contender.prepare()
        cpu = time.thread_time_ns()
        wall = time.perf_counter_ns()
        await self.contender.work()
        self.wall.append(time.perf_counter_ns() - wall)
        self.cpu.append(time.thread_time_ns() - cpu)

    def timing(self) -> Timing:
        return Timing(
            name=self.contender.name,
            wall=Quantiles.of(self.wall).scaled(NS),
            cpu=Quantiles.of(self.cpu).scaled(NS),
            repetitions=len(self.wall),
        )


def measure(
    contenders: Sequence[Contender], *, seconds: float, seed: int = 0, idle_s: float = 0.0
) -> dict[str, Timing]:
    """Time all contenders in one run of about `seconds`; timings by name.

    idle_s: pause before each timed call, for what a call costs that comes now and then. Raises
    ValueError for two contenders of one name; what a contender raises ends the run.
    """
    clocks = _clocks(contenders)
    with _collector_as_in_service():
        for _ in range(WARM_UP_ROUNDS):
            for contender in contenders:
                contender.untimed()
        for order in _rounds(clocks, seconds, seed):
            for clock in order:
                if clock.contender.lead_in and not idle_s:
                    clock.contender.untimed()
                for _ in range(clock.contender.calls):
                    if idle_s:
                        time.sleep(idle_s)
                    clock.timed()
    return {clock.contender.name: clock.timing() for clock in clocks}


async def measure_async(
    contenders: Sequence[Contender],
    *,
    seconds: float,
    seed: int = 0,
    idle_s: float = 0.0,
    between: Callable[[], Awaitable[None]] | None = None,
) -> dict[str, Timing]:
    """As `measure`, for contenders whose `work` returns an awaitable.

    between: awaited, untimed, before each round. There are no lead-ins.
    """
    clocks = _clocks(contenders)
    with _collector_as_in_service():
        for _ in range(WARM_UP_ROUNDS):
            for contender in contenders:
                await contender.untimed()
        for order in _rounds(clocks, seconds, seed):
            if between is not None:
                await between()
            for clock in order:
                for _ in range(clock.contender.calls):
                    await asyncio.sleep(idle_s)
                    await clock.awaited()
    return {clock.contender.name: clock.timing() for clock in clocks}


def _clocks(contenders: Sequence[Contender]) -> list[_Clock]:
    names = [contender.name for contender in contenders]
    if len(set(names)) != len(names):
        raise ValueError(f"contenders: two of one name among {names}; name them apart")
    return [_Clock(contender) for contender in contenders]


def _rounds(clocks: list[_Clock], seconds: float, seed: int) -> Iterator[list[_Clock]]:
    """Orders of the rounds until the time is over, at least `FEWEST_ROUNDS`."""
    rng = np.random.default_rng(seed)
    end, count = time.perf_counter() + seconds, 0
    while count < FEWEST_ROUNDS or time.perf_counter() < end:
        yield [clocks[i] for i in rng.permutation(len(clocks))]
        count += 1


@contextmanager
def _collector_as_in_service() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
