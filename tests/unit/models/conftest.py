"""A small recipe that trains in seconds, and what it makes."""

import pytest

from models.data.dataset import generate
from models.recipe import Recipe, load_recipe


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
