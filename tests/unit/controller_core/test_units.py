"""Fixed points of the units."""

from __future__ import annotations

import pytest

from controller.configuration.units import Conversion, NoConversion, conversion


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("degC", "K", 0.0, 273.15),
        ("degF", "K", 212.0, 373.15),
        ("degF", "degC", 32.0, 0.0),
        ("K", "degF", 273.15, 32.0),
        ("kg/s", "kg/h", 1.0, 3600.0),
        ("g/s", "kg/h", 1.0, 3.6),
        ("kg/h", "g/s", 3.6, 1.0),
        ("t/h", "kg/h", 2.0, 2000.0),
        ("kg/min", "kg/h", 1.0, 60.0),
        ("lb/h", "kg/h", 1.0, 0.45359237),
        ("g/L", "kg/m3", 5.0, 5.0),
        ("g/cm3", "g/L", 1.0, 1000.0),
        ("L/min", "m3/h", 1000.0, 60.0),
        ("bar", "kPa", 1.0, 100.0),
        ("psi", "Pa", 1.0, 6894.757293168361),
        ("mm", "m", 1000.0, 1.0),
        ("mmol", "mmol", 5.0, 5.0),
    ],
)
def test_known_points(source, target, value, expected):
    assert conversion(source, target).value(value) == pytest.approx(expected, abs=1e-9)


def test_a_difference_has_no_offset():
    assert conversion("degF", "K").difference(9.0) == pytest.approx(5.0)


def test_raw_signals():
    way = conversion("raw", "K", scale=0.5, offset=250.0)
    assert (way.value(100.0), way.to_server(300.0)) == (300.0, 100.0)
    assert conversion("raw", "K", scale=2.0) == Conversion(gain=2.0, offset=0.0)


def test_raw_counts_and_their_span():
    way = conversion("raw", "kg/h", counts=(5530.0, 27648.0), span=(0.0, 2.5))
    assert (way.value(5530.0), way.value(27648.0)) == pytest.approx((0.0, 2.5))
    assert way.difference(22118.0) == pytest.approx(2.5)


def test_an_interval_is_ascending():
    assert conversion("degC", "K").interval(0.0, 100.0) == (273.15, 373.15)


@pytest.mark.parametrize(
    ("source", "given", "word"),
    [
        ("percent", {}, "span"),
        ("percent", {"span": (1.0, 1.0)}, "span"),
        ("percent", {"span": (2.0, 1.0)}, "span"),
        ("raw", {}, "scale"),
        ("raw", {"scale": 0.0}, "scale"),
        ("raw", {"scale": -1.0}, "scale"),
        ("raw", {"counts": (0.0, 10.0)}, "span"),
        ("raw", {"counts": (10.0, 10.0), "span": (0.0, 1.0)}, "span"),
        ("raw", {"counts": (0.0, 10.0), "span": (1.0, 0.0)}, "span"),
        ("furlong", {}, "furlong"),
        ("kg/h", {}, "mass flow"),
    ],
)
def test_what_does_not_convert_says_why(source, given, word):
    refused = conversion(source, "K", **given)
    assert isinstance(refused, NoConversion)
    assert word in refused.detail
    assert refused.allowed


def test_a_model_unit_that_is_not_known_accepts_itself_percent_and_raw():
    refused = conversion("K", "mmol")
    assert "mmol" in refused.allowed
    assert "percent" in refused.allowed
