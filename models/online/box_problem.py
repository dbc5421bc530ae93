"""The problem of a correction: a convex piecewise quadratic over a box, and what is said of it.

J(z) = 1/2 z'Hz + q'z + constant + k sum_i max(0, (M z + m)_i)^2,   low <= z <= high
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

_ASYMMETRY = 1e-9


class Flaw(StrEnum):
    """Why a problem has no certified answer."""

    NON_FINITE = "non_finite"
    EMPTY_BOX = "empty_box"
    UNBOUNDED = "unbounded"
    NOT_CONVEX = "not_convex"
    NOT_CERTIFIED = "not_certified"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxProblem:
    """J(z) = 1/2 z'Hz + q'z + constant + k sum_i max(0, (M z + m)_i)^2, and its box.

    hessian: (n, n) symmetric positive definite. linear: (n,). constant: J's constant term.
    ceiling_rows: (m, n), ceiling_offset: (m,), ceiling_penalty: k >= 0. low, high: (n,),
    low <= high; equal bounds hold a variable.
    """

    hessian: F64
    linear: F64
    constant: float
    ceiling_rows: F64
    ceiling_offset: F64
    ceiling_penalty: float
    low: F64
    high: F64

    def cost(self, z: F64) -> float:
        """J(z)."""
        return self.evaluate(z)[0]

    def gradient(self, z: F64) -> F64:
        """dJ/dz (n,)."""
        return self.evaluate(z)[1]

    def evaluate(self, z: F64) -> tuple[float, F64]:
        """J(z) and dJ/dz (n,)."""
        excess = np.maximum(0.0, self.ceiling_rows @ z + self.ceiling_offset)
        pull = self.hessian @ z
        smooth = 0.5 * z @ pull + self.linear @ z + self.constant
        cost = float(smooth + self.ceiling_penalty * (excess @ excess))
        slope: F64 = pull + self.linear
        return cost, slope + 2.0 * self.ceiling_penalty * (excess @ self.ceiling_rows)

    def curvature(self, z: F64) -> F64:
        """Generalised Hessian (n, n): ceilings count where they are exceeded."""
        rows = self.ceiling_rows[self.ceiling_rows @ z + self.ceiling_offset > 0.0]
        if rows.shape[0] == 0:
            return self.hessian
        return self.hessian + 2.0 * self.ceiling_penalty * (rows.T @ rows)

    def gap(self, z: F64, gradient: F64) -> float:
        """Frank-Wolfe gap at z: an upper bound of J(z) - min J over the box."""
        reach = np.maximum(gradient * (z - self.low), gradient * (z - self.high))
        return float(reach.sum())

    def residual(self, z: F64, gradient: F64) -> float:
        """KKT residual max |z - project(z - dJ/dz)|."""
        step = np.minimum(np.maximum(z - gradient, self.low), self.high)
        return float(np.abs(z - step).max(initial=0.0))

    def flaw(self) -> Flaw | None:
        """What forbids to minimise at all.

        The Cholesky factor proves J convex in this very instance: without that the gap proves
        nothing, however sound the weights were when the bundle was loaded.
        """
        numbers = (self.hessian, self.linear, self.ceiling_rows, self.ceiling_offset)
        figures = math.isfinite(self.constant) and math.isfinite(self.ceiling_penalty)
        if not (figures and all(np.isfinite(part).all() for part in numbers)):
            return Flaw.NON_FINITE
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):
            nan = np.isnan(self.low).any() or np.isnan(self.high).any()
            return Flaw.NON_FINITE if nan else Flaw.UNBOUNDED
        if (self.low > self.high).any():
            return Flaw.EMPTY_BOX
        slack = _ASYMMETRY * float(np.abs(self.hessian).max(initial=0.0))
        if self.ceiling_penalty < 0.0 or np.abs(self.hessian - self.hessian.T).max() > slack:
            return Flaw.NOT_CONVEX
        try:
            np.linalg.cholesky(self.hessian)
        except np.linalg.LinAlgError:
            return Flaw.NOT_CONVEX
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A certified point of the box: cost - min J <= gap, and gap is within the tolerance.

    z: (n,). kkt: residual max |z - project(z - dJ/dz)|.
    """

    z: F64
    cost: float
    gap: float
    kkt: float
    iterations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsolved:
    """No certified point, and why; gap and cost of the best iterate, NaN where there is none."""

    flaw: Flaw
    cost: float = math.nan
    gap: float = math.nan
    iterations: int = 0
