"""Imagined horizons: plans inside the range, twins that differ in one thing, honest ends."""

import numpy as np
import pytest

from models.learning.dynamics import history
from models.learning.imagined import Imagination
from models.learning.plans import block_means
from models.recipe import Recipe, RecipeError
from models.train import train


@pytest.fixture(scope="module")
def horizons(small_imagination):
    return small_imagination.horizons(np.random.default_rng(1))


def test_the_same_seed_gives_the_same_horizons(small_imagination, horizons):
    again = small_imagination.horizons(np.random.default_rng(1))
    for name in horizons.__slots__:
        assert np.array_equal(getattr(horizons, name), getattr(again, name)), name


def test_plans_and_shown_moves_keep_to_the_range(horizons, small_recipe):
    low = [mv.low for mv in small_recipe.mvs]
    high = [mv.high for mv in small_recipe.mvs]
    for moves in (horizons.plan, horizons.twin_plan, horizons.moves):
        assert np.all(moves >= low)
        assert np.all(moves <= high)


def test_twins_differ_in_what_is_probed_and_in_nothing_else(horizons, small_recipe):
    n_mv = len(small_recipe.mvs)
    moved = np.any(horizons.plan != horizons.twin_plan, axis=1)
    disturbed = np.any(horizons.disturbance != horizons.twin_disturbance, axis=1)
    for probe in range(n_mv + 1):
        some = horizons.probe == probe
        assert some.any()
        others = [u for u in range(n_mv) if u != probe]
        assert not moved[some][:, others].any()
        assert disturbed[some].any() == (probe == n_mv)
        if probe < n_mv:
            assert moved[some][:, probe].mean() > 0.8


def test_a_plan_that_is_the_record_has_the_means_of_the_record(small_data, small_recipe):
    """Block means against means taken one by one."""
    rows = history(small_data, small_recipe).starts(6)[:5]
    means = block_means(small_data.mv, rows, [1, 2, 3])
    for row, mean in zip(rows, means, strict=True):
        after = small_data.mv[row + 1 : row + 7]
        assert np.allclose(mean, [after[0], after[1:3].mean(axis=0), after[3:].mean(axis=0)])


def test_disturbances_keep_to_the_limit_of_the_cvs(horizons, small_recipe):
    hours = small_recipe.source.sample_time_s / 3600.0
    limit = np.array([cv.disturbance_limit for cv in small_recipe.cvs]) * hours
    assert np.all(np.abs(horizons.disturbance) <= limit)
    none = np.all(horizons.disturbance == 0.0, axis=1).mean()
    assert 0.3 < none < 0.5


def test_a_disturbance_shows_in_the_first_sample_as_it_is(horizons):
    """One sample ahead the twin with another disturbance differs by just that."""
    some = horizons.probe == horizons.plan.shape[2]
    n_cv = horizons.disturbance.shape[1]
    seen = (horizons.twin_change - horizons.change)[some, 0, :n_cv]
    given = (horizons.twin_disturbance - horizons.disturbance)[some]
    assert np.allclose(seen, given, atol=1e-3)


def test_what_leaves_the_data_or_is_disputed_does_not_count(
    small_members, small_data, small_recipe
):
    past = history(small_data, small_recipe)

    def share(**changes):
        rule = small_recipe.imagined.model_copy(update={"horizons": 100} | changes)
        recipe = small_recipe.model_copy(update={"imagined": rule})
        made = Imagination(small_members, past, recipe).horizons(np.random.default_rng(2))
        # Once a horizon has ended it does not go on.
        assert not np.any(np.diff(made.valid.astype(int), axis=1) > 0)
        return made.valid.mean()

    assert share(disagreement=1e-9) == 0.0
    assert share(margin=0.0) < share(margin=5.0)


def test_data_without_a_long_enough_stretch_are_refused(small_members, small_data, small_recipe):
    cost = small_recipe.cost.model_copy(update={"blocks": [10_000]})
    recipe = small_recipe.model_copy(update={"cost": cost})
    past = history(small_data, small_recipe)
    with pytest.raises(RecipeError, match="give longer records or shorten"):
        Imagination(small_members, past, recipe)


def test_features_of_the_cost_know_no_setpoint(small_recipe):
    whole = small_recipe.model_dump()
    whole["cost"]["features"][0]["kind"] = "error"
    with pytest.raises(ValueError, match="the process does not know its setpoint"):
        Recipe.model_validate(whole)


def test_shares_of_plans_are_of_one_whole(small_recipe):
    whole = small_recipe.model_dump()
    whole["imagined"] |= {"held": 0.7, "recorded": 0.7}
    with pytest.raises(ValueError, match="shares of one whole"):
        Recipe.model_validate(whole)


def test_a_process_model_at_odds_with_itself_is_not_trained_on(small_recipe, tmp_path, silent):
    rule = small_recipe.imagined.model_copy(update={"disagreement": 1e-9})
    recipe = small_recipe.model_copy(update={"imagined": rule})
    with pytest.raises(RecipeError, match=r"only 0.0% of the horizons reach block 1 of 12.*give"):
        train(recipe, tmp_path / "work", tmp_path / "out", jobs=1, progress=silent)
    assert not (tmp_path / "out").exists()
