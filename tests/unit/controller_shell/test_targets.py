"""What is written to a target: the certified move, inside the server's own limits."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from controller.configuration.binding import bind
from controller.configuration.tags import parse_tags
from controller.core.types import Measurement, Quality
from controller.opcua.targets import Unfit, server_target
from controller.testing import PlainVariable, plain_manifest, plain_tags

DOUBLE, FLOAT = ua.VariantType.Double, ua.VariantType.Float
COOLANT = PlainVariable(name="Coolant", unit="K", low=300.0, high=350.0)
LO, HI = "mv.Coolant.lo_lim", "mv.Coolant.hi_lim"


def bound(*, unit="degC", span=None, range_=(26.85, 76.85), variable=COOLANT):
    entry = {
        "unit": unit,
        "range": list(range_),
        "max_move": 5.0,
        **{name: f"ns=2;s={name}" for name in ("target", "actual", "lo_lim", "hi_lim")},
    }
    if span is not None:
        entry["span"] = list(span)
    data = {**plain_tags(1, 0), "mv": {variable.name: entry}}
    manifest = replace(plain_manifest(1, 0), mvs=(variable,))
    return bind(parse_tags(data, file="tags.toml"), manifest, file="tags.toml").mvs[0]


def limits(low, high, quality=Quality.GOOD):
    stamp = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        key: Measurement(tag=key, value=value, quality=quality, source_time=stamp, received_s=0.0)
        for key, value in ((LO, low), (HI, high))
    }


def test_the_last_digit_of_the_conversion_does_not_pass_a_limit():
    mv = bound()
    assert mv.conversion.to_server(350.0) > 76.85
    assert server_target(mv, 350.0, DOUBLE, limits(26.85, 76.85)) == 76.85
    assert server_target(mv, 350.0, DOUBLE, {}) == 76.85
    assert server_target(mv, 333.15, DOUBLE, {}) == mv.conversion.to_server(333.15)


def test_single_precision_is_rounded_inside_the_limits():
    mv = bound(range_=(0.0, 100.0))
    low = 26.9
    assert float(np.float32(low)) < low
    value = server_target(mv, mv.conversion.value(low), FLOAT, limits(low, 76.85))
    assert value == float(np.nextafter(np.float32(low), np.float32(np.inf)))
    assert float(np.float32(value)) == value


@pytest.mark.parametrize(("kind", "beyond"), [(DOUBLE, 1e-9), (FLOAT, 1e-4)])
def test_more_than_rounding_is_another_move_and_is_refused(kind, beyond):
    found = server_target(bound(), 350.0 - 20.0 + beyond, kind, limits(26.85, 56.85))
    assert isinstance(found, Unfit)
    assert "mv.Coolant.target" in found.detail


def test_limits_between_which_a_float_finds_no_room_are_refused():
    found = server_target(bound(), 350.0, FLOAT, limits(76.85, 76.85))
    assert isinstance(found, Unfit)
    assert "no Float" in found.detail


def test_an_unusable_limit_tag_is_no_limit_here():
    assert server_target(bound(), 330.0, DOUBLE, limits(70.0, 70.0, Quality.BAD)) < 57.0


@given(
    share=st.floats(0.0, 1.0),
    low=st.floats(-40.0, 40.0),
    width=st.floats(1e-3, 200.0),
    kind=st.sampled_from([DOUBLE, FLOAT]),
    unit=st.sampled_from(["degC", "degF", "K", "percent"]),
)
def test_every_move_between_the_limits_is_written_within_rounding(share, low, width, kind, unit):
    shift = 300.0 if unit == "K" else 0.0
    low, high = low + shift, low + shift + width
    span = (250.0, 425.0) if unit == "percent" else None
    wide = PlainVariable(name="Coolant", unit="K", low=0.0, high=1000.0)
    mv = bound(unit=unit, span=span, range_=(low, high), variable=wide)
    target = min(max(mv.low + share * (mv.high - mv.low), mv.low), mv.high)
    written = server_target(mv, target, kind, limits(low, high))
    assert not isinstance(written, Unfit)
    assert low <= written <= high
    assert mv.low <= mv.conversion.value(written) <= mv.high
    size = np.spacing(np.float32(max(abs(low), abs(high)))) if kind is FLOAT else 1e-12
    assert abs(mv.conversion.value(written) - target) <= size * mv.conversion.gain + 1e-12
