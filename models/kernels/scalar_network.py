"""The scalar PICNN at one state, compiled: collapse, cost, slope and curvature.

Everything that depends on the state is collapsed once; what is left of the cost of an action a is

    z_0 = softplus(A_0' a + b_0),  z_l = softplus(M_l' [g_l * z_{l-1}] + A_l' a + b_l),
    c(a) = softplus(m z_last + p a + q) + 1/2 (a - o)' Q (a - o),  M_l, g_l, m >= 0

`Parts`: A (layers, n_mv, width), b (layers, width), g (layers - 1, width), M (layers - 1, width,
width) with the row of the unit that gives, its transposes, m (width,), (p, q) (n_mv + 1,),
o (n_mv,), Q (n_mv, n_mv). M does not depend on the state and is shared, not filled.
Inner loops run over the units of a layer, each unit summing in the same order: they use SIMD and
give the same bits at any width of it.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.kernels.compiled import compiled
from models.kernels.elementary import softplus
from models.kernels.linear import add_product, dot

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Parts: TypeAlias = tuple[F64, F64, F64, F64, F64, F64, F64, F64, F64]

VECTOR, MATRIX, CUBE = "float64[::1]", "float64[:, ::1]", "float64[:, :, ::1]"
PARTS = (
    f"Tuple(({CUBE}, {MATRIX}, {MATRIX}, {CUBE}, {CUBE}, {VECTOR}, {VECTOR}, {VECTOR}, {MATRIX}))"
)


@compiled(f"void({VECTOR}, int64[:, ::1], {CUBE}, {VECTOR}, {VECTOR}, {VECTOR}, {PARTS})")
def collapse(  # noqa: PLR0917  (kernels take positional arguments only)
    packed: F64,
    sizes: I64,
    a_path: F64,
    a_last: F64,
    z_last: F64,
    features: F64,
    parts: Parts,
) -> None:
    """Fill the parts of the state `features` (n_features,): all but the quadratic ones and M.

    packed: for every layer the weights (n_in, n_out) of all that is affine in the layer's input,
    then their biases (n_out,); outputs in the order a_gate (n_mv), u_path (width, or 1 for the
    last), z_gate (width, from the second layer on), next state (width, but for the last).
    sizes (layers + 1, 2): n_in and n_out. a_path (layers, n_mv, width), a_last (n_mv,), z_last
    (width,).
    """
    inputs, offsets, gates, _, _, last_z, last = parts[:7]
    layers, n_mv, width = inputs.shape
    u = features
    at = 0
    for i in range(layers + 1):
        n_in, n_out = sizes[i]
        out = packed[at + n_in * n_out : at + (n_in + 1) * n_out].copy()
        add_product(u, packed[at : at + n_in * n_out].reshape(n_in, n_out), out)
        at += (n_in + 1) * n_out
        if i == layers:
            for j in range(n_mv):
                last[j] = a_last[j] * out[j]
            last[n_mv] = out[n_mv]
            for k in range(width):
                last_z[k] = z_last[k] * max(out[n_mv + 1 + k], 0.0)
            return
        for j in range(n_mv):
            for k in range(width):
                inputs[i, j, k] = a_path[i, j, k] * out[j]
        offsets[i] = out[n_mv : n_mv + width]
        if i > 0:
            for k in range(width):
                gates[i - 1, k] = max(out[n_mv + width + k], 0.0)
        u = out[n_out - width :].copy()
        for k in range(width):
            entry = float(u[k])
            u[k] = entry * softplus(entry)[1]


@compiled(f"void({CUBE}, int64, {VECTOR}, {MATRIX}, int64)")
def _add_rows(cube: F64, at: int, left: F64, out: F64, i: int) -> None:
    """Add left (n,) times cube[at] (n, m) to out[i] (m,), four rows a pass.

    `models.kernels.linear.add_product` without views: they would cost as much as the sums.
    """
    whole = left.size - left.size % 4
    for j in range(0, whole, 4):
        a, b, c, d = left[j], left[j + 1], left[j + 2], left[j + 3]
        for k in range(out.shape[1]):
            two = (out[i, k] + a * cube[at, j, k]) + b * cube[at, j + 1, k]
            out[i, k] = (two + c * cube[at, j + 2, k]) + d * cube[at, j + 3, k]
    for j in range(whole, left.size):
        a = left[j]
        for k in range(out.shape[1]):
            out[i, k] += a * cube[at, j, k]


@compiled(f"UniTuple(float64, 2)({PARTS}, {VECTOR}, {MATRIX}, {MATRIX}, {VECTOR})")
def forward(parts: Parts, a: F64, z: F64, slope: F64, spare: F64) -> tuple[float, float]:
    """Fill z and slope (layers, width); return the cost and the slope of the output unit.

    spare: (width,) scratch.
    """
    inputs, offsets, gates, mixes, _, last_z, last, centre, quadratic = parts
    layers, n, width = inputs.shape
    for i in range(layers):
        for k in range(width):
            z[i, k] = offsets[i, k]
        _add_rows(inputs, i, a, z, i)
        if i > 0:
            for k in range(width):
                spare[k] = gates[i - 1, k] * z[i - 1, k]
            _add_rows(mixes, i - 1, spare, z, i)
        for k in range(width):
            z[i, k], slope[i, k] = softplus(float(z[i, k]))
    x = float(last[n]) + dot(last_z, z[layers - 1])
    for j in range(n):
        x += last[j] * a[j]
    cost, out = softplus(x)
    for j in range(n):
        for m in range(n):
            cost += 0.5 * (a[j] - centre[j]) * quadratic[j, m] * (a[m] - centre[m])
    return cost, out


@compiled(f"void({PARTS}, {VECTOR}, {MATRIX}, float64, {MATRIX}, {VECTOR}, {VECTOR})")
def backward(  # noqa: PLR0917
    parts: Parts, a: F64, slope: F64, out: float, price: F64, gradient: F64, spare: F64
) -> None:
    """Fill the gradient (n_mv,) and price (layers, width), the derivative of the cost in z.

    spare: (width,) scratch.
    """
    inputs, _, gates, _, turned, last_z, last, centre, quadratic = parts
    layers, n, width = inputs.shape
    for j in range(n):
        gradient[j] = out * last[j]
        for m in range(n):
            gradient[j] += quadratic[j, m] * (a[m] - centre[m])
    for k in range(width):
        price[layers - 1, k] = out * last_z[k]
    for i in range(layers - 1, -1, -1):
        for k in range(width):
            spare[k] = price[i, k] * slope[i, k]
        for j in range(n):
            gradient[j] += dot(spare, inputs[i, j])
        if i > 0:
            for k in range(width):
                price[i - 1, k] = 0.0
            _add_rows(turned, i - 1, spare, price, i - 1)
            for k in range(width):
                price[i - 1, k] *= gates[i - 1, k]


@compiled(f"void({PARTS}, {MATRIX}, float64, {MATRIX}, {MATRIX})")
def curvature(  # noqa: C901
    parts: Parts, slope: F64, out: float, price: F64, hessian: F64
) -> None:
    """Fill the Hessian (n_mv, n_mv): price * softplus'' * the square of the Jacobian's row."""
    inputs, _, gates, mixes, _, last_z, last, _, quadratic = parts
    layers, n, width = inputs.shape
    rows, jacobian = np.empty((n, width)), np.zeros((n, width))
    bend, bent = np.empty(width), np.empty(width)
    hessian[:] = quadratic
    for i in range(layers):
        for j in range(n):
            rows[j] = inputs[i, j]
            if i > 0:
                for k in range(width):
                    bent[k] = gates[i - 1, k] * jacobian[j, k]
                add_product(bent, mixes[i - 1], rows[j])
        for k in range(width):
            bend[k] = price[i, k] * slope[i, k] * (1.0 - slope[i, k])
        for j in range(n):
            for k in range(width):
                bent[k] = bend[k] * rows[j, k]
                jacobian[j, k] = rows[j, k] * slope[i, k]
            for m in range(n):
                hessian[j, m] += dot(bent, rows[m])
    ends = last[:n].copy()
    for j in range(n):
        ends[j] += dot(last_z, jacobian[j])
    for j in range(n):
        for m in range(n):
            hessian[j, m] += out * (1.0 - out) * ends[j] * ends[m]


@compiled(f"float64({PARTS}, {VECTOR}, {VECTOR}, {MATRIX})")
def evaluate(parts: Parts, a: F64, gradient: F64, hessian: F64) -> float:
    """Cost at a (n_mv,); fills gradient (n_mv,) and Hessian (n_mv, n_mv)."""
    shape = parts[1].shape
    z, slope, price = np.empty(shape), np.empty(shape), np.empty(shape)
    spare = np.empty(shape[1])
    cost, out = forward(parts, a, z, slope, spare)
    backward(parts, a, slope, out, price, gradient, spare)
    curvature(parts, slope, out, price, hessian)
    return cost
