"""Suites, cases and starts."""

import pytest

from models.evaluation.pilot import EvaluationError
from models.evaluation.suites import cases_of, setting_of, start_seeds


def test_every_suite_of_the_contract_is_there(recipe):
    names = ["nominal", "mismatch", "noise", "both", "disturbance", "setpoints", "industrial"]
    assert {suite.name for suite in recipe.evaluation.suites} == {*names, "mismatch_disturbance"}
    assert len(cases_of(recipe, names)) == 6 * 3 + 2


def test_unseen_setpoints_start_from_a_grade(recipe):
    cases = cases_of(recipe, ["setpoints"])
    assert [case.setpoint for case in cases] == [(85.0, 347.0), (120.0, 353.0)]
    assert {case.scenario for case in cases} == {"grade_down"}


def test_a_suite_named_twice_is_run_once(recipe):
    assert cases_of(recipe, ["nominal", "nominal"]) == cases_of(recipe, ["nominal"])


def test_an_unknown_suite_is_named_with_the_one_that_was_meant(recipe):
    with pytest.raises(EvaluationError, match=r"'mismach'.*did you mean 'mismatch'"):
        cases_of(recipe, ["mismach"])


def test_more_starts_keep_the_first_ones():
    assert start_seeds(500, 12)[:3] == start_seeds(500, 3)
    assert len(set(start_seeds(500, 50) + start_seeds(501, 50))) == 100
    assert all(0 <= seed < 2**31 for seed in start_seeds(0, 50))


def test_a_sample_time_without_a_length_is_refused(recipe):
    with pytest.raises(EvaluationError, match=r"evaluation\.hours for 300, 1800"):
        setting_of(recipe, 60.0)


def test_a_recipe_without_the_section_is_refused(recipe):
    with pytest.raises(EvaluationError, match=r"no section \[evaluation\]"):
        setting_of(recipe.model_copy(update={"evaluation": None}), 300.0)
