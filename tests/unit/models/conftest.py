"""A small recipe that trains in seconds, and what it makes."""

import numpy as np
import pytest

from models.data.simulated import generate
from models.learning.dynamics import DynamicsTrainer, history
from models.learning.horizon_data import sequence_data
from models.learning.imagined import Imagination
from models.recipe import ConformalRecipe, Recipe, load_recipe
from models.train import train


class Silent:
    """No progress bar."""

    def stage(self, name, total):
        """Nothing to show."""

    def done(self, steps, losses):
        """Nothing to show."""


@pytest.fixture(scope="session")
def silent():
    return Silent()


@pytest.fixture(scope="session")
def small_recipe() -> Recipe:
    """The shipped recipe, cut down."""
    whole = load_recipe("polymer-cstr").model_dump()
    whole["source"] |= {"hours": 16.0}
    whole["behaviour"] |= {"episodes_per_scenario": 2}
    whole["policy"] |= {"steps": 60, "width": 16, "batch": 32}
    whole["cost"] |= {"steps": 60, "width": 16, "batch": 32}
    whole["dynamics"] |= {"steps": 60, "width": 16, "batch": 32}
    whole["dynamics"] |= {"rollout": 6, "rollout_steps": 60, "rollout_batch": 16}
    whole["imagined"] |= {"horizons": 300, "disagreement": 10.0}
    whole["envelope"] |= {"rest_hours": 2.0, "rest_span": {"PolymerConc": 5.0, "Temperature": 5.0}}
    whole["scalar"] |= {"steps": 60, "width": 16, "batch": 32}
    whole["held"] |= {"steps": 30, "width": 16, "rest_width": 8, "batch": 16, "states": 40}
    return Recipe.model_validate(whole)


@pytest.fixture(scope="session")
def small_data(small_recipe):
    return generate(small_recipe, jobs=1)


@pytest.fixture(scope="session")
def small_members(small_recipe, small_data):
    """The process model before it has learned anything: two members that differ."""
    past = history(small_data, small_recipe)
    rule = small_recipe.dynamics
    return [DynamicsTrainer(past, rule, 3, member).model for member in range(rule.members)]


@pytest.fixture(scope="session")
def small_imagination(small_recipe, small_data, small_members):
    return Imagination(small_members, history(small_data, small_recipe), small_recipe)


@pytest.fixture(scope="session")
def small_horizons(small_recipe, small_data, small_imagination):
    made = small_imagination.horizons(np.random.default_rng(1))
    return sequence_data(small_data, made, small_recipe)


@pytest.fixture(scope="session")
def held_out_recipe(small_recipe) -> Recipe:
    """The small recipe with error bands, from fewer episodes than would be sound."""
    rule = ConformalRecipe(
        held_out=0.3,
        least_episodes=3,
        level=0.6,
        within=0.8,
        ood_level=0.75,
        centres=16,
        shrinkage=0.05,
    )
    return small_recipe.model_copy(update={"conformal": rule})


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory, held_out_recipe, silent):
    """A bundle with error bands, its directory and its manifest."""
    at = tmp_path_factory.mktemp("calibrated")
    return at / "out", train(held_out_recipe, at / "work", at / "out", jobs=1, progress=silent)
