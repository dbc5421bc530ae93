"""The section `conformal`: what it promises of a further episode, its sizes, its words."""

import json
import math
import shutil

import numpy as np
import pytest

from models.bundle import BundleError, load_manifest
from models.bundle.card import model_card
from models.bundle.conformal import episodes_needed, finite_sample_quantile


@pytest.mark.parametrize(("n", "level", "rank"), [(9, 0.9, 9), (19, 0.9, 18), (24, 0.95, 24)])
def test_the_quantile_counts_the_episode_to_come(n, level, rank):
    scores = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert finite_sample_quantile(scores, level) == rank


def test_too_few_scores_promise_nothing():
    assert episodes_needed(0.9) == 9
    assert episodes_needed(0.99) == 99
    assert finite_sample_quantile(np.zeros(8), 0.9) == math.inf
    assert finite_sample_quantile(np.zeros(9), 0.9) == 0.0


def test_a_further_score_stays_below_the_quantile_as_often_as_promised():
    rng = np.random.default_rng(1)
    below = [
        scores[-1] <= finite_sample_quantile(scores[:-1], 0.9)
        for scores in rng.standard_exponential((4000, 25))
    ]
    assert np.mean(below) >= 0.9 - 3.0 * math.sqrt(0.09 / 4000)
    assert np.mean(below) <= 0.9 + 1.0 / 25 + 3.0 * math.sqrt(0.09 / 4000)


def test_a_section_of_the_wrong_size_is_refused_by_its_key(calibrated, tmp_path):
    at, _ = calibrated
    copy = shutil.copytree(at, tmp_path / "bundle")
    text = json.loads((copy / "manifest.json").read_text())
    text["conformal"]["bands"][0] = [1.0]
    (copy / "manifest.json").write_text(json.dumps(text))
    with pytest.raises(BundleError, match=r"conformal\.bands\[0\] has 1 entries, 2 are needed"):
        load_manifest(copy)


def test_the_card_says_level_bands_and_threshold(calibrated):
    _, manifest = calibrated
    card = model_card(manifest)
    assert "From 3 episodes" in card
    assert f"{manifest.conformal.bands[0][1]:.3g} K after 0.0833 h" in card
    assert "novelty 1" in card
    assert "no error bands" in model_card(manifest.model_copy(update={"conformal": None}))
