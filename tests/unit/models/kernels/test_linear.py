"""Products and Cholesky factors of the kernels, against NumPy."""

import numpy as np
import pytest

from models.kernels.linear import add_product, dot, factor, solve_factored


@pytest.mark.parametrize("n", [1, 2, 3, 7, 24])
def test_a_definite_system_is_solved(n):
    rng = np.random.default_rng(n)
    root = rng.normal(size=(n, n))
    matrix, right = root @ root.T + 0.1 * np.eye(n), rng.normal(size=n)
    work, solved = matrix.copy(), right.copy()
    assert factor(work, n)
    solve_factored(work, solved, n)
    np.testing.assert_allclose(matrix @ solved, right, atol=1e-9)


def test_only_the_leading_block_is_used():
    work = np.full((4, 4), np.nan)
    work[:2, :2] = [[4.0, 2.0], [2.0, 3.0]]
    right = np.array([2.0, 1.0, 7.0, 7.0])
    assert factor(work, 2)
    solve_factored(work, right, 2)
    np.testing.assert_allclose(right, [0.5, 0.0, 7.0, 7.0], atol=1e-15)


@pytest.mark.parametrize(
    "matrix", [np.diag([1.0, -1.0]), np.zeros((2, 2)), np.full((2, 2), np.nan), np.ones((2, 2))]
)
def test_what_is_not_definite_is_said(matrix):
    assert not factor(matrix.copy(), 2)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 8), (7, 3), (64, 64)])
def test_products(n, m):
    rng = np.random.default_rng(n)
    left, matrix, out = rng.normal(size=n), rng.normal(size=(n, m)), rng.normal(size=m)
    wanted = out + left @ matrix
    add_product(left, matrix, out)
    np.testing.assert_allclose(out, wanted, atol=1e-12)
    assert dot(left, left) == pytest.approx(left @ left)
