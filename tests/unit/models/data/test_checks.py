"""Data that are not fit to train on: each defect is named with its reason and its figure."""

import dataclasses

import numpy as np
import pytest

from models.bundle import Signal
from models.data.checks import DataRefused, check
from models.data.dataset import segments
from models.data.units import likely_unit
from models.train import train


def with_column(data, field, index, values):
    array = getattr(data, field).copy()
    array[:, index] = values
    return dataclasses.replace(data, **{field: array})


def only(report, severity, column):
    found = [f for f in report.findings if f.severity == severity and f.column == column]
    assert found, report.findings
    return found[0]


def test_dithered_data_pass_with_a_figure_for_every_pair(small_recipe, small_data):
    report = check(small_data, small_recipe)
    assert not report.refused
    assert {(p.mv, p.cv) for p in report.pairs} == {
        (mv.name, cv.name) for mv in small_recipe.mvs for cv in small_recipe.cvs
    }
    assert all(pair.excitation > 0.005 for pair in report.pairs)
    assert report.facts()["gain_over_error.CoolantTemperature.Temperature"] > 10.0


def test_values_that_are_not_finite_are_refused(small_recipe, small_data):
    cv = small_data.cv[:, 0].copy()
    cv[7] = np.inf
    found = only(check(with_column(small_data, "cv", 0, cv), small_recipe), "refuse", "PolymerConc")
    assert found.figure.startswith("1 of ")


def test_a_constant_mv_is_refused(small_recipe, small_data):
    report = check(with_column(small_data, "mv", 0, 1.8), small_recipe)
    assert only(report, "refuse", "InitiatorFeed").reason == "constant"


def test_moves_without_effect_are_refused_by_pair(small_recipe, small_data):
    """Shuffled moves are exciting, but the CVs do not answer to them."""
    feed = np.random.default_rng(1).permutation(small_data.mv[:, 0])
    report = check(with_column(small_data, "mv", 0, feed), small_recipe)
    assert "not identified" in only(report, "refuse", "InitiatorFeed -> PolymerConc").reason


def test_moves_that_the_situation_explains_are_refused(small_recipe, small_data):
    """A proportional controller alone: what it does is feedback, not excitation."""
    coolant = 340.0 + 0.2 * (small_data.sp[:, 1] - small_data.cv[:, 1])
    report = check(with_column(small_data, "mv", 1, coolant), small_recipe)
    found = only(report, "refuse", "CoolantTemperature")
    assert "too little excitation" in found.reason
    assert "of half its range" in found.figure


def test_degrees_celsius_are_recognised(small_recipe, small_data):
    celsius = with_column(small_data, "cv", 1, small_data.cv[:, 1] - 273.15)
    found = only(check(celsius, small_recipe), "refuse", "Temperature")
    assert "looks like degC" in found.reason
    assert "in a range 320..365 K" in found.figure


@pytest.mark.parametrize(
    ("values", "unit", "guess"),
    [
        ([60.0, 80.0], "percent of the range", "kg/h"),
        ([1500.0, 2100.0], "a thousandth of kg/h", "kg/h"),
        ([150.0, 170.0], "degF", "K"),
        ([-500.0, 4000.0], "", "kg/h"),
    ],
)
def test_units_are_guessed_where_they_fit(values, unit, guess):
    low, high = (0.0, 2.5) if guess == "kg/h" else (320.0, 365.0)
    signal = Signal(name="x", unit=guess, low=low, high=high)
    assert likely_unit(np.array(values), signal) == unit


def test_runaways_are_refused_above_a_share_and_flagged_below(small_recipe, small_data):
    peak = small_data.peak.copy()
    peak[100] = 400.0
    hot = dataclasses.replace(small_data, peak=peak)
    found = only(check(hot, small_recipe), "refuse", "Temperature")
    assert found.figure == "1 of 6 runs, highest 400.0 K"
    short = small_recipe.source.model_copy(update={"hours": 0.5})
    report = check(hot, small_recipe.model_copy(update={"source": short}))
    assert "runaways" in only(report, "flag", "Temperature").reason


def test_time_that_repeats_is_refused(small_recipe, small_data):
    time_s = small_data.time_s.copy()
    time_s[5] = time_s[4]
    report = check(dataclasses.replace(small_data, time_s=time_s), small_recipe)
    assert "repeats" in only(report, "refuse", "time").reason


def test_another_sampling_is_refused_and_says_how_to_resample(small_recipe, small_data):
    slow = dataclasses.replace(small_data, time_s=2.0 * small_data.time_s)
    found = only(check(slow, small_recipe), "refuse", "time")
    assert found.figure == "600 s instead of 300 s"
    assert "resample to 300 s" in found.advice


def test_irregular_sampling_is_refused_and_gaps_are_not(small_recipe, small_data):
    late = small_data.time_s.copy()
    late[50:60] += 100.0
    report = check(dataclasses.replace(small_data, time_s=late), small_recipe)
    assert "irregular" in only(report, "refuse", "time").reason
    gone = cut(small_data, np.arange(len(small_data.peak)) % 150 < 120, small_recipe)
    report = check(gone, small_recipe)
    assert not report.refused
    assert "missing" in only(report, "flag", "time").figure


def test_segments_shorter_than_the_horizon_are_refused(small_recipe, small_data):
    gone = cut(small_data, np.arange(len(small_data.peak)) % 60 < 58, small_recipe)
    found = only(check(gone, small_recipe), "refuse", "time")
    assert "horizon" in found.reason
    assert "58 samples" in found.figure


def test_a_stuck_instrument_is_flagged(small_recipe, small_data):
    monomer = small_data.dv[:, 0].copy()
    monomer[:800] = monomer[0]
    report = check(with_column(small_data, "dv", 0, monomer), small_recipe)
    assert "stuck" in only(report, "flag", "MonomerConc").reason


def test_training_stops_at_refused_data_with_the_reasons(small_recipe, silent, tmp_path):
    """Not the data but the claim about them is wrong here: the range says percent."""
    mvs = [small_recipe.mvs[0].model_copy(update={"high": 0.5}), small_recipe.mvs[1]]
    wrong = small_recipe.model_copy(update={"mvs": mvs})
    with pytest.raises(DataRefused, match="InitiatorFeed: outside its range"):
        train(wrong, tmp_path / "work", tmp_path / "out", jobs=1, progress=silent)
    assert not (tmp_path / "out").exists()


def cut(data, kept, recipe):
    """A dataset with only some of its rows."""
    part = {name: column[kept] for name, column in data.arrays().items()}
    part["segment"] = segments(part["episode"], part["time_s"], recipe.source.sample_time_s)
    return dataclasses.replace(data, **part)
