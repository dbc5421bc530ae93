"""A small recipe that trains in seconds, and what it makes."""

import pytest

from models.data.dataset import generate
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
    whole["envelope"] |= {"rest_hours": 2.0, "rest_span": {"PolymerConc": 5.0, "Temperature": 5.0}}
    whole["scalar"] |= {"steps": 60, "width": 16, "batch": 32}
    whole["held"] |= {"steps": 30, "width": 16, "rest_width": 8, "batch": 16, "states": 40}
    return Recipe.model_validate(whole)


@pytest.fixture(scope="session")
def small_data(small_recipe):
    return generate(small_recipe, jobs=1)


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
