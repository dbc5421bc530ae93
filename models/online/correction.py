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

import math
from typing import TYPE_CHECKING

import numpy as np

from models.online.box_problem import BoxProblem, Flaw, Solution, Unsolved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_ARMIJO = 1e-4
_HALVINGS = 40
_PROJECTED_STEPS = 8
_FLAT = 1e-14


def minimise(
    problem: BoxProblem,
    start: F64,
    *,
    gap_absolute: float,
    gap_relative: float,
    max_iterations: int,
) -> Solution | Unsolved:
    """Minimise J from `start` (n,) until gap <= gap_absolute + gap_relative |J|.

    Deterministic, and bounded: `max_iterations` is the budget, whatever the input. The first
    certified iterate is the answer; with none in the budget there is no answer, and never the
    start in its place.
    """
    flaw = problem.flaw() or (None if np.isfinite(start).all() else Flaw.NON_FINITE)
    if flaw is not None:
        return Unsolved(flaw=flaw)
    with np.errstate(all="ignore"):  # overflow ends in a gap that certifies nothing
        return _minimise(problem, start, gap_absolute, gap_relative, max_iterations)


def _minimise(
    problem: BoxProblem,
    start: F64,
    gap_absolute: float,
    gap_relative: float,
    max_iterations: int,
) -> Solution | Unsolved:
    z = np.minimum(np.maximum(start, problem.low), problem.high)
    best = (math.inf, math.nan)
    held = np.zeros(z.shape, dtype=np.bool_)
    cost, gradient = problem.evaluate(z)
    for iteration in range(max_iterations + 1):
        gap = problem.gap(z, gradient)
        if gap <= gap_absolute + gap_relative * abs(cost):
            kkt = problem.residual(z, gradient)
            return Solution(z=z, cost=cost, gap=gap, kkt=kkt, iterations=iteration)
        if gap < best[0]:
            best = (gap, cost)
        if not math.isfinite(gap) or iteration == max_iterations:
            break
        try:
            if iteration < _PROJECTED_STEPS:
                z, cost, gradient = _projected_step(problem, z, cost, gradient)
            else:
                if iteration == _PROJECTED_STEPS:
                    held = _pushed(problem, z, gradient)
                z, held = _active_set_step(problem, z, gradient, held)
                cost, gradient = problem.evaluate(z)
        except np.linalg.LinAlgError:  # convex, but too badly scaled for the arithmetic
            break
    gap, cost = best if math.isfinite(best[0]) else (math.nan, math.nan)
    return Unsolved(flaw=Flaw.NOT_CERTIFIED, cost=cost, gap=gap, iterations=iteration)


def descend(problem: BoxProblem, start: F64, *, steps: int, rate: float) -> Solution | Unsolved:
    """Truncated projected gradient descent from `start` (n,), as arXiv 2507.22640 corrects.

    Always `steps` steps of size `rate`: another controller than the minimum, with the gap that its
    end happens to have. The caller judges it; nothing here says that it is small.
    """
    flaw = problem.flaw() or (None if np.isfinite(start).all() else Flaw.NON_FINITE)
    if flaw is not None:
        return Unsolved(flaw=flaw)
    with np.errstate(all="ignore"):
        z = np.minimum(np.maximum(start, problem.low), problem.high)
        for _ in range(steps):
            moved = z - rate * problem.gradient(z)
            z = np.minimum(np.maximum(moved, problem.low), problem.high)
        cost, gradient = problem.evaluate(z)
        gap = problem.gap(z, gradient)
        if not math.isfinite(gap):
            return Unsolved(flaw=Flaw.NON_FINITE, iterations=steps)
        kkt = problem.residual(z, gradient)
        return Solution(z=z, cost=cost, gap=gap, kkt=kkt, iterations=steps)


def _pushed(problem: BoxProblem, z: F64, gradient: F64) -> Flags:
    """Variables at a bound that the gradient pushes against it."""
    low = (z <= problem.low) & (gradient >= 0)
    high = (z >= problem.high) & (gradient <= 0)
    return np.asarray(low | high, dtype=np.bool_)


def _newton_direction(problem: BoxProblem, z: F64, gradient: F64, free: Flags) -> F64:
    """Newton direction (n,) in the free variables, 0 in the others."""
    if free.all():
        return -np.asarray(np.linalg.solve(problem.curvature(z), gradient), dtype=np.float64)
    direction = np.zeros_like(z)
    index = np.flatnonzero(free)
    if index.size:
        block = problem.curvature(z)[np.ix_(index, index)]
        direction[index] = -np.linalg.solve(block, gradient[index])
    return direction


def _projected_step(
    problem: BoxProblem, z: F64, cost: float, gradient: F64
) -> tuple[F64, float, F64]:
    """One projected Newton step, Armijo's search along the projection: point, cost, gradient."""
    direction = _newton_direction(problem, z, gradient, ~_pushed(problem, z, gradient))
    size = 1.0
    for _ in range(_HALVINGS):
        trial = np.minimum(np.maximum(z + size * direction, problem.low), problem.high)
        reached, slope = problem.evaluate(trial)
        if reached <= cost + _ARMIJO * float(gradient @ (trial - z)):
            return trial, reached, slope
        size *= 0.5
    return z, cost, gradient


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
    room = np.where(direction == 0.0, np.inf, (bound - z) / direction)
    reach = float(room.min())
    size = _exact_size(problem, z, direction, gradient, reach)
    moved = np.minimum(np.maximum(z + size * direction, problem.low), problem.high)
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
