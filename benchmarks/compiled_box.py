"""The minimiser of a scan compiled by numba: what the controller would have beside NumPy (ADR 6).

The steps, the certificate and the answers are those of `models.online.correction`.

`quadratic` is (H, q, M, m), H (n, n) symmetric, M (rows, n); `figures` is (constant, k).
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.kernels.compiled import compiled
from models.kernels.linear import factor, solve_factored

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
Quadratic: TypeAlias = tuple[F64, F64, F64, F64]

CERTIFIED, NON_FINITE, EMPTY_BOX, UNBOUNDED, NOT_CONVEX, NOT_CERTIFIED = range(6)
"""How `minimise` ends."""

COST, GAP, KKT, ITERATIONS = range(4)
"""Entries of `found`."""

_ARMIJO = 1e-4
_HALVINGS = 40
_PROJECTED_STEPS = 8
_FLAT = 1e-14
_ROUND_OFF = 1e-15
_ASYMMETRY = 1e-9

_QUADRATIC = "Tuple((float64[:, ::1], float64[::1], float64[:, ::1], float64[::1]))"
_VECTOR = "float64[::1]"
_PAIR = "UniTuple(float64, 2)"


@compiled(f"float64({_QUADRATIC}, {_PAIR}, {_VECTOR}, {_VECTOR}, {_VECTOR})")
def evaluate(
    quadratic: Quadratic, figures: tuple[float, float], z: F64, gradient: F64, excess: F64
) -> float:
    """J(z); fills gradient (n,) and excess (rows,) = M z + m."""
    hessian, linear, ceilings, offset = quadratic
    constant, penalty = figures
    n = z.size
    for i in range(n):
        gradient[i] = 0.0
    for j in range(n):
        for i in range(n):
            gradient[i] += hessian[j, i] * z[j]
    cost = constant
    for i in range(n):
        cost += (0.5 * gradient[i] + linear[i]) * z[i]
        gradient[i] += linear[i]
    for r in range(offset.size):
        over = offset[r]
        for i in range(n):
            over += ceilings[r, i] * z[i]
        excess[r] = over
        if over > 0.0:
            cost += penalty * over * over
            for i in range(n):
                gradient[i] += 2.0 * penalty * over * ceilings[r, i]
    return cost


@compiled(f"float64({_VECTOR}, {_VECTOR}, {_VECTOR}, {_VECTOR})")
def frank_wolfe_gap(z: F64, gradient: F64, low: F64, high: F64) -> float:
    """Upper bound of J(z) - min J over the box (Jaggi 2013), NaN for what is not finite."""
    gap = 0.0
    for i in range(z.size):
        down, up = gradient[i] * (z[i] - low[i]), gradient[i] * (z[i] - high[i])
        if not np.isfinite(down + up):
            return np.nan
        gap += max(down, up)
    return gap


@compiled(f"float64({_VECTOR}, {_VECTOR}, {_VECTOR}, {_VECTOR})")
def residual(z: F64, gradient: F64, low: F64, high: F64) -> float:
    """KKT residual max_i |z - project(z - dJ/dz)|_i."""
    worst = 0.0
    for i in range(z.size):
        worst = max(worst, abs(z[i] - min(max(z[i] - gradient[i], low[i]), high[i])))
    return worst


@compiled(f"int64({_QUADRATIC}, {_PAIR}, {_VECTOR}, {_VECTOR}, float64[:, ::1])")
def flaw(  # noqa: C901, PLR0911, PLR0912
    quadratic: Quadratic, figures: tuple[float, float], low: F64, high: F64, work: F64
) -> int:
    """What forbids to minimise at all, or CERTIFIED; work: (n, n) scratch.

    A Cholesky factor proves J convex, without which the gap proves nothing.
    """
    hessian, linear, ceilings, offset = quadratic
    n = linear.size
    for i in range(n):
        if np.isnan(low[i]) or np.isnan(high[i]) or not np.isfinite(linear[i]):
            return NON_FINITE
        for j in range(n):
            if not np.isfinite(hessian[i, j]):
                return NON_FINITE
            work[i, j] = hessian[i, j]
    for r in range(offset.size):
        if not np.isfinite(offset[r]):
            return NON_FINITE
        for i in range(n):
            if not np.isfinite(ceilings[r, i]):
                return NON_FINITE
    if not (np.isfinite(figures[0]) and np.isfinite(figures[1])):
        return NON_FINITE
    for i in range(n):
        if low[i] > high[i]:
            return EMPTY_BOX
        if np.isinf(low[i]) or np.isinf(high[i]):
            return UNBOUNDED
    for i in range(n):
        for j in range(i + 1, n):
            size = abs(hessian[i, i]) + abs(hessian[j, j])
            if abs(hessian[i, j] - hessian[j, i]) > _ASYMMETRY * size:
                return NOT_CONVEX
    if figures[1] < 0.0 or not factor(work, n):
        return NOT_CONVEX
    return CERTIFIED


@compiled(f"void({_VECTOR}, {_VECTOR}, {_VECTOR}, {_VECTOR}, boolean[::1])")
def _hold_pushed(z: F64, gradient: F64, low: F64, high: F64, held: Flags) -> None:
    """Mark the variables at a bound that the gradient pushes against it."""
    for i in range(z.size):
        held[i] = (z[i] <= low[i] and gradient[i] >= 0.0) or (
            z[i] >= high[i] and gradient[i] <= 0.0
        )


@compiled(
    f"boolean({_QUADRATIC}, float64, {_VECTOR}, {_VECTOR}, boolean[::1], {_VECTOR},"
    " float64[:, ::1])"
)
def _newton(  # noqa: C901, PLR0917
    quadratic: Quadratic,
    penalty: float,
    excess: F64,
    gradient: F64,
    held: Flags,
    direction: F64,
    work: F64,
) -> bool:
    """Newton direction (n,) in the variables not held, 0 in the others; False if round-off won."""
    hessian, _, ceilings, _ = quadratic
    n = gradient.size
    index = np.empty(n, dtype=np.int64)
    free = 0
    for i in range(n):
        direction[i] = 0.0
        if not held[i]:
            index[free] = i
            free += 1
    for a in range(free):
        for b in range(a, free):
            work[a, b] = hessian[index[a], index[b]]
    for r in range(excess.size):
        if excess[r] > 0.0:
            for a in range(free):
                share = 2.0 * penalty * ceilings[r, index[a]]
                for b in range(a, free):
                    work[a, b] += share * ceilings[r, index[b]]
    if not factor(work, free):
        return False
    right = np.empty(n)
    for a in range(free):
        right[a] = -gradient[index[a]]
    solve_factored(work, right, free)
    for a in range(free):
        direction[index[a]] = right[a]
    return True


@compiled(
    f"boolean({_QUADRATIC}, {_PAIR}, {_VECTOR}, float64, {_VECTOR}, {_VECTOR}, {_VECTOR},"
    f" {_VECTOR}, {_VECTOR}, {_VECTOR})"
)
def _projected_search(  # noqa: PLR0917
    quadratic: Quadratic,
    figures: tuple[float, float],
    z: F64,
    cost: float,
    gradient: F64,
    direction: F64,
    low: F64,
    high: F64,
    slope: F64,
    excess: F64,
) -> bool:
    """Armijo search along the projection of the direction; z moves. False where none descends."""
    n = z.size
    trial = np.empty(n)
    size = 1.0
    for _ in range(_HALVINGS):
        promised = 0.0
        for i in range(n):
            trial[i] = min(max(z[i] + size * direction[i], low[i]), high[i])
            promised += gradient[i] * (trial[i] - z[i])
        reached = evaluate(quadratic, figures, trial, slope, excess)
        # The last step gains less than round-off, and takes the gap with it.
        slack = _ROUND_OFF * (abs(cost) + abs(figures[0]))
        if reached <= cost + _ARMIJO * promised + slack:
            for i in range(n):
                z[i] = trial[i]
            return True
        size *= 0.5
    return False


@compiled(f"float64({_QUADRATIC}, float64, {_VECTOR}, {_VECTOR}, {_VECTOR}, float64)")
def _exact_size(  # noqa: C901, PLR0917
    quadratic: Quadratic,
    penalty: float,
    excess: F64,
    gradient: F64,
    direction: F64,
    reach: float,
) -> float:
    """Minimiser of J along `direction` in [0, reach]: the slope is piecewise linear in the size."""
    hessian, _, ceilings, _ = quadratic
    n, count = gradient.size, excess.size
    bend = np.zeros(count)
    kinks = np.empty(count + 1)
    total = 0
    slope, curve = 0.0, 0.0
    for i in range(n):
        slope += gradient[i] * direction[i]
        along = 0.0
        for j in range(n):
            along += hessian[i, j] * direction[j]
        curve += direction[i] * along
    for r in range(count):
        for i in range(n):
            bend[r] += ceilings[r, i] * direction[i]
        slope -= 2.0 * penalty * max(0.0, excess[r]) * bend[r]
        if bend[r] != 0.0:
            kink = -excess[r] / bend[r]
            if 0.0 < kink < reach:
                kinks[total] = kink
                total += 1
    kinks[total] = reach
    ends = np.sort(kinks[: total + 1])
    begin = 0.0
    for end in ends:
        middle = 0.5 * (begin + end) if np.isfinite(end) else begin + 1.0
        at_zero, rise = slope, curve
        for r in range(count):
            if excess[r] + middle * bend[r] > 0.0:
                at_zero += 2.0 * penalty * excess[r] * bend[r]
                rise += 2.0 * penalty * bend[r] * bend[r]
        if rise <= 0.0:
            return begin
        size = -at_zero / rise
        if size <= end:
            return max(size, begin)
        begin = end
    return begin


@compiled(
    f"boolean({_QUADRATIC}, float64, {_VECTOR}, {_VECTOR}, {_VECTOR}, boolean[::1], {_VECTOR},"
    f" {_VECTOR}, {_VECTOR}, float64[:, ::1])"
)
def _active_set_step(  # noqa: C901, PLR0917
    quadratic: Quadratic,
    penalty: float,
    excess: F64,
    z: F64,
    gradient: F64,
    held: Flags,
    low: F64,
    high: F64,
    direction: F64,
    work: F64,
) -> bool:
    """Newton step in the face of the held variables, up to the nearest bound; z and held change.

    Where the face has no descent left, the held variable that gains most is let go.
    """
    n = z.size
    if not _newton(quadratic, penalty, excess, gradient, held, direction, work):
        return False
    descent, size_of = 0.0, 0.0
    for i in range(n):
        descent -= gradient[i] * direction[i]
        size_of += gradient[i] * z[i]
    if descent <= _FLAT * (1.0 + abs(size_of)):
        most, which = 0.0, -1
        for i in range(n):
            stuck = (z[i] <= low[i] and gradient[i] >= 0.0) or (
                z[i] >= high[i] and gradient[i] <= 0.0
            )
            if held[i] and not stuck and abs(gradient[i]) > most:
                most, which = abs(gradient[i]), i
        if which >= 0:
            held[which] = False
            if not _newton(quadratic, penalty, excess, gradient, held, direction, work):
                return False
    reach = np.inf
    for i in range(n):
        if direction[i] != 0.0:
            bound = high[i] if direction[i] > 0.0 else low[i]
            reach = min(reach, (bound - z[i]) / direction[i])
    size = _exact_size(quadratic, penalty, excess, gradient, direction, reach)
    for i in range(n):
        bound = high[i] if direction[i] > 0.0 else low[i]
        blocks = size >= reach and direction[i] != 0.0 and (bound - z[i]) / direction[i] <= reach
        z[i] = bound if blocks else min(max(z[i] + size * direction[i], low[i]), high[i])
        held[i] = held[i] or blocks
    return True


@compiled(
    f"int64({_QUADRATIC}, {_PAIR}, {_VECTOR}, {_VECTOR}, {_PAIR}, int64, {_VECTOR}, {_VECTOR})"
)
def minimise(  # noqa: C901, PLR0917
    quadratic: Quadratic,
    figures: tuple[float, float],
    low: F64,
    high: F64,
    tolerance: tuple[float, float],
    budget: int,
    z: F64,
    found: F64,
) -> int:
    """Bring z (n,) from a start to gap <= tolerance[0] + tolerance[1] |J| in `budget` iterations.

    z ends as the iterate with the smallest gap, found (4,) says what is known of it, and the
    code returned how it ended. Projected Newton steps first, then active-set steps.
    """
    n, rows = z.size, quadratic[3].size
    work = np.empty((n, n))
    found[:] = np.nan
    found[ITERATIONS] = 0.0
    wrong = flaw(quadratic, figures, low, high, work)
    if wrong != CERTIFIED:
        return wrong
    for i in range(n):
        if not np.isfinite(z[i]):
            return NON_FINITE
        z[i] = min(max(z[i], low[i]), high[i])
    gradient, excess, direction = np.empty(n), np.empty(rows), np.empty(n)
    slope, spare = np.empty(n), np.empty(rows)
    held = np.zeros(n, dtype=np.bool_)
    best = np.empty(n)
    best_gap = np.inf
    count = 0
    while True:
        cost = evaluate(quadratic, figures, z, gradient, excess)
        gap = frank_wolfe_gap(z, gradient, low, high)
        if gap < best_gap:
            best_gap = gap
            best[:] = z
            found[COST], found[GAP] = cost, gap
            found[KKT] = residual(z, gradient, low, high)
        certified = gap <= tolerance[0] + tolerance[1] * abs(cost)
        if certified or count >= budget or not np.isfinite(gap):
            break
        count += 1
        if count <= _PROJECTED_STEPS:
            _hold_pushed(z, gradient, low, high, held)
            moved = _newton(quadratic, figures[1], excess, gradient, held, direction, work)
            moved = moved and _projected_search(
                quadratic, figures, z, cost, gradient, direction, low, high, slope, spare
            )
            if not moved:
                count = max(count, _PROJECTED_STEPS)
        else:
            if count == _PROJECTED_STEPS + 1:
                _hold_pushed(z, gradient, low, high, held)
            if not _active_set_step(
                quadratic, figures[1], excess, z, gradient, held, low, high, direction, work
            ):
                break
    found[ITERATIONS] = count
    if not best_gap < np.inf:
        return NOT_CERTIFIED
    z[:] = best
    return CERTIFIED if found[GAP] <= tolerance[0] + tolerance[1] * abs(found[COST]) else 5
