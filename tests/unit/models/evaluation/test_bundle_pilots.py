"""The correction under other ties, on the real plant for an hour."""

import dataclasses
import pickle

import numpy as np
import pytest

from models.bundle import default_bundle
from models.evaluation.bundle_pilots import pilots_of
from models.evaluation.episode import fly


@pytest.fixture(scope="module")
def hour(setting):
    return dataclasses.replace(setting, hours=1.0)


@pytest.fixture(scope="module")
def pilots(recipe):
    sweep = recipe.evaluation.sweep
    return {pilot.name: pilot for pilot in pilots_of(default_bundle(), recipe.source, sweep=sweep)}


def test_every_tie_of_the_sweep_has_its_policy_removed_and_random(pilots):
    assert {"sequence", "sequence_removed", "sequence_random"} <= set(pilots)
    for name in ("sweep_r0.05_w0", "sweep_rinf_w8"):
        assert {name, f"{name}_removed", f"{name}_random"} <= set(pilots)
    assert len({pilot.digest for pilot in pilots.values()}) >= 3 * 4 * 3


def test_the_radius_bounds_the_distance_from_the_policy(pilots, hour, grade_up):
    for name in ("sweep_r0.05_w0", "sweep_r0.05_w0_random"):
        noted = fly(pilots[name], hour, grade_up, 5).noted
        assert noted["policy_distance"].max() <= 0.05 + 1e-9
        assert noted["policy_distance"].max() > 0.01


def test_a_removed_policy_never_moves_by_itself(pilots, hour, grade_up):
    trace = fly(pilots["sweep_r0.05_w0_removed"], hour, grade_up, 5)
    steps = np.abs(np.diff(trace.mv, axis=0)) / [1.25, 25.0]
    np.testing.assert_allclose(steps.max(axis=1), trace.noted["policy_distance"], atol=1e-9)


def test_a_random_policy_is_drawn_by_the_start(pilots, hour, grade_up):
    pilot = pilots["sequence_random"]
    first, again = fly(pilot, hour, grade_up, 5), fly(pilot, hour, grade_up, 5)
    np.testing.assert_array_equal(first.mv, again.mv)
    # The moves themselves may be at their limits with any policy.
    other = fly(pilots["sequence"], hour, grade_up, 5)
    assert not np.array_equal(first.noted["policy_distance"], other.noted["policy_distance"])


def test_without_any_tie_the_policy_does_not_matter(pilots, hour, grade_up):
    with_policy = fly(pilots["sweep_rinf_w0"], hour, grade_up, 5)
    without = fly(pilots["sweep_rinf_w0_removed"], hour, grade_up, 5)
    np.testing.assert_allclose(with_policy.mv, without.mv, atol=1e-4)


def test_a_pilot_travels(pilots, hour, grade_up):
    there = pickle.loads(pickle.dumps(pilots["sequence"]))  # noqa: S301  (what joblib does)
    np.testing.assert_array_equal(
        fly(there, hour, grade_up, 5).mv, fly(pilots["sequence"], hour, grade_up, 5).mv
    )
