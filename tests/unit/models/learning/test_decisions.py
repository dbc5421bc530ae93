"""What a policy learns from: decisions of several samples, and the same under other setpoints."""

import numpy as np
import pytest
import torch

from models.data.transitions import coming_rewards, has_next, increments, tracking_cost
from models.learning.batches import policy_data
from models.learning.iql import IqlTrainer


def with_policy(recipe, **changes):
    policy = recipe.policy.model_copy(update=changes)
    return recipe.model_copy(update={"policy": policy})


@pytest.mark.parametrize("stride", [1, 6])
def test_a_decision_is_the_mean_move_and_ends_inside_its_segment(small_data, stride):
    rows = np.flatnonzero(has_next(small_data, stride))
    assert np.all(small_data.segment[rows] == small_data.segment[rows + stride])
    assert len(rows) == len(small_data.segment) - stride * len(small_data.bounds())
    moves = increments(small_data, np.array([1e3, 1e3]), stride)[rows] * 1e3
    assert np.allclose(stride * moves, small_data.mv[rows + stride] - small_data.mv[rows])


def test_no_decision_fits_into_a_segment_that_is_too_short(small_data):
    longest = max(end - begin for begin, end in small_data.bounds())
    assert not has_next(small_data, longest).any()


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_reward_is_discounted_over_the_coming_samples(small_recipe, small_data, power):
    recipe = with_policy(
        small_recipe, stride=3, discount=0.9, reward_power=power, reward_scale=10.0
    )
    cost = tracking_cost(small_data, recipe) ** power
    expected = -(cost[8] + 0.9 * cost[9] + 0.81 * cost[10]) / 10.0
    assert coming_rewards(small_data, recipe)[7] == pytest.approx(expected)


def test_under_its_own_setpoint_a_decision_is_as_recorded(small_recipe, small_data):
    data = policy_data(small_data, small_recipe)
    rows = data.rows[::7]
    own = torch.as_tensor(small_data.sp[rows.numpy()], dtype=torch.float32)
    s, _, reward, after = data.batch(rows)
    hindsight = data.hindsight
    for features, at in ((s, rows), (after, rows + data.stride)):
        seen = features.clone()
        hindsight.see(seen, at, own)
        assert torch.allclose(seen, features, atol=1e-4)
    assert torch.allclose(hindsight.rewards(rows, own), reward, rtol=1e-3, atol=1e-4)


def test_drawn_setpoints_are_near_or_reached_and_change_errors_only(small_recipe, small_data):
    data = policy_data(small_data, small_recipe)
    rows = data.rows[:2000]
    generator = torch.Generator().manual_seed(3)
    s, action, reward, _ = data.relabelled(rows, len(rows), generator)
    errors = data.hindsight.error_at.tolist()
    others = [i for i in range(s.shape[1]) if i not in errors]
    assert torch.equal(s[:, others], data.features[rows][:, others])
    assert torch.equal(action, data.actions[rows])
    assert not torch.equal(s[:, errors], data.features[rows][:, errors])
    assert torch.all(reward <= 0.0)
    assert reward.mean() > data.rewards[rows].mean(), "most lie nearer than the plant's own"


def test_only_the_first_of_a_batch_are_relabelled(small_recipe, small_data):
    data = policy_data(small_data, small_recipe)
    rows = data.rows[:100]
    some = data.relabelled(rows, 40, torch.Generator().manual_seed(3))
    recorded = data.batch(rows)
    for changed, kept in zip(some, recorded, strict=True):
        assert torch.equal(changed[40:], kept[40:])
    assert not torch.equal(some[0][:40], recorded[0][:40])
    assert not torch.equal(some[2][:40], recorded[2][:40])


def test_about_half_of_the_setpoints_are_reached_later_in_the_segment(small_recipe, small_data):
    hindsight = policy_data(small_data, small_recipe).hindsight
    begin, end = small_data.bounds()[1]
    rows = torch.arange(begin, end)
    drawn = hindsight.setpoints(rows, torch.Generator().manual_seed(1))
    same = (drawn[:, None] == hindsight.cv[begin:end]).all(dim=2)
    reached = same.any(dim=1)
    assert 0.35 < reached.float().mean() < 0.65
    assert torch.all(same.float().argmax(dim=1)[reached] >= rows[reached] - begin)


@pytest.mark.parametrize("relabel", [0.0, 0.3, 1.0])
def test_iql_trains_with_any_share_of_other_setpoints(small_recipe, small_data, relabel):
    recipe = with_policy(small_recipe, relabel=relabel)
    trainer = IqlTrainer(policy_data(small_data, recipe), recipe.policy, 1)
    losses = [float(trainer.step()["critics"]) for _ in range(3)]
    assert np.all(np.isfinite(losses))
