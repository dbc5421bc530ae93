"""What a foreign policy that overruns by 300 ms costs a loop that must wake every 20 ms.

The same overrun in its own process (as the controller has it), in a thread of the process (in
Python, which offers its lock every 5 ms, and in one call of C, which does not) and inline, in
turns, beside the idle loop. The lateness of a grid instant is the time from it until
the loop could act on it, so instants that an overrun swallowed count with what they waited.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.overrunning_policy import OVERRUN_S, spin
from controller.core.policy import PolicyLate
from controller.logs import configure
from controller.metrics import Labelling, Metrics
from controller.policy.foreign import ForeignPolicy
from controller.policy.start import PolicyOptions
from models.runtime import ProcessSample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Overrun = Callable[[], Awaitable[None]]

PERIOD_S = 0.02
EVERY = 25
"""Grid instants from one question to the next."""

TIMEOUT_S = 0.5 * PERIOD_S
ROUND_S = 2.0
IDLE, PROCESS, THREAD, LOCKED, INLINE = "idle", "process", "thread", "locked", "inline"
TWO = np.array([1.0, 2.0])
SAMPLE = ProcessSample(plant_time_s=0.0, cv=TWO, sp=TWO, mv=TWO, dv=TWO[:1])


async def lateness(overrun: Overrun, seconds: float) -> list[float]:
    """Lateness [s] of every instant of the grid, with an overrun at every EVERY-th of them."""
    loop = asyncio.get_running_loop()
    origin, number, found = loop.time(), 0, []
    waiting: set[asyncio.Task[None]] = set()
    while number * PERIOD_S < seconds:
        number += 1
        await asyncio.sleep(origin + number * PERIOD_S - loop.time())
        now = loop.time()
        asks = False
        while origin + number * PERIOD_S <= now:
            found.append(now - origin - number * PERIOD_S)
            asks = asks or number % EVERY == 0
            number += 1
        number -= 1
        if asks:
            waiting.add(asyncio.create_task(overrun()))
    await asyncio.gather(*waiting)
    return found


async def nothing() -> None:
    """An idle loop."""


class Threaded:
    """A model in a thread, under a time-out that cannot end it, nor fire while the lock is held."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._busy = False

    async def __call__(self) -> None:
        """One question at a time, as the worker gets them."""
        if not self._busy:
            self._busy = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT_S):
                    await asyncio.to_thread(self._overrun)

    def _overrun(self) -> None:
        try:
            self._work()
        finally:
            self._busy = False


def keep_the_lock(count: int) -> None:
    """One call that never offers the interpreter's lock, as much compiled code is."""
    sum(range(count))


def count_for(seconds: float) -> int:
    """What `keep_the_lock` is to be given to take that long here."""
    trial = 2_000_000
    begin = time.perf_counter()
    keep_the_lock(trial)
    return int(trial * seconds / (time.perf_counter() - begin))


async def inline() -> None:
    """An overrun in the loop itself."""
    spin(OVERRUN_S)


def client() -> ForeignPolicy:
    """The controller's own client of the overrunning policy."""
    options = PolicyOptions(
        python=None,
        load={
            "factory": "overrunning_policy:make",
            "folder": str(Path(__file__).resolve().parent),
        },
        cvs=["A", "B"],
        mvs=["F", "T"],
        dvs=["D"],
        warm_up=SAMPLE,
        timeout_s=TIMEOUT_S,
        start_timeout_s=30.0,
        stuck_s=30.0,
    )
    labels = Labelling(
        cvs=[], mvs=[], tags=[], modes=["AUTO"], outcomes=[], refusals=[], period_s=PERIOD_S,
        deadline_s=PERIOD_S, version="", model_name="", model_version="", model_sha256="",
    )  # fmt: skip
    return ForeignPolicy(options, Metrics(labels))


async def measured(seconds: float) -> dict[str, list[float]]:
    """Lateness [s] by case; the cases take turns, so that they share the machine's moods."""
    policy = client()

    def broken(error: BaseException) -> None:
        raise RuntimeError("the worker cannot be kept") from error

    reason = await policy.start(broken)
    if reason is not None:
        raise RuntimeError(reason)

    async def in_its_process() -> None:
        answer = await policy.ask(SAMPLE, asyncio.get_running_loop().time())
        if not isinstance(answer, PolicyLate):
            raise TypeError(f"late is wanted, not {answer}")

    cases: dict[str, Overrun] = {
        IDLE: nothing,
        PROCESS: in_its_process,
        THREAD: Threaded(partial(spin, OVERRUN_S)),
        LOCKED: Threaded(partial(keep_the_lock, count_for(OVERRUN_S))),
        INLINE: inline,
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    try:
        for _ in range(max(1, round(seconds / (ROUND_S * len(cases))))):
            for name, overrun in cases.items():
                found[name] += await lateness(overrun, ROUND_S)
                await asyncio.sleep(OVERRUN_S)  # what a thread or the worker is still at
    finally:
        await policy.close()
    return found


def rows(seconds: float) -> list[dict[str, Any]]:
    """Lateness [ms] with the overrun in its own process beside each of the other cases.

    ours, theirs: the 99th percentiles, as a loop that keeps time is judged by its tail.
    """
    configure(level="error")
    found = {
        name: 1e3 * np.array(values) for name, values in asyncio.run(measured(seconds)).items()
    }
    ours = found[PROCESS]
    words = {
        IDLE: "an idle loop",
        THREAD: "the same overrun in a thread, in Python",
        LOCKED: "the same overrun in a thread, in one call of C",
        INLINE: "the same overrun inline",
    }
    made = []
    for name, against in words.items():
        theirs = found[name]
        tail, other = float(np.quantile(ours, 0.99)), float(np.quantile(theirs, 0.99))
        made.append(
            {
                "name": "loop lateness (p99), foreign policy 300 ms over in its process",
                "size": f"{1e3 * PERIOD_S:.0f} ms grid, {len(ours)} instants",
                "against": against,
                "ours": tail,
                "theirs": other,
                "ratio": other / tail,
                "p50": float(np.median(ours)),
                "p99": tail,
                "p999": float(np.quantile(ours, 0.999)),
                "theirs_p99": other,
                "theirs_p999": float(np.quantile(theirs, 0.999)),
                "unit": "ms",
            }
        )
    return made


if __name__ == "__main__":
    for row in rows(60.0):
        print(row)
