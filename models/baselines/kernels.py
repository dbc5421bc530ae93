"""Compiled kernels of a scalar PICNN at one state: cost, slope, curvature, descent, minimiser.

`models.baselines.scalar.ScalarModel.at` collapses everything that depends on the state. What is
left of the cost of an action a (n_mv,) is

    z_0 = softplus(A_0 a + b_0),  z_l = softplus(M_l z_{l-1} + A_l a + b_l),  M_l >= 0,
    c(a) = softplus(m z_last + p a + q) + 1/2 (a - o)' Q (a - o)

Parts, in this order: A (layers, width, n_mv), b (layers, width), M (layers - 1, width, width),
m (width,), (p, q) (n_mv + 1,), o (n_mv,), Q (n_mv, n_mv).
"""

from typing import TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Parts: TypeAlias = tuple[F64, F64, F64, F64, F64, F64, F64]

_ARMIJO = 1e-4
_HALVINGS = 40
_RIDGE = 1e-10
_ROUND_OFF = 1e-15

# Sums may be taken in another order (SIMD); NaN and infinity keep their meaning.
_compiled = numba.njit(cache=True, fastmath={"reassoc", "contract"}, error_model="numpy")


@_compiled
def _softplus(x: float) -> tuple[float, float]:
    """Softplus and its slope, without overflow."""
    e = np.exp(-abs(x))
    return max(x, 0.0) + np.log(1.0 + e), (1.0 if x >= 0.0 else e) / (1.0 + e)


@_compiled
def _forward(parts: Parts, a: F64, z: F64, slope: F64) -> tuple[float, float]:
    """Fill z and slope (layers, width); return the cost and the slope of the output unit."""
    inputs, offsets, mixes, last_z, last, centre, quadratic = parts
    layers, width, n = inputs.shape
    x = 0.0
    for i in range(layers):
        if i > 0:
            z[i] = mixes[i - 1] @ z[i - 1]
        else:
            z[i] = 0.0
        for k in range(width):
            x = float(z[i, k] + offsets[i, k])
            for j in range(n):
                x += inputs[i, k, j] * a[j]
            z[i, k], slope[i, k] = _softplus(x)
    x = float(last[n])
    for j in range(n):
        x += last[j] * a[j]
    for m in range(width):
        x += last_z[m] * z[layers - 1, m]
    cost, out = _softplus(x)
    for j in range(n):
        for m in range(n):
            cost += 0.5 * (a[j] - centre[j]) * quadratic[j, m] * (a[m] - centre[m])
    return cost, out


@_compiled
def _backward(parts: Parts, a: F64, slope: F64, out: float, price: F64) -> F64:
    """Gradient (n_mv,); fills price (layers, width), the derivative of the cost in each z."""
    inputs, _, mixes, last_z, last, centre, quadratic = parts
    layers, width, n = inputs.shape
    gradient = np.empty(n)
    for j in range(n):
        gradient[j] = out * last[j]
        for m in range(n):
            gradient[j] += quadratic[j, m] * (a[m] - centre[m])
    for k in range(width):
        price[layers - 1, k] = out * last_z[k]
    for i in range(layers - 1, -1, -1):
        push = price[i] * slope[i]
        for j in range(n):
            for k in range(width):
                gradient[j] += push[k] * inputs[i, k, j]
        if i > 0:
            price[i - 1] = push @ mixes[i - 1]
    return gradient


@_compiled
def _curvature(parts: Parts, slope: F64, out: float, price: F64) -> F64:
    """Hessian (n_mv, n_mv): price * softplus'' * the square of the Jacobian's row, unit by unit."""
    inputs, _, mixes, last_z, last, _, quadratic = parts
    hessian = quadratic.copy()
    jacobian = np.empty_like(inputs[0])
    for i in range(inputs.shape[0]):
        rows = inputs[i].copy()
        if i > 0:
            rows += mixes[i - 1] @ jacobian
        bend = price[i] * slope[i] * (1.0 - slope[i])
        hessian += (rows * bend.reshape(-1, 1)).T @ rows
        jacobian = rows * slope[i].reshape(-1, 1)
    row = last[:-1] + last_z @ jacobian
    return hessian + out * (1.0 - out) * np.outer(row, row)


@_compiled
def evaluate(parts: Parts, a: F64) -> tuple[float, F64, F64]:
    """Cost, gradient (n_mv,) and Hessian (n_mv, n_mv) at a."""
    z, slope, price = np.empty_like(parts[1]), np.empty_like(parts[1]), np.empty_like(parts[1])
    cost, out = _forward(parts, a, z, slope)
    gradient = _backward(parts, a, slope, out, price)
    return cost, gradient, _curvature(parts, slope, out, price)


@_compiled
def descend(  # noqa: PLR0917  (kernels take positional arguments only)
    parts: Parts, start: F64, low: F64, high: F64, steps: int, rate: float
) -> F64:
    """Truncated projected gradient descent (n_mv,): `steps` steps of size `rate` in the box."""
    z, slope, price = np.empty_like(parts[1]), np.empty_like(parts[1]), np.empty_like(parts[1])
    a = start.copy()
    for _ in range(steps):
        _, out = _forward(parts, a, z, slope)
        gradient = _backward(parts, a, slope, out, price)
        moved = False
        for j in range(a.size):
            new = min(max(a[j] - rate * gradient[j], low[j]), high[j])
            moved = moved or new != a[j]
            a[j] = new
        if not moved:  # a corner or a minimum: every further step would stay as well
            break
    return a


@_compiled
def _gap(a: F64, gradient: F64, low: F64, high: F64) -> float:
    """Frank-Wolfe gap: an upper bound of c(a) - min c over the box."""
    gap = 0.0
    for j in range(a.size):
        gap += max(gradient[j] * (a[j] - low[j]), gradient[j] * (a[j] - high[j]))
    return gap


@_compiled
def _direction(a: F64, gradient: F64, hessian: F64, low: F64, high: F64) -> F64:
    """Newton direction (n_mv,) in the variables that no bound holds, 0 in the others."""
    n = a.size
    system = hessian.copy()
    right = -gradient
    ridge = _RIDGE * (1.0 + np.trace(hessian))
    for j in range(n):
        system[j, j] += ridge
        held = (a[j] <= low[j] and gradient[j] >= 0.0) or (a[j] >= high[j] and gradient[j] <= 0.0)
        if held:
            system[j, :] = 0.0
            system[:, j] = 0.0
            system[j, j] = 1.0
            right[j] = 0.0
    return np.asarray(np.linalg.solve(system, right), dtype=np.float64)


@_compiled
def _search(  # noqa: PLR0917
    parts: Parts, a: F64, cost: float, gradient: F64, direction: F64, low: F64, high: F64
) -> tuple[F64, float]:
    """Armijo search along the projection of `direction`; the step taken, 0 where none descends."""
    z, slope = np.empty_like(parts[1]), np.empty_like(parts[1])
    size = 1.0
    for _ in range(_HALVINGS):
        trial = np.minimum(np.maximum(a + size * direction, low), high)
        slack = 0.0
        for j in range(a.size):
            slack += gradient[j] * (trial[j] - a[j])
        reached, _ = _forward(parts, trial, z, slope)
        # The last Newton step gains less than round-off, and takes the gap with it.
        if slack < 0.0 and reached <= cost + _ARMIJO * slack + _ROUND_OFF * (1.0 + abs(cost)):
            return trial, size
        size *= 0.5
    return a, 0.0


@_compiled
def minimise(  # noqa: PLR0917
    parts: Parts,
    start: F64,
    low: F64,
    high: F64,
    gap_absolute: float,
    gap_relative: float,
    iterations: int,
) -> tuple[F64, float, float, int]:
    """Projected Newton (Bertsekas 1982, doi:10.1137/0320018) to the gap: (a, cost, gap, steps).

    Where the Newton step does not descend, a projected gradient step does. Ends at
    gap <= gap_absolute + gap_relative |cost|, after `iterations` steps, or where round-off ends
    the descent; the caller decides by the gap, which is NaN for input that is not finite.
    """
    a = np.minimum(np.maximum(start, low), high)
    cost, gradient, hessian = evaluate(parts, a)
    gap = _gap(a, gradient, low, high)
    count = 0
    while count < iterations and gap > gap_absolute + gap_relative * abs(cost):
        direction = _direction(a, gradient, hessian, low, high)
        a, size = _search(parts, a, cost, gradient, direction, low, high)
        if size == 0.0:
            a, size = _search(parts, a, cost, gradient, -gradient, low, high)
        if size == 0.0:
            break
        count += 1
        cost, gradient, hessian = evaluate(parts, a)
        gap = _gap(a, gradient, low, high)
    return a, cost, gap, count
