"""Held-out episodes: whole, chosen by the seed, and drawn from by no network."""

import dataclasses

import numpy as np

from models.data.holdout import hold_out, rows_of
from models.learning.batches import policy_data
from models.learning.calibration import without_section
from models.learning.dynamics import history


def test_whole_episodes_of_every_scenario_are_held_out_by_the_seed(held_out_recipe, small_data):
    parts = hold_out(small_data, held_out_recipe)
    kept, learned = set(parts.held_out.episode), set(parts.learned.episode)
    assert not kept & learned
    assert kept | learned == set(small_data.episode)
    assert set(parts.held_out.scenario) == set(small_data.scenario) == set(parts.learned.scenario)
    assert len(parts.held_out.episode) + len(parts.learned.episode) == len(small_data.episode)
    again = hold_out(small_data, held_out_recipe)
    assert np.array_equal(again.held_out.episode, parts.held_out.episode)
    choices = {
        tuple(
            np.unique(
                hold_out(
                    small_data, held_out_recipe.model_copy(update={"seed": seed})
                ).held_out.episode
            )
        )
        for seed in range(8)
    }
    assert len(choices) > 1


def test_nothing_is_held_out_of_too_little(held_out_recipe, small_data):
    few = rows_of(small_data, small_data.episode < 5)
    assert hold_out(few, held_out_recipe).held_out is None
    assert hold_out(few, held_out_recipe).learned is few
    without = held_out_recipe.model_copy(update={"conformal": None})
    assert hold_out(small_data, without).held_out is None
    (finding,) = without_section(held_out_recipe, None, 5)
    assert finding.severity == "flag"
    assert "5 episodes" in finding.figure
    assert not without_section(without, None, 5)


def test_no_network_draws_from_a_held_out_episode(held_out_recipe, small_data):
    """Held-out rows are made to stand out; no feature, target or move shows them."""
    parts = hold_out(small_data, held_out_recipe)
    kept = np.isin(small_data.episode, parts.held_out.episode)
    marked = dataclasses.replace(
        small_data,
        cv=np.where(kept[:, None], 1e9, small_data.cv),
        mv=np.where(kept[:, None], 1e9, small_data.mv),
    )
    learned = hold_out(marked, held_out_recipe).learned
    policy, plain = (
        policy_data(learned, held_out_recipe),
        policy_data(parts.learned, held_out_recipe),
    )
    assert len(policy.features) == np.count_nonzero(~kept)
    assert np.array_equal(policy.features, plain.features)
    assert np.array_equal(policy.actions, plain.actions)
    assert policy.spec == plain.spec
    past, same = history(learned, held_out_recipe), history(parts.learned, held_out_recipe)
    assert np.array_equal(past.state, same.state)
    assert np.array_equal(past.filters, same.filters)
    assert past.state.max() < 1e3
