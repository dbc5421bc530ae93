"""Products, and Cholesky factors of small symmetric matrices (Golub & Van Loan 2013, section 4.2).

All by rows: the inner loops are independent entry by entry, so they use SIMD, and the order of
every sum is the written one.
"""

import numpy as np
from numpy.typing import NDArray

from models.kernels.compiled import compiled

F64 = NDArray[np.float64]


@compiled("void(float64[::1], float64[:, ::1], float64[::1])")
def add_product(left: F64, matrix: F64, out: F64) -> None:
    """Add left (n,) times matrix (n, m) to out (m,), row after row; four rows a pass."""
    rows = left.size - left.size % 4
    for j in range(0, rows, 4):
        a, b, c, d = left[j], left[j + 1], left[j + 2], left[j + 3]
        for k in range(out.size):
            two = (out[k] + a * matrix[j, k]) + b * matrix[j + 1, k]
            out[k] = (two + c * matrix[j + 2, k]) + d * matrix[j + 3, k]
    for j in range(rows, left.size):
        a = left[j]
        for k in range(out.size):
            out[k] += a * matrix[j, k]


@compiled("float64(float64[::1], float64[::1])")
def dot(left: F64, right: F64) -> float:
    """Sum of left * right (n,), in four interleaved parts."""
    a = b = c = d = 0.0
    whole = left.size - left.size % 4
    for k in range(0, whole, 4):
        a += left[k] * right[k]
        b += left[k + 1] * right[k + 1]
        c += left[k + 2] * right[k + 2]
        d += left[k + 3] * right[k + 3]
    for k in range(whole, left.size):
        a += left[k] * right[k]
    return (a + b) + (c + d)


@compiled("boolean(float64[:, ::1], int64)")
def factor(a: F64, n: int) -> bool:
    """Replace the leading (n, n) block by its upper factor R, a = R'R; False if not definite.

    Only the upper triangle is read and written. NaN counts as not definite.
    """
    for j in range(n):
        if not a[j, j] > 0.0:
            return False
        root = np.sqrt(a[j, j])
        a[j, j] = root
        for k in range(j + 1, n):
            a[j, k] /= root
        for i in range(j + 1, n):
            share = a[j, i]
            for k in range(i, n):
                a[i, k] -= share * a[j, k]
    return True


@compiled("void(float64[:, ::1], float64[::1], int64)")
def solve_factored(upper: F64, x: F64, n: int) -> None:
    """Replace the first n entries of x by the solution y of R'R y = x."""
    for i in range(n):
        x[i] /= upper[i, i]
        for k in range(i + 1, n):
            x[k] -= upper[i, k] * x[i]
    for i in range(n - 1, -1, -1):
        entry = x[i]
        for k in range(i + 1, n):
            entry -= upper[i, k] * x[k]
        x[i] = entry / upper[i, i]
