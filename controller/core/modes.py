"""The mode machine: one frozen state, one pure function.

INIT  nothing is known yet.            MANUAL  the operator wants no advice.
SHADOW everything is computed and recorded, no MV is written.
AUTO  the certified move is written.   HOLD  the last move stands, for at most 2 scans.
SHED  the DCS's own PI has the MVs; only an operator leads out of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controller.core.conditions import BARS, Effect
from controller.core.state import Mode, ModeState
from controller.core.types import OperatorMode

if TYPE_CHECKING:
    from controller.core.conditions import Effects


HOLD_SCANS = 2
"""A hold lasts at most this many scans: holding the last move is not safe on an unstable plant."""

ACTIVATION_SCANS = 2
"""Scans within which the DCS must take the targets after the first write."""


def next_mode(  # noqa: C901, PLR0911 - the whole machine stands in one table
    state: ModeState, found: Effects, operator: OperatorMode | None
) -> ModeState:
    """The mode of this scan.

    operator: the selector, None = unreadable.  Order: SHED over the operator's release over HOLD
    over AUTO.  AUTO is entered from MANUAL or SHADOW only, armed, with Auto selected and no bar; a
    hold that returns to AUTO keeps its count until one clean scan has passed, so that a fault on
    every second scan sheds too.
    """
    flags = found.flags
    before, state = state, _noticed(state, found, operator)
    held = bool(flags & Effect.HOLD) or operator is None
    waits = state.waits + 1 if flags & Effect.AWAIT else 0
    match state.mode, operator:
        case ((Mode.AUTO | Mode.HOLD), _) if flags & Effect.SHED:
            return _shed(found.why(Effect.SHED))
        case ((Mode.AUTO | Mode.HOLD), (OperatorMode.MANUAL | OperatorMode.SHADOW)):
            return _watching(state, operator, "released by the operator")
        case ((Mode.AUTO | Mode.HOLD), _) if waits > ACTIVATION_SCANS:
            return _shed(f"{found.why(Effect.AWAIT)}, {waits} scans after the first write")
        case ((Mode.AUTO | Mode.HOLD), _) if held:
            return _hold(state, found, waits=waits)
        case ((Mode.AUTO | Mode.HOLD), _):
            return _in_command(state, found, waits=waits)
        case Mode.SHED, _:
            return _leave_shed(state, found, operator, armed_before=before.armed)
        case _, None:
            return replace(state, reason=found.why(BARS) or "the operator's selector is unknown")
        case ((Mode.MANUAL | Mode.SHADOW), OperatorMode.AUTO) if state.armed and not flags & BARS:
            return ModeState(mode=Mode.AUTO, reason="selected by the operator", entering=True)
        case _, OperatorMode.AUTO:
            return _watching(state, OperatorMode.SHADOW, _why_not(state, found))
        case _, (OperatorMode.MANUAL | OperatorMode.SHADOW):
            return _watching(state, operator, "selected by the operator")
        case _:
            raise AssertionError(state.mode, operator)


def supervise(state: ModeState, found: Effects, operator: OperatorMode | None) -> ModeState:
    """The mode between scans: it may hold, shed, release or arm at once.

    It never enters or resumes AUTO.  A hold that it finds counts as one of the scans of a hold.
    """
    before, state = state, _noticed(state, found, operator)
    off = operator in {OperatorMode.MANUAL, OperatorMode.SHADOW}
    match state.mode:
        case Mode.AUTO | Mode.HOLD:
            return _supervise_command(state, found, operator)
        case Mode.SHED:
            return _leave_shed(state, found, operator, armed_before=before.armed)
        case Mode.MANUAL | Mode.SHADOW if operator is not None and off:
            return _watching(state, operator, "selected by the operator")
        case _:
            return state


def _supervise_command(
    state: ModeState, found: Effects, operator: OperatorMode | None
) -> ModeState:
    if found.flags & Effect.SHED:
        return _shed(found.why(Effect.SHED))
    if operator in {OperatorMode.MANUAL, OperatorMode.SHADOW}:
        return _watching(state, operator, "released by the operator")
    if state.mode is Mode.AUTO and (found.flags & Effect.HOLD or operator is None):
        return _hold(state, found, waits=state.waits)
    return state


def _noticed(state: ModeState, found: Effects, operator: OperatorMode | None) -> ModeState:
    """The state with its arm brought up to date: off Auto arms, a lost connection disarms."""
    off = operator in {OperatorMode.MANUAL, OperatorMode.SHADOW}
    armed = (state.armed or off) and not found.flags & Effect.DISARM
    return replace(state, armed=armed, entering=False)


def _in_command(state: ModeState, found: Effects, *, waits: int) -> ModeState:
    clean = state.mode is Mode.AUTO and waits == 0
    return replace(
        state,
        mode=Mode.AUTO,
        reason=found.why(Effect.AWAIT | Effect.NO_ENTRY) or "in command",
        holds=0 if clean else state.holds,
        waits=waits,
        acknowledged=state.acknowledged or waits == 0,
    )


def _watching(state: ModeState, mode: OperatorMode, reason: str) -> ModeState:
    chosen = Mode.MANUAL if mode is OperatorMode.MANUAL else Mode.SHADOW
    return ModeState(mode=chosen, reason=reason, armed=state.armed)


def _shed(reason: str) -> ModeState:
    return ModeState(mode=Mode.SHED, reason=reason)


def _leave_shed(
    state: ModeState, found: Effects, operator: OperatorMode | None, *, armed_before: bool
) -> ModeState:
    """Out of SHED by an act of the operator.

    A shed makes the DCS put its selector to Manual by itself, so Manual alone is no act: it counts
    once the DCS no longer waits for an acknowledgement.
    """
    match operator:
        case OperatorMode.SHADOW:
            return _watching(state, operator, "selected by the operator")
        case OperatorMode.AUTO if armed_before and state.armed:
            return _watching(state, OperatorMode.SHADOW, "Auto selected anew after a shed")
        case OperatorMode.MANUAL if armed_before and not found.flags & Effect.LATCHED:
            return _watching(state, operator, "acknowledged by the operator")
        case _:
            return state


def _hold(state: ModeState, found: Effects, *, waits: int) -> ModeState:
    """One hold more, or the end of holding."""
    reason = _hold_reason(found)
    if state.holds >= HOLD_SCANS:
        return _shed(f"held {HOLD_SCANS} scans: {reason}")
    return replace(state, mode=Mode.HOLD, reason=reason, holds=state.holds + 1, waits=waits)


def _hold_reason(found: Effects) -> str:
    return found.why(Effect.HOLD) or "the operator's selector cannot be read"


def _why_not(state: ModeState, found: Effects) -> str:
    """Why Auto is selected, yet not entered."""
    if not state.armed:
        return "Auto was selected before: move the selector off Auto and back"
    return f"waiting for AUTO: {found.why(BARS) or 'the next scan'}"
