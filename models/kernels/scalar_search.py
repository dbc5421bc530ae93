"""Two ways down the scalar PICNN of one state over a box: certified, and as published.

Arguments and `Parts` as in `models.kernels.scalar_network`.
"""

import numpy as np
from numpy.typing import NDArray

from models.kernels.compiled import compiled
from models.kernels.linear import factor, solve_factored
from models.kernels.scalar_network import (
    MATRIX,
    PARTS,
    VECTOR,
    Parts,
    backward,
    curvature,
    forward,
)

F64 = NDArray[np.float64]

CERTIFIED, NON_FINITE, EMPTY_BOX, UNBOUNDED, NOT_CONVEX, NOT_CERTIFIED = range(6)
"""How a search ends."""
COST, GAP, ITERATIONS = range(3)
"""Entries of `found`."""

_ARMIJO = 1e-4
_HALVINGS = 40
_RIDGE = 1e-10
_ROUND_OFF = 1e-15


@compiled(f"int64({VECTOR})")
def _not_finite(entries: F64) -> int:
    """How many entries are NaN or infinite."""
    count = 0
    for k in range(entries.size):
        count += 0 if abs(entries[k]) < np.inf else 1
    return count


@compiled(f"int64({VECTOR})")
def _not_positive(entries: F64) -> int:
    """How many entries are negative, NaN or infinite."""
    count = 0
    for k in range(entries.size):
        count += 0 if entries[k] >= 0.0 and entries[k] < np.inf else 1
    return count


@compiled(f"boolean({MATRIX})")
def _semidefinite(matrix: F64) -> bool:
    """Whether a symmetric matrix has no negative eigenvalue beyond round-off."""
    n = matrix.shape[0]
    work = matrix.copy()
    size = 0.0
    for j in range(n):
        size = max(size, abs(matrix[j, j]))
        for m in range(j):
            size = max(size, abs(matrix[j, m]))
            if abs(matrix[j, m] - matrix[m, j]) > 1e-9 * size:
                return False
    for j in range(n):
        work[j, j] += 1e-12 * size
    return size == 0.0 or factor(work, n)


@compiled(f"int64({PARTS}, {VECTOR}, {VECTOR}, {VECTOR})")
def flaw(parts: Parts, start: F64, low: F64, high: F64) -> int:
    """What forbids a search at all, or CERTIFIED.

    Weights of the convex path that are negative would make every certificate void.
    """
    inputs, offsets, mixes, _, last_z, last, centre, quadratic = parts
    wrong = _not_finite(inputs.reshape(-1)) + _not_finite(offsets.reshape(-1))
    wrong += _not_finite(last) + _not_finite(centre) + _not_finite(start)
    wrong += _not_finite(quadratic.reshape(-1))
    concave = _not_positive(mixes.reshape(-1)) + _not_positive(last_z)
    if concave > 0:
        wrong += _not_finite(mixes.reshape(-1)) + _not_finite(last_z)
    if wrong > 0:
        return NON_FINITE
    for j in range(low.size):
        if np.isnan(low[j]) or np.isnan(high[j]):
            return NON_FINITE
        if low[j] > high[j]:
            return EMPTY_BOX
        if np.isinf(low[j]) or np.isinf(high[j]):
            return UNBOUNDED
    return NOT_CONVEX if concave > 0 or not _semidefinite(quadratic) else CERTIFIED


@compiled(f"float64({VECTOR}, {VECTOR}, {VECTOR}, {VECTOR})")
def _gap(a: F64, gradient: F64, low: F64, high: F64) -> float:
    """Frank-Wolfe gap: an upper bound of c(a) - min c over the box."""
    gap = 0.0
    for j in range(a.size):
        gap += max(gradient[j] * (a[j] - low[j]), gradient[j] * (a[j] - high[j]))
    return gap


@compiled(f"int64({PARTS}, {VECTOR}, {VECTOR}, {VECTOR}, int64, float64, {VECTOR})")
def descend(  # noqa: PLR0917
    parts: Parts, a: F64, low: F64, high: F64, steps: int, rate: float, found: F64
) -> int:
    """Truncated projected gradient descent: `steps` steps of size `rate` in the box; a moves.

    found (3,): see `COST`; the gap is that of the end, small or not.
    """
    found[:] = np.nan
    wrong = flaw(parts, a, low, high)
    if wrong != CERTIFIED:
        return wrong
    shape = parts[1].shape
    z, slope, price = np.empty(shape), np.empty(shape), np.empty(shape)
    gradient = np.empty(a.size)
    for j in range(a.size):
        a[j] = min(max(a[j], low[j]), high[j])
    count = 0
    while True:
        cost, out = forward(parts, a, z, slope)
        backward(parts, a, slope, out, price, gradient)
        if count == steps:
            break
        count += 1
        moved = False
        for j in range(a.size):
            new = min(max(a[j] - rate * gradient[j], low[j]), high[j])
            moved = moved or new != a[j]
            a[j] = new
        if not moved:  # a corner or a minimum: every further step would stay as well
            break
    found[COST], found[GAP], found[ITERATIONS] = cost, _gap(a, gradient, low, high), count
    return CERTIFIED if np.isfinite(found[GAP]) else NON_FINITE


@compiled(f"boolean({VECTOR}, {VECTOR}, {MATRIX}, {VECTOR}, {VECTOR}, {VECTOR})")
def _direction(  # noqa: PLR0917
    a: F64, gradient: F64, hessian: F64, low: F64, high: F64, direction: F64
) -> bool:
    """Newton direction (n_mv,) in the variables that no bound holds, 0 in the others."""
    n = a.size
    system = np.empty((n, n))
    trace = 0.0
    for j in range(n):
        trace += hessian[j, j]
    for j in range(n):
        for m in range(n):
            system[j, m] = hessian[j, m]
        system[j, j] += _RIDGE * (1.0 + trace)
        direction[j] = -gradient[j]
    for j in range(n):
        if (a[j] <= low[j] and gradient[j] >= 0.0) or (a[j] >= high[j] and gradient[j] <= 0.0):
            for m in range(n):
                system[j, m] = system[m, j] = 0.0
            system[j, j] = 1.0
            direction[j] = 0.0
    if not factor(system, n):
        return False
    solve_factored(system, direction, n)
    return True


@compiled(
    f"boolean({PARTS}, {VECTOR}, float64, {VECTOR}, {VECTOR}, {VECTOR}, {VECTOR},"
    f" {MATRIX}, {MATRIX})"
)
def _search(  # noqa: PLR0917
    parts: Parts,
    a: F64,
    cost: float,
    gradient: F64,
    direction: F64,
    low: F64,
    high: F64,
    z: F64,
    slope: F64,
) -> bool:
    """Armijo search along the projection of `direction`; a moves. False where none descends."""
    trial = np.empty(a.size)
    size = 1.0
    for _ in range(_HALVINGS):
        slack = 0.0
        for j in range(a.size):
            trial[j] = min(max(a[j] + size * direction[j], low[j]), high[j])
            slack += gradient[j] * (trial[j] - a[j])
        reached, _ = forward(parts, trial, z, slope)
        # The last Newton step gains less than round-off, and takes the gap with it.
        if slack < 0.0 and reached <= cost + _ARMIJO * slack + _ROUND_OFF * (1.0 + abs(cost)):
            a[:] = trial
            return True
        size *= 0.5
    return False


@compiled(f"int64({PARTS}, {VECTOR}, {VECTOR}, {VECTOR}, UniTuple(float64, 2), int64, {VECTOR})")
def minimise(  # noqa: C901, PLR0917
    parts: Parts,
    a: F64,
    low: F64,
    high: F64,
    tolerance: tuple[float, float],
    budget: int,
    found: F64,
) -> int:
    """Projected Newton (Bertsekas 1982, doi:10.1137/0320018) from a (n_mv,), which moves.

    Where the Newton step does not descend, a projected gradient step does. Ends at
    gap <= tolerance[0] + tolerance[1] |cost|, after `budget` steps, or where round-off ends the
    descent: then a is the iterate of the smallest gap. found (3,): see `COST`.
    """
    found[:] = np.nan
    wrong = flaw(parts, a, low, high)
    if wrong != CERTIFIED:
        return wrong
    n, shape = a.size, parts[1].shape
    z, slope, price = np.empty(shape), np.empty(shape), np.empty(shape)
    gradient, direction, hessian, best = np.empty(n), np.empty(n), np.empty((n, n)), np.empty(n)
    for j in range(n):
        a[j] = min(max(a[j], low[j]), high[j])
    count, least = 0, np.inf
    while True:
        cost, out = forward(parts, a, z, slope)
        backward(parts, a, slope, out, price, gradient)
        gap = _gap(a, gradient, low, high)
        if gap < least:
            least = gap
            best[:] = a
            found[COST], found[GAP] = cost, gap
        if gap <= tolerance[0] + tolerance[1] * abs(cost):
            found[ITERATIONS] = count
            return CERTIFIED
        if count >= budget or not np.isfinite(gap):
            break
        count += 1
        curvature(parts, slope, out, price, hessian)
        moved = _direction(a, gradient, hessian, low, high, direction)
        moved = moved and _search(parts, a, cost, gradient, direction, low, high, z, slope)
        if not moved:
            for j in range(n):
                direction[j] = -gradient[j]
            if not _search(parts, a, cost, gradient, direction, low, high, z, slope):
                break
    found[ITERATIONS] = count
    if least < np.inf:
        a[:] = best
    return NOT_CERTIFIED
