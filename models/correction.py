"""Certified minimiser of the correction: a convex piecewise quadratic over a box.

    J(z) = 1/2 z'Hz + q'z + constant + k sum_i max(0, (M z + m)_i)^2,   low <= z <= high

solved by projected Newton steps (Bertsekas 1982, doi:10.1137/0320018): the bounds that the
gradient pushes against are held, the Newton system of the rest is solved, and the step is
searched along the projection (Armijo). The certificate is the Frank-Wolfe gap
g(z) = sum_i max over the box of dJ/dz_i (z_i - v_i), closed-form for a box; by convexity
J(z) - min J <= g(z) (Jaggi 2013, proceedings.mlr.press/v28/jaggi13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

_ARMIJO = 1e-4
_HALVINGS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxProblem:
    """J and its box.

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
        excess = np.maximum(0.0, self.ceiling_rows @ z + self.ceiling_offset)
        smooth = 0.5 * z @ (self.hessian @ z) + self.linear @ z + self.constant
        return float(smooth + self.ceiling_penalty * (excess @ excess))

    def gradient(self, z: F64) -> F64:
        """dJ/dz (n,)."""
        excess = np.maximum(0.0, self.ceiling_rows @ z + self.ceiling_offset)
        slope: F64 = self.hessian @ z + self.linear
        return slope + 2.0 * self.ceiling_penalty * (excess @ self.ceiling_rows)

    def curvature(self, z: F64) -> F64:
        """Generalised Hessian (n, n): ceilings count where they are exceeded."""
        rows = self.ceiling_rows[self.ceiling_rows @ z + self.ceiling_offset > 0.0]
        if rows.shape[0] == 0:
            return self.hessian
        return self.hessian + 2.0 * self.ceiling_penalty * (rows.T @ rows)

    def gap(self, z: F64, gradient: F64) -> float:
        """Frank-Wolfe gap at z: an upper bound of J(z) - min J over the box."""
        reach = np.maximum(gradient * (z - self.low), gradient * (z - self.high))
        return float(np.sum(reach))


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A point of the box and what is known of it; `kkt` is max |z - project(z - dJ/dz)|."""

    z: F64
    cost: float
    gap: float
    kkt: float
    iterations: int


def minimise(
    problem: BoxProblem,
    start: F64,
    *,
    gap_absolute: float,
    gap_relative: float,
    max_iterations: int,
) -> Solution:
    """Minimise J from `start` until gap <= gap_absolute + gap_relative |J|, or give the best.

    Deterministic and bounded by `max_iterations`. The caller decides by the gap, always:
    input that is not finite gives a gap that is not finite, and no certificate.
    """
    z = np.clip(start, problem.low, problem.high)
    cost, gradient = problem.cost(z), problem.gradient(z)
    gap = problem.gap(z, gradient)
    best = (gap, z, cost, gradient)
    iterations = 0
    while not gap <= gap_absolute + gap_relative * abs(cost) and iterations < max_iterations:
        iterations += 1
        z, cost = _step(problem, z, cost, gradient)
        gradient = problem.gradient(z)
        gap = problem.gap(z, gradient)
        if not np.isfinite(gap):
            break
        if gap < best[0]:
            best = (gap, z, cost, gradient)
    gap, z, cost, gradient = best
    kkt = float(np.max(np.abs(z - np.clip(z - gradient, problem.low, problem.high))))
    return Solution(z=z, cost=cost, gap=gap, kkt=kkt, iterations=iterations)


def _step(problem: BoxProblem, z: F64, cost: float, gradient: F64) -> tuple[F64, float]:
    """One projected Newton step with an Armijo search along the projection."""
    held = ((z <= problem.low) & (gradient >= 0)) | ((z >= problem.high) & (gradient <= 0))
    free = np.flatnonzero(~held)
    direction = np.zeros_like(z)
    if free.size:
        block = problem.curvature(z)[np.ix_(free, free)]
        direction[free] = -np.linalg.solve(block, gradient[free])
    size = 1.0
    for _ in range(_HALVINGS):
        trial = np.clip(z + size * direction, problem.low, problem.high)
        trial_cost = problem.cost(trial)
        if trial_cost <= cost + _ARMIJO * float(gradient @ (trial - z)):
            return trial, trial_cost
        size *= 0.5
    return z, cost
