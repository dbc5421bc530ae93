"""The simulation clock: an absolute grid of wall ticks, each worth `tick_s * speed` of plant time.

Pure arithmetic on monotonic seconds; the server sleeps and asks. The grid never drifts (tick k is
due at `origin_s + k * tick_s`), and a stall is caught up by at most `max_catch_up` ticks: the rest
is dropped and counted, because a plant that leaps hours is worse than one that falls behind.
"""

from dataclasses import dataclass, replace
from math import floor


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationClock:
    """Where the grid stands. index: last tick served.  slipped: ticks dropped since the start."""

    origin_s: float
    tick_s: float
    max_catch_up: int = 4
    index: int = 0
    slipped: int = 0


def due(clock: SimulationClock, now_s: float) -> tuple[SimulationClock, int]:
    """The clock after serving every tick up to `now_s`, and how many of them to run (bounded)."""
    index = floor((now_s - clock.origin_s) / clock.tick_s)
    ticks = index - clock.index
    if ticks <= 0:
        return clock, 0
    run = min(ticks, clock.max_catch_up)
    return replace(clock, index=index, slipped=clock.slipped + ticks - run), run


def wake_s(clock: SimulationClock) -> float:
    """Monotonic time of the next tick."""
    return clock.origin_s + (clock.index + 1) * clock.tick_s


def plant_seconds(clock: SimulationClock, ticks: int, speed: float) -> float:
    """Plant time that `ticks` are worth at `speed` [s]."""
    return ticks * clock.tick_s * speed
