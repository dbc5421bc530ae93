"""The last check before a write.  It trusts nobody and repairs nothing.

A move that fails is not clipped into shape: the correction's box already holds every limit, so a
move outside it is a bug, nothing is written, and the next scan sheds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from controller.core.box import EmptyBox, move_box
from controller.core.state import Mode
from controller.core.types import (
    Advised,
    GuardReason,
    GuardRefusal,
    Move,
    MoveOrigin,
    flags,
    vector,
)

if TYPE_CHECKING:
    from controller.core.box import Box
    from controller.core.state import ModeState
    from controller.core.types import F64, Proposal, Readings
    from models.runtime import Advice


def guard(
    proposal: Proposal,
    readings: Readings,
    last: F64,
    *,
    state: ModeState,
    read_only: bool,
) -> Move | GuardRefusal:
    """The move to write, bit for bit the certified one, or why nothing is written.

    last: (n_mv,) the targets that the box of this scan started from; the box is computed again
    here, from the readings, and not taken from the request.
    """
    if read_only:
        return GuardRefusal(reason=GuardReason.READ_ONLY, detail="this controller writes nothing")
    if state.mode is not Mode.AUTO:
        return GuardRefusal(reason=GuardReason.NOT_IN_CONTROL, detail=f"the mode is {state.mode}")
    if not isinstance(proposal, Advised):
        return GuardRefusal(reason=GuardReason.NO_ADVICE, detail=type(proposal).__name__)
    box = move_box(readings, last)
    if isinstance(box, EmptyBox):
        return GuardRefusal(reason=GuardReason.EMPTY_BOX, detail=box.detail, mv=box.mv)
    refusal = _objection(proposal.advice, box, readings)
    if refusal is not None:
        return refusal
    write = flags(readings.available.tolist())
    return Move(
        targets=vector(np.where(write, proposal.advice.move, np.nan)),
        write=write,
        request=True,
        origin=MoveOrigin.CORRECTION,
        entering=not state.acknowledged,
    )


def release(count: int) -> Move:
    """No target for any of `count` MVs and Request withdrawn: the DCS takes the MVs back."""
    return Move(
        targets=vector([np.nan] * count),
        write=flags([False] * count),
        request=False,
        origin=MoveOrigin.RELEASE,
    )


def _objection(advice: Advice, box: Box, readings: Readings) -> GuardRefusal | None:
    """Why this advice must not be written, None when it may."""
    if not (np.isfinite(advice.gap) and np.isfinite(advice.tolerance) and advice.certified):
        detail = f"gap {advice.gap:g}, allowed {advice.tolerance:g}"
        return GuardRefusal(reason=GuardReason.NOT_CERTIFIED, detail=detail)
    move = advice.move
    if move.shape != box.low.shape or move.dtype != np.float64:
        detail = f"{move.dtype} {move.shape}, wanted float64 {box.low.shape}"
        return GuardRefusal(reason=GuardReason.SHAPE, detail=detail)
    limits = readings.limits
    follows = readings.available
    checks = (
        (GuardReason.NON_FINITE, np.isfinite(move)),
        (GuardReason.OUTSIDE_BOX, (box.low <= move) & (move <= box.high)),
        (
            GuardReason.OUTSIDE_LIMITS,
            ~follows
            | (limits.low <= move)
            & (move <= limits.high)
            & (limits.range_low <= move)
            & (move <= limits.range_high),
        ),
    )
    for reason, passed in checks:
        for index in np.flatnonzero(~passed):
            detail = f"{move[index]:g}, box {box.low[index]:g} to {box.high[index]:g}"
            return GuardRefusal(reason=reason, detail=detail, mv=int(index))
    return None
