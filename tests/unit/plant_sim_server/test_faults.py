from math import isnan

import pytest

from plant_sim.unit.faults import FaultKind, Instrument, Quality, Reading, inject, sample

THERMOMETER = Instrument(low=280.0, high=420.0)


def read(kind: FaultKind, magnitude: float, *, at_s: float, value: float = 351.0) -> Reading:
    """A fault injected at plant time 100 s for 1000 s, after a healthy 350."""
    healthy, _ = sample(THERMOMETER, 350.0, 90.0)
    faulty = inject(healthy, kind, magnitude, 100.0, 1000.0)
    return sample(faulty, value, at_s)[1]


def test_a_healthy_instrument_shows_what_is_there():
    assert sample(THERMOMETER, 350.0, 0.0)[1] == Reading(value=350.0)


@pytest.mark.parametrize(
    ("kind", "magnitude", "expected"),
    [
        (FaultKind.FREEZE, 0.0, Reading(value=350.0)),
        (FaultKind.DRIFT, 36.0, Reading(value=351.0 + 36.0 * 0.1)),
        (FaultKind.SPIKE, 25.0, Reading(value=376.0)),
        (FaultKind.BAD_QUALITY, 0.0, Reading(value=None, quality=Quality.SENSOR_FAILURE)),
        (FaultKind.STALE_TIME, 0.0, Reading(value=350.0, moving=False)),
        (
            FaultKind.COMMUNICATION_LOSS,
            0.0,
            Reading(value=None, quality=Quality.NO_COMMUNICATION, moving=False),
        ),
    ],
)
def test_each_fault_shows_as_documented(kind, magnitude, expected):
    assert read(kind, magnitude, at_s=460.0) == expected
    assert read(kind, magnitude, at_s=1100.0) == Reading(value=351.0)  # over


def test_nan_says_good_and_is_not():
    reading = read(FaultKind.NAN, 0.0, at_s=200.0)
    assert isnan(reading.value)
    assert reading.quality is Quality.GOOD
    assert not reading.good


def test_only_good_finite_values_count_as_good():
    assert Reading(value=1.0).good
    assert not Reading(value=1.0, quality=Quality.OUT_OF_RANGE).good
    assert not Reading(value=None, quality=Quality.SENSOR_FAILURE).good


def test_a_reading_far_outside_the_range_says_so():
    assert sample(THERMOMETER, 420.5, 0.0)[1].quality is Quality.GOOD
    assert sample(THERMOMETER, 424.0, 0.0)[1].quality is Quality.OUT_OF_RANGE
    assert sample(THERMOMETER, 276.0, 0.0)[1].quality is Quality.OUT_OF_RANGE


def test_clear_repairs():
    faulty = inject(THERMOMETER, FaultKind.BAD_QUALITY, 0.0, 0.0, 1e9)
    repaired = inject(faulty, FaultKind.CLEAR, 0.0, 5.0, 0.0)
    assert sample(repaired, 350.0, 6.0)[1] == Reading(value=350.0)


def test_a_spent_fault_is_dropped():
    faulty = inject(THERMOMETER, FaultKind.FREEZE, 0.0, 0.0, 10.0)
    after, _ = sample(faulty, 350.0, 10.0)
    assert after.fault is None
