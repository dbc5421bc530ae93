"""Bands and novelty: what the held-out episodes say of further episodes comes true."""

import math

import numpy as np

from models.bundle import load_manifest, load_weights
from models.data.holdout import hold_out, rows_of
from models.data.simulated import generate
from models.learning.calibration import (
    calibrate,
    episode_misses,
    online_features,
    spread_centres,
    whitened,
)
from models.runtime import Runtime


def test_the_manifest_names_the_held_out_episodes_and_the_bands(
    calibrated, held_out_recipe, small_data
):
    at, manifest = calibrated
    section = manifest.conformal
    assert manifest == load_manifest(at)
    held_out = hold_out(small_data, held_out_recipe).held_out
    assert section.episodes == np.unique(held_out.episode).tolist()
    bands = np.array(section.bands)
    assert bands.shape == (len(manifest.cost.blocks), 2)
    assert np.all(bands > 0.0)
    assert np.all(bands[-1] > bands[0])
    assert manifest.dataset["episodes"] == 6
    assert not manifest.data_checks or "episode" not in {f.column for f in manifest.data_checks}


def test_fresh_episodes_stay_inside_as_often_as_promised(calibrated, held_out_recipe):
    """Six further episodes; below 0.6 and 0.75 by chance only, far below never."""
    at, manifest = calibrated
    fresh = generate(held_out_recipe.model_copy(update={"seed": 77}), jobs=1)
    features = online_features(fresh, manifest)
    scores = episode_misses(
        fresh,
        held_out_recipe,
        manifest,
        load_weights(at),
        features,
        within=held_out_recipe.conformal.within,
    )
    inside = scores <= np.array(manifest.conformal.bands)
    assert inside.mean() >= 0.5
    watch = Runtime.load(at).watch
    novelty = np.array([watch.novelty(row) for row in features])
    assert np.mean([novelty[a:b].max() <= 1.0 for a, b in fresh.episodes()]) >= 0.5


def test_calibration_on_the_same_episodes_covers_them_exactly(
    calibrated, held_out_recipe, small_data
):
    at, manifest = calibrated
    section, kept = manifest.conformal, hold_out(small_data, held_out_recipe).held_out
    features = online_features(kept, manifest)
    scores = episode_misses(
        kept,
        held_out_recipe,
        manifest,
        load_weights(at),
        features,
        within=held_out_recipe.conformal.within,
    )
    rank = math.ceil(4 * held_out_recipe.conformal.level)
    inside = np.count_nonzero(scores <= np.array(section.bands) * (1 + 1e-6), axis=0)
    assert np.all(inside >= rank)


def test_the_whitening_makes_the_learned_features_round():
    rng = np.random.default_rng(2)
    features = rng.standard_normal((5000, 3)) @ np.diag([1.0, 5.0, 0.1]) + 7.0
    apart = features @ whitened(features, 1e-9).T
    np.testing.assert_allclose(np.cov(apart, rowvar=False), np.eye(3), atol=1e-3)


def test_a_feature_that_never_varies_does_not_break_the_whitening():
    features = np.zeros((50, 2))
    features[:, 0] = np.arange(50.0)
    assert np.all(np.isfinite(whitened(features, 0.05)))
    assert whitened(np.arange(50.0)[:, None], 0.05).shape == (1, 1)


def test_the_centres_are_spread_over_the_data():
    line = np.linspace(0.0, 1.0, 101)[:, None]
    assert spread_centres(line, np.eye(1), 3).ravel().tolist() == [0.5, 0.0, 1.0]
    assert len(spread_centres(np.ones((9, 2)), np.eye(2), 4)) == 1
    far = np.concatenate((line, [[30.0]]))  # one state apart from the others is one of them
    assert 30.0 in spread_centres(far, np.eye(1), 2)


def test_a_horizon_that_no_held_out_episode_reaches_gives_no_section(
    calibrated, held_out_recipe, small_data
):
    at, manifest = calibrated
    short = hold_out(small_data, held_out_recipe).held_out
    short = rows_of(short, short.time_s < 3600.0)
    learned = np.random.default_rng(0).standard_normal((20, 6))
    assert calibrate(short, held_out_recipe, manifest, load_weights(at), learned) is None
