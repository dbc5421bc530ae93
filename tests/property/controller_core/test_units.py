"""Units convert there and back: values, differences, limits and moves."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controller.configuration.binding import bind
from controller.configuration.tags import parse_tags
from controller.configuration.units import KNOWN, Conversion, NoConversion, alike, conversion
from controller.testing import PlainManifest, PlainVariable

PLAIN = [unit for unit in KNOWN if unit not in {"percent", "raw"}]
FAMILIES = sorted(sorted(family) for family in {frozenset(alike(unit)) for unit in PLAIN})
pairs = st.sampled_from(PLAIN).flatmap(
    lambda unit: st.tuples(st.just(unit), st.sampled_from(alike(unit)))
)
values = st.floats(-1e6, 1e6)
widths = st.floats(1e-3, 1e4)


def near(value: float, way: Conversion) -> object:
    """Equal but for rounding, which an offset makes larger than the value's own."""
    return pytest.approx(value, rel=1e-9, abs=1e-9 + 1e-12 * abs(way.offset / way.gain))


@given(pairs, values)
def test_a_value_comes_back(pair, value):
    way = conversion(*pair)
    assert isinstance(way, Conversion)
    assert way.to_server(way.value(value)) == near(value, way)


@given(pairs, values)
def test_the_two_directions_are_inverse(pair, value):
    there, back = conversion(*pair), conversion(pair[1], pair[0])
    assert back.value(there.value(value)) == near(value, there)
    assert back.difference(there.difference(value)) == pytest.approx(value, rel=1e-12)


@given(pairs, values, values)
def test_a_difference_is_the_difference_of_values(pair, one, other):
    way = conversion(*pair)
    size = abs(way.value(one) - way.value(other))
    slack = 1e-9 * (abs(way.value(one)) + abs(way.value(other)) + 1.0)
    assert way.difference(abs(one - other)) == pytest.approx(size, rel=1e-9, abs=slack)


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0.0, 100.0))
def test_percent_of_a_span(low, high, share):
    assume(high - low > 1e-3)
    way = conversion("percent", "K", span=(low, high))
    assert way.value(0.0) == low
    assert way.value(100.0) == pytest.approx(high)
    assert low - 1e-9 <= way.value(share) <= high + 1e-9
    assert way.to_server(way.value(share)) == pytest.approx(share, abs=1e-6)


@given(
    st.integers(-32768, 32000), st.integers(1, 65535), st.floats(-1e3, 1e3), widths, st.floats(0, 1)
)
def test_counts_of_a_span(bottom, counts, low, width, share):
    way = conversion(
        "raw", "K", counts=(float(bottom), float(bottom + counts)), span=(low, low + width)
    )
    slack = 1e-12 * (abs(low) + width + (abs(bottom) + counts) * way.gain)
    assert way.value(bottom) == pytest.approx(low, abs=slack)
    assert way.value(bottom + counts) == pytest.approx(low + width, abs=slack)
    assert way.difference(share * counts) == pytest.approx(share * width, rel=1e-9, abs=1e-12)
    reading = bottom + share * counts
    assert way.to_server(way.value(reading)) == pytest.approx(reading, abs=2 * slack / way.gain)


@given(
    st.sampled_from(PLAIN),
    st.data(),
    st.floats(1e-2, 100.0),
    st.floats(1e-3, 1.0),
    st.floats(1e-3, 1.0),
)
def test_a_tag_in_any_unit_binds_to_the_same_limits_and_moves(unit, data, width, move, step):
    """The same instrument described in two units is the same to the controller."""
    other = data.draw(st.sampled_from(alike(unit)))
    way = conversion(other, unit)
    low, high = 300.0, 300.0 + width
    manifest = PlainManifest(
        cvs=(PlainVariable(name="C", unit=unit, low=low, high=high),),
        mvs=(PlainVariable(name="M", unit=unit, low=low, high=high),),
    )

    def bound(name, ends, size, jump):
        scaled = {"unit": name, "range": [float(end) for end in ends]}
        tags = {
            "schema": 1,
            "cv": {"C": scaled | {"pv": "i=1", "sp": "i=2", "max_step": jump}},
            "mv": {"M": scaled | {"target": "i=3", "actual": "i=4", "max_move": size}},
        }
        return bind(parse_tags(tags, file="t"), manifest, file="t")

    plain = bound(unit, (low, high), move * width, step * width)
    there = bound(
        other,
        (way.to_server(low), way.to_server(high)),
        move * width / way.gain,
        step * width / way.gain,
    )
    (one,), (two,) = plain.mvs, there.mvs
    assert (two.low, two.high) == pytest.approx((one.low, one.high), rel=1e-9)
    assert two.max_move == pytest.approx(one.max_move, rel=1e-9)
    assert there.cvs[0].pv.max_step == pytest.approx(plain.cvs[0].pv.max_step, rel=1e-9)


@given(st.sampled_from(FAMILIES), st.sampled_from(FAMILIES))
def test_quantities_do_not_mix(one, other):
    assume(one is not other)
    refused = conversion(one[0], other[0])
    assert isinstance(refused, NoConversion)
    assert other[0] in refused.allowed
    assert one[0] not in refused.allowed.split(" (")[0].split(", ")


@given(st.text(min_size=1).filter(lambda unit: unit not in {"percent", "raw"}))
def test_a_unit_that_nobody_knows_is_itself(unit):
    assert conversion(unit, unit) == Conversion()
