"""PI, anti-windup, tracking, override and interlock, one function at a time."""

import numpy as np
import pytest

from plant_sim.interlock import TRIP_K, tripped_next
from plant_sim.regulatory import (
    DEFAULT_TUNING,
    PiTuning,
    override_next,
    pi_step,
    sample_published,
    tracking_integral,
)


def test_positional_form_and_units():
    output, integral = pi_step(2.0, 0.5, 0.1, 1e-3, 1.0, 0.0, 2.5, 10.0)
    assert output == pytest.approx(1.0 + 0.2 + 0.5)
    assert integral == pytest.approx(0.5 + 1e-3 * 2.0 * 10.0)


def test_the_integral_takes_the_elapsed_time():
    one = pi_step(2.0, 0.0, 0.1, 1e-3, 1.0, 0.0, 2.5, 3.5)[1]
    assert one == pytest.approx(1e-3 * 2.0 * 3.5)


@pytest.mark.parametrize(
    ("error", "integral", "moves"),
    [
        (2.0, 5.0, False),  # saturated high, driven higher
        (-2.0, 5.0, True),  # saturated high, driven back
        (-2.0, -5.0, False),  # saturated low, driven lower
        (2.0, -5.0, True),  # saturated low, driven back
        (2.0, 0.0, True),  # free
    ],
)
def test_conditional_integration(error, integral, moves):
    output, after = pi_step(error, integral, 0.1, 1e-3, 1.0, 0.0, 2.5, 10.0)
    assert 0.0 <= output <= 2.5
    assert (after != integral) == moves


def test_tracking_reproduces_the_actual_output():
    integral = tracking_integral(1.7, -13.0, 0.0817, 1.0)
    output, _ = pi_step(-13.0, integral, 0.0817, 2.91e-6, 1.0, 0.0, 2.5, 10.0)
    assert output == pytest.approx(1.7, abs=1e-12)


def test_override_hysteresis():
    rising = [(359.0, False), (362.9, False), (363.0, True), (364.0, True)]
    falling = [(362.0, True), (360.1, True), (360.0, False), (362.0, False)]
    active = False
    for temperature, expected in rising + falling:
        active = override_next(active, temperature, 363.0, 360.0)
        assert active == expected, temperature


def test_interlock_latches():
    tripped = False
    for temperature, expected in (
        (np.nextafter(TRIP_K, 0.0), False),
        (TRIP_K, True),
        (300.0, True),
    ):
        tripped = tripped_next(tripped, temperature)
        assert tripped == expected, temperature


def test_published_ranges():
    rng = np.random.default_rng(1)
    drawn = [sample_published(rng) for _ in range(400)]
    gains = np.array([[*t.kp, *t.ki] for t in drawn])
    low = np.array([2e-4, 8e-3, 6e-8, 2e-6])
    high = np.array([5e-3, 0.2, 1.5e-6, 5e-5])
    assert np.all(gains >= low)
    assert np.all(gains <= high)
    assert np.all(np.ptp(gains, axis=0) > 0.95 * (high - low))
    assert {t.bias for t in drawn} == {(1.0, 345.0)}


def test_published_tuning_with_random_bias_keeps_the_gains():
    plain = sample_published(np.random.default_rng(5))
    biased = sample_published(np.random.default_rng(5), random_bias=True)
    assert (biased.kp, biased.ki) == (plain.kp, plain.ki)
    assert 0.5 <= biased.bias[0] <= 2.0
    assert 338.0 <= biased.bias[1] <= 348.0
    assert biased.bias != plain.bias


def test_default_tuning():
    expected = [[0.0817, 1.442], [2.91e-6, 5.58e-4], [1.0, 345.0]]
    assert DEFAULT_TUNING.array().tolist() == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kp", (0.1, -1.0)),
        ("ki", (float("nan"), 0.0)),
        ("bias", (1.0, float("inf"))),
        ("kp", (1.0,)),
    ],
)
def test_bad_tuning_is_refused_by_name(field, value):
    good = {"kp": (0.1, 1.0), "ki": (1e-6, 1e-4), "bias": (1.0, 345.0)}
    with pytest.raises(ValueError, match=f"PiTuning.{field}"):
        PiTuning(**{**good, field: value})
