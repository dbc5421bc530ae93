"""Certified minimiser of the correction: a convex piecewise quadratic over a box.

    J(z) = 1/2 z'Hz + q'z + constant + k sum_i max(0, (M z + m)_i)^2,   low <= z <= high

solved in two phases. Projected Newton steps (Bertsekas 1982, doi:10.1137/0320018) change many
bounds at once: the bounds that the gradient pushes against are held, the Newton system of the
rest is solved, and the step is searched along the projection (Armijo). Where bounds and
ceilings meet these steps can chatter, so after a few of them a primal active-set method
(Nocedal & Wright 2006, section 16.5) with an exact line search takes over, which changes one
bound at a time and cannot. The certificate is the Frank-Wolfe gap
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
    Flags = NDArray[np.bool_]

_ARMIJO = 1e-4
_HALVINGS = 40
_PROJECTED_STEPS = 8
_FLAT = 1e-14


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
        with np.errstate(invalid="ignore", over="ignore"):  # no certificate, but no warning
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
    held = np.zeros(z.shape, dtype=np.bool_)
    iterations = 0
    while not gap <= gap_absolute + gap_relative * abs(cost) and iterations < max_iterations:
        if not np.isfinite(gap):
            break
        iterations += 1
        if iterations <= _PROJECTED_STEPS:
            z = _projected_step(problem, z, cost, gradient)
        else:
            if iterations == _PROJECTED_STEPS + 1:
                held = _pushed(problem, z, gradient)
            z, held = _active_set_step(problem, z, gradient, held)
        cost, gradient = problem.cost(z), problem.gradient(z)
        gap = problem.gap(z, gradient)
        if gap < best[0]:
            best = (gap, z, cost, gradient)
    gap, z, cost, gradient = best
    if not np.isfinite(gap):
        return Solution(z=z, cost=cost, gap=np.nan, kkt=np.nan, iterations=iterations)
    kkt = float(np.max(np.abs(z - np.clip(z - gradient, problem.low, problem.high))))
    return Solution(z=z, cost=cost, gap=gap, kkt=kkt, iterations=iterations)


def _pushed(problem: BoxProblem, z: F64, gradient: F64) -> Flags:
    """Variables at a bound that the gradient pushes against it."""
    low = (z <= problem.low) & (gradient >= 0)
    high = (z >= problem.high) & (gradient <= 0)
    return np.asarray(low | high, dtype=np.bool_)


def _newton_direction(problem: BoxProblem, z: F64, gradient: F64, free: Flags) -> F64:
    """Newton direction (n,) in the free variables, 0 in the others."""
    direction = np.zeros_like(z)
    index = np.flatnonzero(free)
    if index.size:
        block = problem.curvature(z)[np.ix_(index, index)]
        direction[index] = -np.linalg.solve(block, gradient[index])
    return direction


def _projected_step(problem: BoxProblem, z: F64, cost: float, gradient: F64) -> F64:
    """One projected Newton step with an Armijo search along the projection."""
    direction = _newton_direction(problem, z, gradient, ~_pushed(problem, z, gradient))
    size = 1.0
    for _ in range(_HALVINGS):
        trial = np.clip(z + size * direction, problem.low, problem.high)
        if problem.cost(trial) <= cost + _ARMIJO * float(gradient @ (trial - z)):
            return trial
        size *= 0.5
    return z


def _active_set_step(problem: BoxProblem, z: F64, gradient: F64, held: Flags) -> tuple[F64, Flags]:
    """Newton step in the face of the held variables, up to the nearest bound.

    Where the face has no descent left, the held variable that gains most is let go.
    """
    direction = _newton_direction(problem, z, gradient, ~held)
    if -float(gradient @ direction) <= _FLAT * (1.0 + abs(float(gradient @ z))):
        gain = np.where(held & ~_pushed(problem, z, gradient), np.abs(gradient), 0.0)
        if gain.max() > 0.0:
            held = held.copy()
            held[int(np.argmax(gain))] = False
            direction = _newton_direction(problem, z, gradient, ~held)
    bound = np.where(direction > 0.0, problem.high, problem.low)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(direction == 0.0, np.inf, (bound - z) / direction)
    reach = float(room.min())
    size = _exact_size(problem, z, direction, gradient, reach)
    moved = np.clip(z + size * direction, problem.low, problem.high)
    if size < reach:
        return moved, held
    blocking = room <= reach
    return np.where(blocking, bound, moved), np.asarray(held | blocking, dtype=np.bool_)


def _exact_size(problem: BoxProblem, z: F64, direction: F64, gradient: F64, reach: float) -> float:
    """Minimiser of J along `direction` in [0, reach]: the slope is piecewise linear in the size."""
    bend = problem.ceiling_rows @ direction
    excess = problem.ceiling_rows @ z + problem.ceiling_offset
    over = np.maximum(0.0, excess)
    slope = float(gradient @ direction) - 2.0 * problem.ceiling_penalty * float(over @ bend)
    curve = float(direction @ (problem.hessian @ direction))
    moving = bend != 0.0
    kinks = -excess[moving] / bend[moving]
    ends = np.append(np.sort(kinks[(kinks > 0.0) & (kinks < reach)]), reach)
    begin = 0.0
    for end in ends.tolist():
        middle = 0.5 * (begin + end) if np.isfinite(end) else begin + 1.0
        on = excess + middle * bend > 0.0
        at_zero = slope + 2.0 * problem.ceiling_penalty * float(excess[on] @ bend[on])
        rise = curve + 2.0 * problem.ceiling_penalty * float(bend[on] @ bend[on])
        if rise <= 0.0:
            return begin
        size = -at_zero / rise
        if size <= end:
            return max(size, begin)
        begin = end
    return begin
