"""Figures of an episode whose course is known."""

import dataclasses

import numpy as np
import pytest

from models.evaluation.episode import Trace
from models.evaluation.metrics import measures, overshoot_pct, settling_h

BANDS = np.array([2.0, 0.5])


def trace(error, **changes):
    error = np.asarray(error, float)
    n = len(error) - 1
    whole = Trace(
        start=np.arange(5.0),
        setpoint=np.array([100.0, 350.0]),
        cv=error + np.array([100.0, 350.0]),
        mv=np.tile([1.0, 340.0], (n + 1, 1)),
        peaks=np.full((n, 1), 360.0),
        reward=np.full(n, -1.0),
        cpu_s=np.full(n, 1e-4),
        noted={},
        tripped=False,
    )
    return dataclasses.replace(whole, **changes)


def test_offset_is_the_mean_error_of_the_last_hours(setting):
    error = np.zeros((577, 2))
    error[:-120], error[-120:] = 50.0, [0.3, -0.1]
    found = measures(trace(error), setting)
    assert found["offset_P"] == pytest.approx(0.3)
    assert found["offset_T"] == pytest.approx(-0.1)


def test_iae_movement_and_return_are_sums(setting):
    mv = np.array([[1.0, 340.0], [1.5, 345.0], [1.0, 340.0]])
    found = measures(trace([[0, 0], [12, -6], [-12, 6]], mv=mv), setting)
    assert found["iae_P"] == pytest.approx(2.0)
    assert found["iae_T"] == pytest.approx(1.0)
    assert found["movement_InitiatorFeed"] == pytest.approx(1.0 / 2.5)
    assert found["movement_CoolantTemperature"] == pytest.approx(10.0 / 50.0)
    assert found["movement"] == pytest.approx(0.6)
    assert found["return"] == -2.0
    assert found["cpu_us_per_move"] == pytest.approx(100.0)


@pytest.mark.parametrize(("peak", "violated"), [(365.0, False), (365.001, True)])
def test_only_strictly_above_the_limit_is_a_violation(setting, peak, violated):
    found = measures(trace(np.zeros((3, 2)), peaks=np.array([[360.0], [peak]])), setting)
    assert found["violated"] is violated
    assert found["peak_T"] == peak


def test_settling_counts_from_the_last_excursion():
    error = np.array([[9, 0], [1, 0], [3, 0], [1, 0.4], [0, 0]], float)
    assert settling_h(error, BANDS, 1800.0) == 1.5
    assert settling_h(np.zeros((4, 2)), BANDS, 1800.0) == 0.0
    error[-1, 1] = 0.6
    assert settling_h(error, BANDS, 1800.0) is None


def test_overshoot_is_on_the_far_side_only():
    error = np.array([[-40.0, 5.0], [4.0, -1.0], [-20.0, 0.0]])
    np.testing.assert_allclose(overshoot_pct(error, BANDS), [10.0, 20.0])


def test_without_a_step_there_is_no_overshoot(setting):
    found = measures(trace(np.array([[-40.0, 0.1], [0.0, 9.0]])), setting)
    assert found["overshoot_P_pct"] == 0.0
    assert found["overshoot_T_pct"] is None
    assert found["overshoot_pct"] == 0.0


def test_what_the_pilot_noted_is_counted_and_gaps_are_skipped(setting):
    noted = {"refused": np.array([0.0, 1.0]), "policy_distance": np.array([0.2, np.nan])}
    found = measures(trace(np.zeros((3, 2)), noted=noted), setting)
    assert found["refused"] == 1.0
    assert found["policy_distance"] == 0.2
