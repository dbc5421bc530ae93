"""The compiled search of the scalar PICNN: certified or refused by name, whatever it is given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.baselines.scalar import ScalarModel
from models.baselines.scalar_cost import Minimum, descend, minimise
from models.learning.scalar_picnn import ScalarPicnn
from models.online.box_problem import Flaw, Unsolved

N_FEATURES = 4
EXACT = {"gap_absolute": 1e-9, "gap_relative": 1e-6, "max_iterations": 60}
FIELDS = ["inputs", "offsets", "gates", "mixes", "last_z", "last", "centre", "quadratic"]


def collapsed(seed, n_mv, *, size=1.0):
    """The cost at one state of a network drawn from `seed`, with a bowl."""
    import torch

    torch.manual_seed(seed)
    network = ScalarPicnn(N_FEATURES, n_mv, width=12, layers=2).double()
    model = ScalarModel(network.tensors("s"), "s", layers=2, n_features=N_FEATURES, n_mv=n_mv)
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n_mv, n_mv))
    cost = model.at(size * rng.normal(size=N_FEATURES))
    return cost._replace(centre=rng.normal(size=n_mv), quadratic=root @ root.T)


def both(cost, start, low, high):
    box = (np.array(low, dtype=float), np.array(high, dtype=float))
    return (
        minimise(cost, start, *box, **EXACT),
        descend(cost, start, box, steps=50, rate=0.05),
    )


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**31), n_mv=st.integers(1, 6), size=st.floats(1e-6, 1e2))
def test_every_sound_cost_is_certified_inside_the_box(seed, n_mv, size):
    cost, rng = collapsed(seed, n_mv, size=size), np.random.default_rng(seed)
    low = rng.uniform(-1.0, 0.5, n_mv)
    high = low + np.where(rng.random(n_mv) < 0.2, 0.0, 0.5)
    found, descended = both(cost, rng.normal(size=n_mv), low, high)
    assert isinstance(found, Minimum)
    assert np.all((low <= found.action) & (found.action <= high))
    assert 0.0 <= found.gap <= 1e-9 + 1e-6 * abs(found.cost)
    assert found.cost - found.gap <= descended.cost + 1e-12 * (1.0 + abs(descended.cost))
    assert descended.cost - found.cost <= descended.gap + 1e-12 * (1.0 + abs(found.cost))
    again = both(cost, rng.normal(size=n_mv) * 0.0, low, high)[0]
    assert abs(again.cost - found.cost) <= max(again.gap, found.gap) + 1e-15


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    field=st.sampled_from(FIELDS),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    at=st.integers(0, 10**6),
)
def test_a_number_that_is_not_finite_is_refused_by_name(seed, field, value, at):
    cost = collapsed(seed % 50, 2)
    part = getattr(cost, field).copy()
    part.reshape(-1)[at % part.size] = value
    for found in both(cost._replace(**{field: part}), np.zeros(2), [-1, -1], [1, 1]):
        assert isinstance(found, Unsolved)
        assert found.flaw is Flaw.NON_FINITE


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 49), at=st.integers(0, 10**6), depth=st.floats(1e-9, 1e9))
def test_a_cost_that_is_not_convex_is_refused(seed, at, depth):
    cost = collapsed(seed, 2)
    for field in ("gates", "mixes", "last_z"):
        part = getattr(cost, field).copy()
        part.reshape(-1)[at % part.size] = -depth
        for found in both(cost._replace(**{field: part}), np.zeros(2), [-1, -1], [1, 1]):
            assert found.flaw is Flaw.NOT_CONVEX
    for found in both(
        cost._replace(quadratic=np.diag([1.0, -depth])), np.zeros(2), [-1, -1], [1, 1]
    ):
        assert found.flaw is Flaw.NOT_CONVEX


@pytest.mark.parametrize(
    ("start", "low", "high", "flaw"),
    [
        ([0.0, np.nan], [-1, -1], [1, 1], Flaw.NON_FINITE),
        ([np.inf, 0.0], [-1, -1], [1, 1], Flaw.NON_FINITE),
        ([0.0, 0.0], [-1, np.nan], [1, 1], Flaw.NON_FINITE),
        ([0.0, 0.0], [-1, 0.5], [1, 0.4], Flaw.EMPTY_BOX),
        ([0.0, 0.0], [-1, -np.inf], [1, 1], Flaw.UNBOUNDED),
        ([0.0, 0.0], [-1, -1], [1, np.inf], Flaw.UNBOUNDED),
    ],
)
def test_a_box_that_is_none_is_refused_by_name(start, low, high, flaw):
    for found in both(collapsed(1, 2), np.array(start), low, high):
        assert found.flaw is flaw


def test_a_box_without_width_has_one_answer():
    found, _ = both(collapsed(1, 2), np.zeros(2), [0.3, -0.2], [0.3, -0.2])
    assert found.action.tolist() == [0.3, -0.2]
    assert found.gap == 0.0


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 49), decades=st.floats(-12.0, 12.0), which=st.integers(0, 1))
def test_at_any_scale_of_a_variable_it_is_certified_or_refused(seed, decades, which):
    unit = np.ones(2)
    unit[which] = 10.0**decades
    cost = collapsed(seed, 2).rescaled(unit)
    found, _ = both(cost, np.zeros(2), -1.0 / unit, 1.0 / unit)
    if isinstance(found, Unsolved):
        assert found.flaw in {Flaw.NOT_CERTIFIED, Flaw.NOT_CONVEX}
        assert found.iterations <= EXACT["max_iterations"]
    else:
        assert found.gap <= 1e-9 + 1e-6 * abs(found.cost)


def test_a_budget_of_nothing_is_no_answer_and_not_the_start():
    cost = collapsed(3, 2)
    found = minimise(
        cost,
        np.array([0.9, -0.9]),
        -np.ones(2),
        np.ones(2),
        gap_absolute=1e-12,
        gap_relative=0.0,
        max_iterations=0,
    )
    assert isinstance(found, Unsolved)
    assert found.flaw is Flaw.NOT_CERTIFIED
    assert found.gap > 1e-12
