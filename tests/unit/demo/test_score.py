"""Figures and verdict of the demo, against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest

from controller.demo.score import score, verdict


def test_the_figures_of_a_first_order_response_are_those_of_its_formula(trend):
    found = score(trend(tau_h=2.0), 3600.0, 86400.0)
    assert found.iae_P == pytest.approx(40.0 * 2.0, rel=1e-3)
    assert found.iae_T == pytest.approx(5.0 * 2.0, rel=1e-3)
    # P settles at 2 % of 140 = 2.8: tau ln(40 / 2.8); T at 0.5 K: tau ln(10), the later one
    assert found.settling_h == pytest.approx(2.0 * math.log(40.0 / 2.8), abs=1 / 60)
    assert found.settling_h > 2.0 * math.log(10.0)
    assert found.offset_P == pytest.approx(0.0, abs=1e-3)
    assert found.peak_T == pytest.approx(355.1, abs=1e-3)
    assert found.movement["InitiatorFeed"] == pytest.approx(0.5 / 2.5, rel=1e-3)
    assert found.movement["CoolantTemperature"] == pytest.approx(5.0 / 50.0, rel=1e-3)
    assert found.on_spec


def test_a_loop_that_never_stays_inside_its_band_has_not_settled(trend):
    assert score(trend(T=356.0), 3600.0, 86400.0).settling_h is None


def test_a_loop_that_is_inside_all_the_time_has_settled_at_once(trend):
    still = trend(start=(100.0, 350.0), target=(100.0, 350.0))
    assert score(still, 3600.0, 86400.0).settling_h == 0.0


def test_the_peak_counts_from_the_start_of_the_episode(trend):
    episode = trend()
    peak = episode.peak_T.copy()
    peak[3] = 361.0
    assert score(replace(episode, peak_T=peak), 3600.0, 86400.0).peak_T == 361.0


def test_the_offset_is_the_mean_of_the_last_two_hours_with_its_sign(trend):
    episode = trend()
    late = episode.plant_time_s > 86400.0 - 7200.0
    moved = replace(episode, P=np.where(late, 138.0, episode.P))
    assert score(moved, 3600.0, 86400.0).offset_P == pytest.approx(-2.0)


def test_too_little_is_not_scored(trend):
    assert score(trend(), 86400.0, 86400.0) is None


def test_a_good_run_has_no_reason_against_it(result):
    assert verdict([result()], ["grade_up"], quick=False) == []
    assert verdict([result()], ["grade_up"], quick=True) == []


def test_the_limit_itself_is_no_violation_and_anything_above_it_is(result, trend):
    at = replace(result(), score=score(trend(peak_T=365.0), 3600.0, 86400.0))
    above = replace(result(), score=score(trend(peak_T=365.001), 3600.0, 86400.0))
    assert verdict([at], ["grade_up"], quick=False) == []
    (reason,) = verdict([above], ["grade_up"], quick=True)
    assert "above 365 K" in reason


def test_off_spec_fails_the_full_run_only(result, trend):
    off = replace(result(), score=score(trend(P=138.9), 3600.0, 86400.0))
    (reason,) = verdict([off], ["grade_up"], quick=False)
    assert "ended off spec: P -1.10 kg/m3" in reason


def test_an_error_that_does_not_fall_fails_the_quick_run(result, trend):
    stuck = replace(result(), score=score(trend(P=100.0, T=350.0), 3600.0, 14400.0))
    (reason,) = verdict([stuck], ["grade_up"], quick=True)
    assert "did not fall" in reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"certified": False}, "1 moves were written uncertified"),
        ({"written": False, "outcome": "not_written"}, "wrote no move"),
        ({"stopped": "the plant tripped at 3.0 h"}, "the plant tripped at 3.0 h"),
    ],
)
@pytest.mark.parametrize("quick", [False, True])
def test_reasons_against_a_run(result, changes, words, quick):
    (reason,) = verdict([result(**changes)], ["grade_up"], quick=quick)
    assert reason.startswith("grade_up: ")
    assert words in reason


def test_a_scenario_that_was_not_played_is_named(result):
    assert verdict([result()], ["grade_up", "grade_down"], quick=False) == [
        "grade_down: was not run"
    ]
