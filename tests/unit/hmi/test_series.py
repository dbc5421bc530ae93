"""Charts get few points and every extreme."""

import json
import math

import numpy as np
import pytest

from controller.hmi import trend as module
from controller.hmi.series import axis, bucketed, decimated, listed
from controller.hmi.trend import Trend
from controller.testing import plain_binding


def test_few_points_stay_as_they_are():
    time, values = np.arange(5.0), np.arange(10.0).reshape(5, 2)
    assert decimated(time, values, 5)[1] is values


def test_a_spike_survives_in_every_column():
    time = np.arange(10_000.0)
    values = np.zeros((10_000, 2))
    values[1234, 0], values[8765, 1] = 50.0, -50.0
    thin_time, thin = decimated(time, values, 100)
    assert len(thin_time) == len(thin) == 100
    assert thin[:, 0].max() == 50.0
    assert thin[:, 1].min() == -50.0
    assert (np.diff(thin_time) > 0).all()


def test_a_gap_stays_a_gap():
    values = np.full((1000, 1), np.nan)
    values[:500] = 1.0
    _, thin = decimated(np.arange(1000.0), values, 20)
    assert np.isnan(thin[10:]).all()
    assert (thin[:10] == 1.0).all()


def test_buckets_keep_extremes_in_their_order():
    edges = np.array([0.0, 10.0, 20.0])
    found = bucketed(np.array([1.0, 5.0, 12.0]), np.array([9.0, 2.0, 4.0]), edges, hold=False)
    assert found.tolist() == [9.0, 2.0, 4.0, 4.0]
    assert axis(edges).tolist() == [0.0, 5.0, 10.0, 15.0]


def test_a_step_stands_and_a_measurement_does_not():
    edges = np.linspace(0.0, 1000.0, 101)
    time, value = np.array([0.5, 1.5, 2.5]), np.array([1.0, 2.0, 3.0])
    assert (bucketed(time, value, edges, hold=True)[2:] == 3.0).all()
    measured = bucketed(time, value, edges, hold=False)
    assert measured[2] == 3.0
    assert np.isnan(measured[-10:]).all()
    assert np.isnan(bucketed(np.array([]), np.array([]), edges, hold=True)).all()


def test_json_has_no_nan():
    assert listed(np.array([1.23456789, math.nan, math.inf])) == [1.234568, None, None]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 10)
    return Trend(plain_binding(1, 1))


def test_a_trend_is_a_ring(small):
    assert small.since(100.0)["time"] == []
    for number in range(25):
        small.add(float(number), {"pv/CV0": float(number), "sp/CV0": None})
    found = small.since(5.0)
    assert found["time"] == [19.0, 20.0, 21.0, 22.0, 23.0, 24.0]
    assert found["series"]["pv/CV0"] == found["time"]
    assert found["series"]["sp/CV0"] == [None] * 6
    assert len(small.since(1e9)["time"]) == 10
    json.dumps(found, allow_nan=False)


def test_time_never_goes_back(small):
    small.add(10.0, {"pv/CV0": 1.0})
    small.add(10.0, {"pv/CV0": 2.0})
    small.add(9.0, {"pv/CV0": 3.0})
    assert small.since(100.0)["time"] == [10.0]


def test_it_begins_with_the_journal(plain_unit, scan):
    unit = plain_unit(2, 2)
    trend = Trend(unit.binding)
    trend.prefill((float(k), scan()) for k in range(3))
    found = trend.since(100.0)["series"]
    assert found["corrected/MV0"] == found["applied/MV0"] == [40.0] * 3
    assert found["actual/MV1"] != [None] * 3
    assert found["scan_s"] == [0.004] * 3
    assert set(found) == set(trend.names)
