"""The historian's record: campaigns, manual moves, a rounded log with gaps; nothing spans a gap."""

import numpy as np
import pytest

from models.data.dataset import segments
from models.data.simulated import generate
from models.data.transitions import filtered, has_next, increment_scale, sequence_targets
from models.recipe import Recipe, load_recipe


@pytest.fixture(scope="module")
def recipe():
    whole = load_recipe("polymer-cstr-historian").model_dump()
    whole["source"] |= {"hours": 24.0}
    whole["behaviour"] |= {"episodes_per_scenario": 2}
    whole["behaviour"]["historian"] |= {"gap_hours": 8.0, "manual_hours": 4.0}
    return Recipe.model_validate(whole)


@pytest.fixture(scope="module")
def data(recipe):
    return generate(recipe, jobs=1)


def test_the_record_is_seeded_whatever_the_number_of_processes(recipe, data):
    assert generate(recipe, jobs=2).digest() == data.digest()


def test_the_log_is_rounded_and_has_gaps(data):
    assert np.allclose(data.cv[:, 0] / 0.5, np.round(data.cv[:, 0] / 0.5))
    assert np.allclose(data.mv[:, 1] / 0.1, np.round(data.mv[:, 1] / 0.1))
    assert len(data.bounds()) > len(data.episodes()) == 6
    for begin, end in data.bounds():
        assert np.allclose(np.diff(data.time_s[begin:end]), 300.0)


def test_operators_give_setpoints_and_hold_loops(data):
    assert len(np.unique(data.sp, axis=0)) > 6
    still = np.diff(data.mv[:, 0]) == 0.0
    assert still.mean() > 0.1
    assert data.peak.max() < 365.0


def test_episodes_of_one_campaign_share_their_tuning(recipe):
    from models.data.historian import campaign_rng

    first = [campaign_rng(recipe.seed, 0).random() for _ in range(2)]
    assert first[0] == first[1] != campaign_rng(recipe.seed, 1).random()


def test_no_transition_and_no_horizon_spans_a_gap(recipe, data):
    followed = np.flatnonzero(has_next(data))
    assert np.allclose(data.time_s[followed + 1] - data.time_s[followed], 300.0)
    assert np.all(data.episode[followed + 1] == data.episode[followed])
    targets = sequence_targets(data, recipe)
    ends = np.cumsum(recipe.cost.blocks)
    last = targets.rows + ends[targets.reach - 1]
    lasting = data.time_s[last] - data.time_s[targets.rows]
    assert np.allclose(lasting, 300.0 * ends[targets.reach - 1])
    assert np.all(increment_scale(data, 0.5, 1) > 0.0)


def test_a_filter_runs_on_across_a_gap(recipe, data):
    """With elapsed time, as at run time: not restarted, not stepped as if nothing were missing."""
    want = recipe.cost.features[-1]
    column = filtered(want, recipe, data)
    mv = data.mv[:, 0]
    row = next(begin for begin, _ in data.bounds() if not data.starts_episode(begin))
    elapsed = data.time_s[row] - data.time_s[row - 1]
    assert elapsed > 300.0
    kept = np.exp(-elapsed / 20000.0)
    expected = kept * column[row - 1] + (1 - kept) * 0.5 * (mv[row - 1] + mv[row])
    assert column[row] == pytest.approx(expected)


def test_segments_begin_at_episodes_and_after_gaps():
    episode = np.array([0, 0, 0, 1, 1])
    time_s = np.array([0.0, 300.0, 900.0, 0.0, 301.0])
    assert segments(episode, time_s, 300.0).tolist() == [0, 0, 1, 2, 2]
