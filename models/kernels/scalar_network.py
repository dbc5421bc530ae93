"""The scalar PICNN at one state, compiled: collapse, cost, slope and curvature.

Everything that depends on the state is collapsed once; what is left of the cost of an action a is

    z_0 = softplus(A_0' a + b_0),  z_l = softplus(M_l' z_{l-1} + A_l' a + b_l),  M_l >= 0,
    c(a) = softplus(m z_last + p a + q) + 1/2 (a - o)' Q (a - o)

`Parts`: A (layers, n_mv, width), b (layers, width), M (layers - 1, width, width) with the row of
the unit that gives, its transposes, m (width,), (p, q) (n_mv + 1,), o (n_mv,), Q (n_mv, n_mv).
Inner loops run over the units of a layer, each unit summing in the same order: they use SIMD and
give the same bits at any width of it.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.kernels.compiled import compiled
from models.kernels.elementary import decay, sigmoid_of, softplus_of
from models.kernels.linear import add_product, dot

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Parts: TypeAlias = tuple[F64, F64, F64, F64, F64, F64, F64, F64]

VECTOR, MATRIX, CUBE = "float64[::1]", "float64[:, ::1]", "float64[:, :, ::1]"
PARTS = f"Tuple(({CUBE}, {MATRIX}, {CUBE}, {CUBE}, {VECTOR}, {VECTOR}, {VECTOR}, {MATRIX}))"


@compiled(f"void({VECTOR}, int64[:, ::1], {CUBE}, {VECTOR}, {CUBE}, {VECTOR}, {VECTOR}, {PARTS})")
def collapse(  # noqa: C901, PLR0917  (kernels take positional arguments only)
    packed: F64,
    sizes: I64,
    a_path: F64,
    a_last: F64,
    z_path: F64,
    z_last: F64,
    features: F64,
    parts: Parts,
) -> None:
    """Fill the parts of the state `features` (n_features,), all but the quadratic ones.

    packed: for every layer the weights (n_in, n_out) of all that is affine in the layer's input,
    then their biases (n_out,); outputs in the order a_gate (n_mv), u_path (width, or 1 for the
    last), z_gate (width, from the second layer on), next state (width, but for the last).
    sizes (layers + 1, 2): n_in and n_out. a_path (layers, n_mv, width), a_last (n_mv,), z_path
    (layers - 1, width, width) with the row of the unit that gives, z_last (width,).
    """
    inputs, offsets, mixes, turned, last_z, last = parts[:6]
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
        at_state = n_mv + width
        if i > 0:
            for k in range(width):
                gate = max(out[n_mv + width + k], 0.0)
                for m in range(width):
                    mixes[i - 1, k, m] = z_path[i - 1, k, m] * gate
            for m in range(width):
                for k in range(width):
                    turned[i - 1, m, k] = mixes[i - 1, k, m]
            at_state += width
        u = out[at_state : at_state + width].copy()
        for k in range(width):
            entry = float(u[k])
            u[k] = entry * sigmoid_of(entry, decay(entry))


@compiled(f"void({VECTOR}, {VECTOR})")
def _activate(x: F64, slope: F64) -> None:
    """Replace x (width,) by its softplus and fill slope with the sigmoid of x."""
    for k in range(x.size):
        entry = float(x[k])
        e = decay(entry)
        x[k] = softplus_of(entry, e)
        slope[k] = sigmoid_of(entry, e)


@compiled(f"UniTuple(float64, 2)({PARTS}, {VECTOR}, {MATRIX}, {MATRIX})")
def forward(parts: Parts, a: F64, z: F64, slope: F64) -> tuple[float, float]:
    """Fill z and slope (layers, width); return the cost and the slope of the output unit."""
    inputs, offsets, mixes, _, last_z, last, centre, quadratic = parts
    layers, n = inputs.shape[:2]
    for i in range(layers):
        row = z[i]
        row[:] = offsets[i]
        add_product(a, inputs[i], row)
        if i > 0:
            add_product(z[i - 1], mixes[i - 1], row)
        _activate(row, slope[i])
    x = float(last[n])
    for j in range(n):
        x += last[j] * a[j]
    x += dot(last_z, z[layers - 1])
    e = decay(x)
    cost = softplus_of(x, e)
    for j in range(n):
        for m in range(n):
            cost += 0.5 * (a[j] - centre[j]) * quadratic[j, m] * (a[m] - centre[m])
    return cost, sigmoid_of(x, e)


@compiled(f"void({PARTS}, {VECTOR}, {MATRIX}, float64, {MATRIX}, {VECTOR})")
def backward(  # noqa: PLR0917
    parts: Parts, a: F64, slope: F64, out: float, price: F64, gradient: F64
) -> None:
    """Fill the gradient (n_mv,) and price (layers, width), the derivative of the cost in z."""
    inputs, _, _, turned, last_z, last, centre, quadratic = parts
    layers, n, width = inputs.shape
    for j in range(n):
        gradient[j] = out * last[j]
        for m in range(n):
            gradient[j] += quadratic[j, m] * (a[m] - centre[m])
    push = np.empty(width)
    for k in range(width):
        price[layers - 1, k] = out * last_z[k]
    for i in range(layers - 1, -1, -1):
        for k in range(width):
            push[k] = price[i, k] * slope[i, k]
        for j in range(n):
            gradient[j] += dot(push, inputs[i, j])
        if i > 0:
            price[i - 1] = 0.0
            add_product(push, turned[i - 1], price[i - 1])


@compiled(f"void({PARTS}, {MATRIX}, float64, {MATRIX}, {MATRIX})")
def curvature(  # noqa: C901
    parts: Parts, slope: F64, out: float, price: F64, hessian: F64
) -> None:
    """Fill the Hessian (n_mv, n_mv): price * softplus'' * the square of the Jacobian's row."""
    inputs, _, mixes, _, last_z, last, _, quadratic = parts
    layers, n, width = inputs.shape
    rows, jacobian = np.empty((n, width)), np.zeros((n, width))
    bend, bent = np.empty(width), np.empty(width)
    hessian[:] = quadratic
    for i in range(layers):
        for j in range(n):
            rows[j] = inputs[i, j]
            if i > 0:
                add_product(jacobian[j], mixes[i - 1], rows[j])
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
    cost, out = forward(parts, a, z, slope)
    backward(parts, a, slope, out, price, gradient)
    curvature(parts, slope, out, price, hessian)
    return cost
