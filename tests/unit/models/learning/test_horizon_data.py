"""Imagined horizons in the units that the sequence PICNN learns in."""

import dataclasses

import numpy as np
import pytest

from models.learning.horizon_data import sequence_data


@pytest.fixture(scope="module")
def horizons(small_imagination):
    return small_imagination.horizons(np.random.default_rng(1))


def test_moves_and_changes_are_scaled_as_the_runtime_scales_them(
    horizons, small_data, small_recipe
):
    data = sequence_data(small_data, horizons, small_recipe)
    half = np.array([(mv.high - mv.low) / 2.0 for mv in small_recipe.mvs])
    scale = np.array([cv.scale for cv in small_recipe.cvs])
    moved = (horizons.twin_plan - horizons.moves[:, None]) / half
    assert np.allclose(data.twin_moves.numpy(), moved, atol=1e-6)
    assert np.allclose(data.change.numpy(), horizons.change[..., :2] / scale, rtol=1e-4, atol=1e-5)
    assert np.allclose(data.disturbance.numpy(), horizons.disturbance / scale, atol=1e-7)


def test_features_are_those_of_the_record(horizons, small_data, small_recipe):
    """A horizon that begins at a row of the record, shown as it was, has that row's features."""
    data = sequence_data(small_data, horizons, small_recipe)
    as_it_was = [
        k
        for k in range(len(horizons.state))
        if np.any(np.all(small_data.mv == horizons.moves[k], axis=1))
    ]
    assert len(as_it_was) > 50
    nearest = [
        np.abs(data.recorded - data.features[k].double().numpy()).max(axis=1).min()
        for k in as_it_was[:50]
    ]
    assert np.median(nearest) < 1e-5


def test_what_does_not_count_has_no_say_in_the_spreads(horizons, small_data, small_recipe):
    valid = horizons.valid.copy()
    valid[: len(valid) // 2] = False
    marked = horizons.change.copy()
    marked[: len(valid) // 2] = 1e6
    plain, other = (
        sequence_data(small_data, dataclasses.replace(horizons, **changes), small_recipe)
        for changes in (
            {"valid": valid},
            {"valid": valid, "change": marked, "twin_change": horizons.twin_change},
        )
    )
    assert np.array_equal(plain.spread, other.spread)


def test_each_probe_has_a_spread_of_its_own(horizons, small_data, small_recipe):
    data = sequence_data(small_data, horizons, small_recipe)
    n_mv, n_blocks = len(small_recipe.mvs), len(small_recipe.cost.blocks)
    assert data.twin_spread.shape == (n_mv + 1, n_blocks, len(small_recipe.cvs))
    for probe in range(n_mv + 1):
        some = horizons.probe == probe
        difference = (data.twin_change - data.change).numpy()[some, 0]
        largest = np.abs(difference).max(axis=0)
        assert np.all(data.twin_spread[probe, 0].numpy() <= largest + 1e-4)
        assert np.all(data.twin_spread[probe, 0].numpy() > 0.0)
