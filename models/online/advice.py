"""One scan's question and its answer: a certified move, or a refusal with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.online.features import ProcessSample

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceRequest:
    """One scan's question.

    low, high: (n_mv,) box of the next move, absolute [MV units]; it holds every limit of the
    guard, so that the answer can be written as it is. range_low, range_high: (n_mv,) limits
    of the later moves, each of which is planned to go no further than this one may; equal to
    low and high where an MV is not ours to move.
    windup_low, windup_high: (n_mv,) bool, reported by the plant. freeze: the integrators
    stand still (not in control, HOLD, or initialising).
    policy_move: (n_mv,) the move of a policy outside the bundle, cut to the range of the MVs and
    corrected like the bundle's own, which None asks.
    """

    sample: ProcessSample
    low: F64
    high: F64
    range_low: F64
    range_high: F64
    windup_low: NDArray[np.bool_]
    windup_high: NDArray[np.bool_]
    freeze: bool
    policy_move: F64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A certified move and where it came from.

    policy_move, move: (n_mv,) [MV units]; `move` lies in [low, high]. plan: (n_blocks, n_mv).
    predicted: (n_blocks, n_cv) [CV units] under the plan. target: (n_cv,) setpoint as shifted
    by the integrators. cost: J of the plan; `cost - min J <= gap <= tolerance`. kkt: residual
    max |z - project(z - dJ/dz)| in scaled moves. novelty: distance of the state from the training
    data over its calibrated threshold, above 1 unlike them. outside_bands: share of the
    remembered one-block predictions outside their error band. Both are NaN for a bundle without
    held-out episodes, and both only inform: nothing is refused for them. time_to_no_return_s: see
    `models.online.no_return`; it informs too.
    """

    policy_move: F64
    move: F64
    plan: F64
    predicted: F64
    target: F64
    cost: float
    gap: float
    tolerance: float
    kkt: float
    iterations: int
    novelty: float = math.nan
    outside_bands: float = math.nan
    time_to_no_return_s: float = math.nan

    @property
    def certified(self) -> bool:
        """Whether the Frank-Wolfe gap is within the tolerance (False for NaN)."""
        return self.gap <= self.tolerance


class RefusalReason(StrEnum):
    """Why there is no advice."""

    NON_FINITE_INPUT = "non_finite_input"
    EMPTY_BOX = "empty_box"
    OUTSIDE_ENVELOPE = "outside_envelope"
    NOT_CERTIFIED = "not_certified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No advice, and why, in words that an operator can act on."""

    reason: RefusalReason
    detail: str
