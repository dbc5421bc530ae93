"""One manipulated variable as the APC sees it: remote target, limits, tracking, windup.

A frozen value and pure functions. Two targets are kept apart: `written` is what the Target node
shows, `target` what is in force after the plant's own clamp and rate limit. While the loop does not
follow, both go back to the actual output (back-initialisation), so that taking over never bumps.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from plant_sim.plant import LoopMode

ENTRY_MOVE = 0.005
"""Largest move on entry, share of the MV's range: the plant's own bumpless-transfer limit."""
OFFER_LIFETIME_S = 1.0
"""How long a Target written before control is given stays on offer, wall time [s]."""
LIMIT_TOLERANCE = 1e-9
"""Share of the range within which an output counts as being at its limit."""


class Limited(StrEnum):
    """Which limit shaped the last target."""

    NO = ""
    LOW = "LOW LIMIT"
    HIGH = "HIGH LIMIT"
    RATE = "RATE LIMIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteLoop:
    """State of one MV, engineering units. low, high: its range; the rest as in the tag table."""

    low: float
    high: float
    lo_lim: float
    hi_lim: float
    max_move: float
    mode: LoopMode = LoopMode.RCAS
    output: float
    target: float
    written: float
    offered_until_s: float = -inf
    limited: Limited = Limited.NO

    @property
    def span(self) -> float:
        """Width of the range."""
        return self.high - self.low


def make_loop(low: float, high: float, max_move: float, actual: float) -> RemoteLoop:
    """The loop at its defaults: limits at the range, remote control permitted."""
    return RemoteLoop(
        low=low,
        high=high,
        lo_lim=low,
        hi_lim=high,
        max_move=max_move,
        output=actual,
        target=actual,
        written=actual,
    )


def offer(loop: RemoteLoop, value: float, *, following: bool, now_s: float) -> RemoteLoop:
    """Take a written Target: into force at once when following, else kept for the entry."""
    loop = replace(loop, written=value)
    if not following:
        return replace(loop, offered_until_s=now_s + OFFER_LIFETIME_S)
    return _move(loop, value, loop.max_move)


def enter(loop: RemoteLoop, actual: float, now_s: float) -> RemoteLoop:
    """Begin to follow: from the actual output, by at most `ENTRY_MOVE` to a target on offer."""
    held = replace(loop, target=actual, limited=Limited.NO, offered_until_s=-inf)
    if now_s > loop.offered_until_s:
        return replace(held, written=actual)
    return _move(held, loop.written, min(loop.max_move, ENTRY_MOVE * loop.span))


def track(loop: RemoteLoop, actual: float, now_s: float) -> RemoteLoop:
    """Back-initialise a loop that does not follow: targets, and Output unless it drives."""
    written = loop.written if now_s <= loop.offered_until_s else actual
    output = loop.output if loop.mode is LoopMode.MAN else actual
    if (loop.target, loop.written, loop.output, loop.limited) == (
        actual,
        written,
        output,
        Limited.NO,
    ):
        return loop
    return replace(loop, target=actual, written=written, output=output, limited=Limited.NO)


def relimit(loop: RemoteLoop) -> RemoteLoop:
    """Apply limits that the operator changed to the target in force."""
    target = min(max(loop.target, loop.lo_lim), loop.hi_lim)
    if target == loop.target:
        return loop
    limited = Limited.HIGH if target < loop.target else Limited.LOW
    return replace(loop, target=target, limited=limited)


def windup(loop: RemoteLoop, value: float) -> tuple[bool, bool]:
    """Whether `value` (the output in force) has no room left downwards, upwards."""
    slack = LIMIT_TOLERANCE * loop.span
    return value <= loop.lo_lim + slack, value >= loop.hi_lim - slack


def _move(loop: RemoteLoop, wanted: float, largest: float) -> RemoteLoop:
    """Go from the target in force towards `wanted`: rate first, limits last."""
    rated = min(max(wanted, loop.target - largest), loop.target + largest)
    target = min(max(rated, loop.lo_lim), loop.hi_lim)
    limited = Limited.NO
    if target < rated:
        limited = Limited.HIGH
    elif target > rated:
        limited = Limited.LOW
    elif rated != wanted:
        limited = Limited.RATE
    return replace(loop, target=target, limited=limited)
