"""The shipped recipe with short episodes."""

import pytest

from models.evaluation.suites import cases_of, setting_of
from models.recipe import load_recipe


@pytest.fixture(scope="session")
def recipe():
    return load_recipe("polymer-cstr")


@pytest.fixture(scope="session")
def setting(recipe):
    """Six hours."""
    return setting_of(recipe, 300.0, hours=6.0)


@pytest.fixture(scope="session")
def grade_up(recipe):
    return next(case for case in cases_of(recipe, ["nominal"]) if case.name == "grade_up")
