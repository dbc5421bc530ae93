"""What networks learn from: standardised features, block means, changes."""

import numpy as np
import pytest

from models.data.transitions import fit_features, sequence_targets


def test_features_are_standardised_and_filters_start_where_the_recipe_says(
    small_recipe, small_data
):
    fitted = fit_features(small_recipe.cost.features, small_recipe, small_data)
    np.testing.assert_allclose(fitted.matrix.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(fitted.matrix.std(axis=0), 1.0, rtol=1e-6)
    last = fitted.features[-1]
    begin, _ = small_data.bounds()[0]
    assert fitted.matrix[begin, -1] * last.scale + last.offset == pytest.approx(0.0, abs=1e-9)


def test_targets_are_block_means_and_changes_of_the_data(small_recipe, small_data):
    targets = sequence_targets(small_data, small_recipe)
    begin, end = small_data.bounds()[2]
    k = begin + 40
    at = int(np.flatnonzero(targets.rows == k)[0])
    half = np.array([1.25, 25.0])
    block = small_data.mv[k + 3 : k + 5].mean(axis=0)  # samples 3 and 4: the third block
    np.testing.assert_allclose(targets.moves[at, 2], (block - small_data.mv[k]) / half, atol=1e-9)
    change = (small_data.cv[k + 4] - small_data.cv[k]) / [20.0, 5.0]
    np.testing.assert_allclose(targets.change[at, 2], change, atol=1e-9)
    near_end = int(np.flatnonzero(targets.rows == end - 4)[0])
    assert targets.reach[near_end] == 2
    assert not targets.change[near_end, 2:].any()
