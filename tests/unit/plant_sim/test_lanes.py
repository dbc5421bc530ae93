"""Lanes: exact ones have the bits of a single value, fast ones the errors they state."""

import math

import numba
import numpy as np
import pytest

from plant_sim.lane_functions import exp, inverse_fifth_root
from plant_sim.lane_types import ONE, ONE_FAST, WIDE, WIDE_FAST, Kind
from plant_sim.lanes import any_of, load, maximum, minimum, store, where

NAN, INF = math.nan, math.inf
EIGHT, EIGHT_FAST = Kind(8), Kind(8, fast=True)


def applied(kind, function, values):
    """`function` of each value, in groups as wide as `kind`."""
    width = kind.width

    @numba.njit(error_model="numpy")
    def run(x, y):
        for first in range(0, x.size, width):
            store(y, first, function(load(x, first, 1, kind)))

    x = np.array(values, dtype=np.float64)
    assert x.size % width == 0  # a load reads whole groups
    y = np.empty_like(x)
    run(x, y)
    return y


def of_two(kind, function, a, b):
    @numba.njit(error_model="numpy")
    def run(a, b, y):
        store(y, 0, function(load(a, 0, 1, kind), load(b, 0, 1, kind)))

    y = np.empty(8)
    run(np.array(a), np.array(b), y)
    return y


ARGUMENTS = np.random.default_rng(1).uniform(-30.0, 5.0, 4096)
ERRORS = 10.0 ** np.random.default_rng(2).uniform(-12.0, 12.0, 4096)


@pytest.mark.parametrize("kind", [ONE, EIGHT, WIDE])
def test_exact_functions_are_those_of_the_c_library(kind):
    assert applied(kind, exp, ARGUMENTS).tolist() == [math.exp(x) for x in ARGUMENTS.tolist()]
    roots = applied(kind, inverse_fifth_root, ERRORS)
    assert roots.tolist() == [math.pow(x, -0.2) for x in ERRORS.tolist()]


@pytest.mark.parametrize("kind", [ONE_FAST, EIGHT_FAST, WIDE_FAST])
def test_fast_functions_have_the_errors_they_state(kind):
    assert applied(kind, exp, ARGUMENTS) == pytest.approx(np.exp(ARGUMENTS), rel=1e-11, abs=0.0)
    wide = np.linspace(-700.0, 700.0, 4096)
    assert applied(kind, exp, wide) == pytest.approx(np.exp(wide), rel=1e-11, abs=0.0)
    roots = applied(kind, inverse_fifth_root, ERRORS)
    assert roots == pytest.approx(ERRORS**-0.2, rel=0.04)


@pytest.mark.parametrize("kind", [EIGHT, EIGHT_FAST])
def test_step_sizes_shrink_for_no_number_and_grow_for_no_error(kind):
    """What the integrator relies on: 0 gives a large root, infinity and nan none that grows."""
    roots = applied(kind, inverse_fifth_root, [0.0, INF, NAN, -NAN, 1.0, 0.0, INF, 1.0])
    assert roots[[0, 5]].min() > 5.0
    assert not (roots[[1, 2, 3, 6]] > 0.2).any()


def test_comparisons_treat_nan_as_python_does():
    a, b = [1.0, NAN, 2.0, NAN, -0.0, 0.0, INF, -INF], [2.0, 1.0, NAN, NAN, 0.0, -0.0, 1.0, 1.0]
    for function, python in ((maximum, max), (minimum, min)):
        found = of_two(EIGHT, function, a, b)
        wanted = np.array([python(x, y) for x, y in zip(a, b, strict=True)])
        assert found.tobytes() == wanted.tobytes()


def test_a_mask_chooses_lane_by_lane():
    @numba.njit(error_model="numpy")
    def run(a, b, y):
        x, z = load(a, 0, 1, EIGHT), load(b, 0, 1, EIGHT)
        mask = (x > 1.0) & (not (z >= x))
        store(y, 0, where(mask, x, 0.0))
        return any_of(mask), any_of(x > 99.0)

    a, b, y = np.arange(8.0), np.array([0.0, 0.0, 1.0, 9.0, 1.0, 5.0, NAN, 1.0]), np.empty(8)
    assert run(a, b, y) == (True, False)
    assert y.tolist() == [0.0, 0.0, 2.0, 0.0, 4.0, 0.0, 6.0, 7.0]
