"""Softplus and sigmoid of the kernels are those of the math library to round-off."""

import math

import numba
import numpy as np
import pytest

from models.kernels.elementary import decay, log_one_plus, sigmoid_of, softplus_of


@numba.njit
def all_of(x):
    e = decay(x)
    return e, log_one_plus(e), softplus_of(x, e), sigmoid_of(x, e)


POINTS = np.concatenate(
    (np.linspace(-60.0, 60.0, 20_001), [0.0, -0.0, 1e-300, -1e-12, 700.0, -700.0, 1e4, -1e300])
)


def test_they_are_right_to_round_off():
    for x in POINTS.tolist():
        e, log, softplus, sigmoid = all_of(x)
        assert e == pytest.approx(math.exp(-abs(x)), rel=5e-16, abs=1e-300)
        assert log == pytest.approx(math.log1p(math.exp(-abs(x))), rel=1e-15, abs=1e-300)
        assert softplus == pytest.approx(max(x, 0.0) + math.log1p(math.exp(-abs(x))), rel=1e-15)
        assert sigmoid == pytest.approx(0.5 * (1.0 + math.tanh(0.5 * x)), abs=4e-16)


def test_softplus_never_falls():
    values = [all_of(x)[2] for x in np.linspace(-40.0, 40.0, 100_001).tolist()]
    assert np.all(np.diff(values) >= 0.0)


def test_what_is_not_a_number_stays_visible():
    assert math.isnan(all_of(math.nan)[2])
    assert all_of(math.inf)[2] == math.inf
    assert all_of(-math.inf)[2] == pytest.approx(0.0, abs=1e-300)
