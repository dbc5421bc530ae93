"""Held-out episodes: never trained on, and what they say of further episodes comes true."""

import dataclasses
import json
import math
import shutil
import timeit
from itertools import pairwise
from time import process_time

import numpy as np
import pytest
from scipy.optimize import linprog

from models.bundle import BundleError, load_manifest, load_weights
from models.bundle.card import model_card
from models.bundle.conformal import episodes_needed, finite_sample_quantile
from models.data.dataset import generate
from models.data.holdout import hold_out, rows_of
from models.learning.batches import policy_data, sequence_data
from models.learning.calibration import (
    calibrate,
    episode_misses,
    online_features,
    spread_centres,
    whitened,
    without_section,
)
from models.online.watch import ConformalWatch
from models.recipe import ConformalRecipe, RecipeError, load_recipe
from models.runtime import Advice, AdviceRequest, ProcessSample, Runtime
from models.train import train

FREE = [(None, None)] * 3
RULE = {
    "held_out": 0.3,
    "least_episodes": 3,
    "level": 0.6,
    "within": 0.8,
    "ood_level": 0.75,
    "centres": 16,
    "shrinkage": 0.05,
}


@pytest.fixture(scope="module")
def recipe(small_recipe):
    return small_recipe.model_copy(update={"conformal": ConformalRecipe(**RULE)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory, recipe, silent):
    at = tmp_path_factory.mktemp("conformal")
    return at / "out", train(recipe, at / "work", at / "out", jobs=1, progress=silent)


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


def test_whole_episodes_of_every_scenario_are_held_out_by_the_seed(recipe, small_data):
    parts = hold_out(small_data, recipe)
    kept, learned = set(parts.held_out.episode), set(parts.learned.episode)
    assert not kept & learned
    assert kept | learned == set(small_data.episode)
    assert set(parts.held_out.scenario) == set(small_data.scenario) == set(parts.learned.scenario)
    assert len(parts.held_out.episode) + len(parts.learned.episode) == len(small_data.episode)
    again = hold_out(small_data, recipe)
    assert np.array_equal(again.held_out.episode, parts.held_out.episode)
    choices = {
        tuple(
            np.unique(
                hold_out(small_data, recipe.model_copy(update={"seed": seed})).held_out.episode
            )
        )
        for seed in range(8)
    }
    assert len(choices) > 1


def test_nothing_is_held_out_of_too_little(recipe, small_data):
    few = rows_of(small_data, small_data.episode < 5)
    assert hold_out(few, recipe).held_out is None
    assert hold_out(few, recipe).learned is few
    without = recipe.model_copy(update={"conformal": None})
    assert hold_out(small_data, without).held_out is None
    (finding,) = without_section(recipe, None, 5)
    assert finding.severity == "flag"
    assert "5 episodes" in finding.figure
    assert not without_section(without, None, 5)


def test_no_network_draws_from_a_held_out_episode(recipe, small_data):
    """Held-out rows are made to stand out; no feature, target or move shows them."""
    parts = hold_out(small_data, recipe)
    kept = np.isin(small_data.episode, parts.held_out.episode)
    marked = dataclasses.replace(
        small_data,
        cv=np.where(kept[:, None], 1e9, small_data.cv),
        mv=np.where(kept[:, None], 1e9, small_data.mv),
    )
    learned = hold_out(marked, recipe).learned
    policy, plain = policy_data(learned, recipe), policy_data(parts.learned, recipe)
    assert len(policy.features) == np.count_nonzero(~kept)
    assert np.array_equal(policy.features, plain.features)
    assert np.array_equal(policy.actions, plain.actions)
    assert policy.spec == plain.spec
    cost = sequence_data(learned, recipe)
    assert np.array_equal(cost.change, sequence_data(parts.learned, recipe).change)
    assert float(cost.change.abs().max()) < 1e3


def test_the_manifest_names_the_held_out_episodes_and_the_bands(trained, recipe, small_data):
    at, manifest = trained
    section = manifest.conformal
    assert manifest == load_manifest(at)
    held_out = hold_out(small_data, recipe).held_out
    assert section.episodes == np.unique(held_out.episode).tolist()
    bands = np.array(section.bands)
    assert bands.shape == (len(manifest.cost.blocks), 2)
    assert np.all(bands > 0.0)
    assert np.all(bands[-1] > bands[0])
    assert manifest.dataset["episodes"] == 6
    assert not manifest.data_checks or "episode" not in {f.column for f in manifest.data_checks}


def test_fresh_episodes_stay_inside_as_often_as_promised(trained, recipe):
    """Six further episodes; below 0.6 and 0.75 by chance only, far below never."""
    at, manifest = trained
    fresh = generate(recipe.model_copy(update={"seed": 77}), jobs=1)
    features = online_features(fresh, manifest)
    scores = episode_misses(
        fresh, recipe, manifest, load_weights(at), features, within=RULE["within"]
    )
    inside = scores <= np.array(manifest.conformal.bands)
    assert inside.mean() >= 0.5
    watch = Runtime.load(at).watch
    novelty = np.array([watch.novelty(row) for row in features])
    assert np.mean([novelty[a:b].max() <= 1.0 for a, b in fresh.episodes()]) >= 0.5


def test_calibration_on_the_same_episodes_covers_them_exactly(trained, recipe, small_data):
    at, manifest = trained
    section, kept = manifest.conformal, hold_out(small_data, recipe).held_out
    features = online_features(kept, manifest)
    scores = episode_misses(
        kept, recipe, manifest, load_weights(at), features, within=RULE["within"]
    )
    rank = math.ceil(4 * RULE["level"])
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


@pytest.mark.parametrize(("n_features", "n_blocks", "n_cv"), [(1, 1, 1), (4, 3, 5)])
def test_the_section_has_the_sizes_of_any_plant(trained, n_features, n_blocks, n_cv):
    _, manifest = trained
    section = manifest.conformal.model_copy(
        update={
            "bands": np.ones((n_blocks, n_cv)).tolist(),
            "ood_centres": np.zeros((1, n_features)).tolist(),
            "ood_whitening": np.eye(n_features).tolist(),
        }
    )
    lengths = section.lengths(n_blocks, n_cv, n_features)
    assert all(got == wanted for got, wanted in lengths.values())
    assert any(got != wanted for got, wanted in section.lengths(9, n_cv, n_features).values())
    cost = manifest.cost.model_copy(update={"blocks": [1] * n_blocks})
    other = manifest.model_copy(update={"conformal": section, "cost": cost})

    class Model:
        shared = np.zeros((1, n_blocks, n_cv, n_blocks, len(manifest.mvs)))

    watch = ConformalWatch(other, Model())
    far = np.full(n_features, 2.0 * section.ood_threshold)
    assert watch.novelty(far) == pytest.approx(2.0 * math.sqrt(n_features))


def test_a_section_of_the_wrong_size_is_refused_by_its_key(trained, tmp_path):
    at, _ = trained
    copy = shutil.copytree(at, tmp_path / "bundle")
    text = json.loads((copy / "manifest.json").read_text())
    text["conformal"]["bands"][0] = [1.0]
    (copy / "manifest.json").write_text(json.dumps(text))
    with pytest.raises(BundleError, match=r"conformal\.bands\[0\] has 1 entries, 2 are needed"):
        load_manifest(copy)


def test_the_card_says_level_bands_and_threshold(trained):
    _, manifest = trained
    card = model_card(manifest)
    assert "From 3 episodes" in card
    assert f"{manifest.conformal.bands[0][1]:.3g} K after 0.0833 h" in card
    assert "novelty 1" in card
    assert "no error bands" in model_card(manifest.model_copy(update={"conformal": None}))


def test_a_level_that_the_episodes_cannot_give_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "polymer-cstr"\n[conformal]\nood_level = 0.99\n')
    with pytest.raises(RecipeError, match="`least_episodes` of 99 or more"):
        load_recipe(str(path))


def test_a_horizon_that_no_held_out_episode_reaches_gives_no_section(trained, recipe, small_data):
    at, manifest = trained
    short = hold_out(small_data, recipe).held_out
    short = rows_of(short, short.time_s < 3600.0)
    learned = np.random.default_rng(0).standard_normal((20, 6))
    assert calibrate(short, recipe, manifest, load_weights(at), learned) is None


def setpoint_of(runtime):
    """The recorded states come with setpoints that a small dataset may not reach at rest."""
    planes = runtime.manifest.setpoint_envelope
    normals, limits = np.array([p.normal for p in planes]), np.array([p.limit for p in planes])
    inside = linprog([0.0, 0.0, -1.0], np.c_[normals, np.ones(len(planes))], limits, bounds=FREE)
    return inside.x[:2]


def asked(runtime, data, row, **changes):
    """A scan at one row of the data, everything inside its range allowed."""
    mvs = runtime.manifest.mvs
    low, high = (np.array([getattr(mv, side) for mv in mvs]) for side in ("low", "high"))
    sample = ProcessSample(
        plant_time_s=data.time_s[row],
        cv=data.cv[row],
        sp=setpoint_of(runtime),
        mv=data.mv[row],
        dv=data.dv[row],
    )
    return AdviceRequest(
        sample=dataclasses.replace(sample, **changes),
        low=low,
        high=high,
        range_low=low,
        range_high=high,
        windup_low=np.zeros(len(mvs), dtype=bool),
        windup_high=np.zeros(len(mvs), dtype=bool),
        freeze=False,
    )


def followed(runtime, data, scans):
    """Advice and memory after the first scans of the last episode."""
    begin, _ = data.episodes()[-1]
    memory = runtime.initial_memory()
    for row in range(begin, begin + scans):
        answer, memory = runtime.advise(asked(runtime, data, row), memory)
    return answer, memory


def test_a_state_of_the_data_is_not_novel_and_an_absurd_one_is(trained, small_data):
    runtime = Runtime.load(trained[0])
    answer, _ = followed(runtime, small_data, 20)
    assert 0.0 < answer.novelty < 1.5
    begin, _ = small_data.episodes()[-1]
    absurd = asked(runtime, small_data, begin, dv=np.array([5000.0]))
    answer, _ = runtime.advise(absurd, runtime.initial_memory())
    assert isinstance(answer, Advice)
    assert answer.certified  # it only informs
    assert answer.novelty > 1.0


def test_recent_misses_are_counted_against_the_bands(trained, small_data):
    at, manifest = trained
    runtime = Runtime.load(at)
    answer, memory = followed(runtime, small_data, 130)
    half = np.array([(mv.high - mv.low) / 2.0 for mv in manifest.mvs])
    outside = []
    for now, later in pairwise(range(len(memory.past_cv) - memory.filled, len(memory.past_cv))):
        factors = memory.past_factors[now, :, 0]
        gains = (runtime.model.shared[:, 0, :, 0] * factors).mean(axis=0)
        moved = (memory.past_mv[later] - memory.past_mv[now]) / half
        expected = memory.past_cv[now] + memory.past_free[now, 0] + gains @ moved
        miss = np.abs(memory.past_cv[later] - expected)
        outside.append(np.any(miss > np.array(manifest.conformal.bands[0])))
    assert manifest.cost.blocks[0] == 1
    assert answer.outside_bands == pytest.approx(np.mean(outside))
    first, _ = followed(runtime, small_data, 1)
    assert math.isnan(first.outside_bands)
    late = dataclasses.replace(memory, past_cv=memory.past_cv + 50.0 * np.arange(97)[:, None])
    assert runtime.watch.outside_bands(late) == 1.0


def test_a_bundle_without_the_section_loads_and_knows_no_novelty(trained, small_data, tmp_path):
    copy = shutil.copytree(trained[0], tmp_path / "old")
    text = json.loads((copy / "manifest.json").read_text())
    del text["conformal"]
    (copy / "manifest.json").write_text(json.dumps(text))
    runtime = Runtime.load(copy)
    answer, _ = followed(runtime, small_data, 3)
    assert isinstance(answer, Advice)
    assert math.isnan(answer.novelty)
    assert math.isnan(answer.outside_bands)
    with_it, _ = followed(Runtime.load(trained[0]), small_data, 3)
    assert answer.move.tobytes() == with_it.move.tobytes()


def test_novelty_costs_microseconds(trained):
    runtime = Runtime.load(trained[0])
    features = np.zeros(len(trained[1].cost.features))
    seconds = min(
        timeit.repeat(lambda: runtime.watch.novelty(features), timer=process_time, number=200)
    )
    assert seconds / 200 < 100e-6  # about 6 us of processor time
