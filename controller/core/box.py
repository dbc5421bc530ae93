"""The box of the next move: every limit of the guard, known before the model is asked.

The correction then searches inside the box, so that a certified move is written as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, assert_never

import numpy as np

from controller.core.conditions import BUMPLESS_SHARE
from controller.core.state import Mode
from controller.core.types import (
    NotWritten,
    NotWrittenReason,
    OperatorMode,
    Partial,
    Written,
    vector,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.core.state import ModeState
    from controller.core.types import F64, Move, Readings, WriteOutcome


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Box:
    """low, high: (n_mv,) the allowed next move, low <= high, in the manifest's units."""

    low: F64
    high: F64


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyBox:
    """There is no allowed move; mv: index of the first MV without one."""

    mv: int
    detail: str


BoxResult: TypeAlias = Box | EmptyBox


def move_box(readings: Readings, last: F64) -> BoxResult:
    """The box of the next move, (n_mv,) each.

    last: last accepted target; NaN where none is in force, and then the MV starts without a bump:
        Track +- 0.5 % of the span.  Otherwise last +- max_move.  Both are cut with the limits.
    An MV that does not follow the controller has zero width at Actual.  Where changed limits leave
    `last` outside them by more than max_move, the box is their nearest point: limits win over
    max_move.  A Track outside the limits has no bumpless start: EmptyBox.
    """
    sides = [_side(readings, last, index) for index in range(last.size)]
    for index, side in enumerate(sides):
        if isinstance(side, str):
            return EmptyBox(mv=index, detail=side)
    pairs = [side for side in sides if not isinstance(side, str)]
    return Box(low=vector(low for low, _ in pairs), high=vector(high for _, high in pairs))


def box_origin(state: ModeState, readings: Readings, last: F64, *, read_only: bool) -> F64:
    """From where this scan's move starts: the `last` of `move_box` and of the guard, (n_mv,).

    state: at the scan's start.  In command, the last accepted targets, as far as they are in force:
    NaN (start anew from Track) while the DCS is not Active and for an MV that does not follow.
    About to enter AUTO, NaN.  Otherwise nothing will be written, and the advice starts from Actual.
    """
    if state.in_control:
        if readings.handshake.active is False:
            return no_targets(last.size)
        return targets_in_force(last, readings)
    watching = state.mode in {Mode.MANUAL, Mode.SHADOW}
    selected = state.armed and readings.handshake.operator is OperatorMode.AUTO
    return no_targets(last.size) if watching and selected and not read_only else readings.mv


def no_targets(count: int) -> F64:
    """`last` when no target is in force: (count,) NaN."""
    return vector([np.nan] * count)


def targets_in_force(last: F64, readings: Readings) -> F64:
    """`last` (n_mv,), NaN for an MV that does not follow: given back, it starts from Track."""
    return vector(np.where(readings.available, last, np.nan))


def accepted_targets(
    last: F64,
    move: Move | None,
    outcome: WriteOutcome,
    *,
    state: ModeState,
    readings: Readings,
    target_keys: Sequence[str],
) -> F64:
    """The targets in force after a scan's write, NaN where none is.

    state: after the scan.  None is in force out of AUTO and HOLD, for an MV that does not follow,
    and where a write went unanswered: each such MV starts anew from Track.
    """
    if not state.in_control:
        return no_targets(last.size)
    held = targets_in_force(last, readings)
    if move is None:
        return held
    match outcome:
        case Written():
            return vector(np.where(move.write, move.targets, held))
        case Partial(failures=failures):
            failed = {failure.tag for failure in failures}
            accepted = move.write & np.array([key not in failed for key in target_keys])
            return vector(np.where(accepted, move.targets, held))
        case NotWritten(reason=NotWrittenReason.TIMEOUT | NotWrittenReason.DISCONNECTED):
            return vector(np.where(move.write, np.nan, held))
        case NotWritten():
            return held
        case _:
            assert_never(outcome)


def _side(readings: Readings, last: F64, index: int) -> tuple[float, float] | str:
    """(low, high) of one MV, or why there is none."""
    if not readings.available[index]:
        actual = float(readings.mv[index])
        return (actual, actual) if np.isfinite(actual) else "Actual cannot be read"
    limits = readings.limits
    low, high = float(limits.low[index]), float(limits.high[index])
    reach = float(limits.max_move[index])
    if not (low <= high and reach >= 0.0):
        return f"limits {low:g} to {high:g}, largest move {reach:g}: crossed or unreadable"
    if np.isnan(last[index]):
        span = float(limits.range_high[index] - limits.range_low[index])
        return _entry(float(readings.track[index]), min(reach, BUMPLESS_SHARE * span), low, high)
    centre = float(last[index])
    if centre + reach < low or centre - reach > high:
        nearest = low if centre < low else high
        return nearest, nearest
    return max(low, centre - reach), min(high, centre + reach)


def _entry(track: float, reach: float, low: float, high: float) -> tuple[float, float] | str:
    """The bumpless start of one MV, or why there is none."""
    if not np.isfinite(track):
        return "Track cannot be read"
    if track + reach < low or track - reach > high:
        return f"Track {track:g} is outside the limits {low:g} to {high:g}"
    return max(low, track - reach), min(high, track + reach)
