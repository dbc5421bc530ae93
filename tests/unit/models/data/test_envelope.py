"""The setpoints that are accepted lie near what the data reached at rest."""

import dataclasses

import numpy as np
import pytest

from models.data.envelope import envelope, rest_points
from models.recipe import RecipeError


def test_the_envelope_holds_the_points_at_rest_and_not_the_far_side(small_recipe, small_data):
    points = rest_points(small_data, small_recipe)
    assert len(points) > 10
    for plane in envelope(small_data, small_recipe):
        assert np.all(points @ np.array(plane.normal) <= plane.limit + 1e-6)
    far = np.array([1000.0, 350.0])
    planes = envelope(small_data, small_recipe)
    assert any(far @ np.array(plane.normal) > plane.limit for plane in planes)


def test_one_controlled_variable_gets_an_interval_as_envelope(small_recipe, small_data):
    single = dataclasses.replace(small_data, cv=small_data.cv[:, :1])
    planes = envelope(single, small_recipe.model_copy(update={"cvs": small_recipe.cvs[:1]}))
    assert [plane.normal for plane in planes] == [[1.0], [-1.0]]
    assert -planes[1].limit < planes[0].limit


def test_data_that_never_rest_are_refused_with_the_way_out(small_recipe, small_data):
    rule = small_recipe.envelope.model_copy(
        update={"rest_span": dict.fromkeys(("PolymerConc", "Temperature"), 1e-9)}
    )
    with pytest.raises(RecipeError, match=r"envelope\.rest_span"):
        envelope(small_data, small_recipe.model_copy(update={"envelope": rule}))
