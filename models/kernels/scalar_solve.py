"""From the features of a state to its action in one call: collapse, then search.

The parts live and die inside: what a caller pays is the arithmetic and one crossing from Python.
Arguments as in `models.kernels.scalar_network.collapse` and `models.kernels.scalar_search`.
"""

import numpy as np
from numpy.typing import NDArray

from models.kernels.compiled import compiled
from models.kernels.scalar_network import CUBE, MATRIX, PARTS, VECTOR, Parts, collapse
from models.kernels.scalar_search import descend, minimise

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_MODEL = f"{VECTOR}, int64[:, ::1], {CUBE}, {VECTOR}, {CUBE}, {CUBE}, {VECTOR}"
_STATE = f"{VECTOR}, {VECTOR}, {MATRIX}"
_SEARCH = f"{VECTOR}, {VECTOR}, {VECTOR}"


@compiled(f"{PARTS}({_MODEL}, {_STATE})")
def _collapsed(  # noqa: PLR0917  (kernels take positional arguments only)
    packed: F64,
    sizes: I64,
    a_path: F64,
    a_last: F64,
    mixes: F64,
    turned: F64,
    z_last: F64,
    features: F64,
    centre: F64,
    quadratic: F64,
) -> Parts:
    """The parts at a state."""
    layers, n, width = a_path.shape
    parts = (
        np.empty((layers, n, width)),
        np.empty((layers, width)),
        np.empty((layers - 1, width)),
        mixes,
        turned,
        np.empty(width),
        np.empty(n + 1),
        centre,
        quadratic,
    )
    collapse(packed, sizes, a_path, a_last, z_last, features, parts)
    return parts


@compiled(f"int64({_MODEL}, {_STATE}, {_SEARCH}, float64, float64, int64, {VECTOR})")
def solve(  # noqa: PLR0917
    packed: F64,
    sizes: I64,
    a_path: F64,
    a_last: F64,
    mixes: F64,
    turned: F64,
    z_last: F64,
    features: F64,
    centre: F64,
    quadratic: F64,
    a: F64,
    low: F64,
    high: F64,
    gap_absolute: float,
    gap_relative: float,
    budget: int,
    found: F64,
) -> int:
    """The certified minimiser at a state; a (n_mv,) moves, codes as of `minimise`."""
    parts = _collapsed(
        packed, sizes, a_path, a_last, mixes, turned, z_last, features, centre, quadratic
    )
    return int(minimise(parts, a, low, high, (gap_absolute, gap_relative), budget, found))


@compiled(f"int64({_MODEL}, {_STATE}, {_SEARCH}, int64, float64, {VECTOR})")
def follow(  # noqa: PLR0917
    packed: F64,
    sizes: I64,
    a_path: F64,
    a_last: F64,
    mixes: F64,
    turned: F64,
    z_last: F64,
    features: F64,
    centre: F64,
    quadratic: F64,
    a: F64,
    low: F64,
    high: F64,
    steps: int,
    rate: float,
    found: F64,
) -> int:
    """The published descent at a state; a (n_mv,) moves, codes as of `descend`."""
    parts = _collapsed(
        packed, sizes, a_path, a_last, mixes, turned, z_last, features, centre, quadratic
    )
    return int(descend(parts, a, low, high, steps, rate, found))
