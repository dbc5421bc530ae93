"""Units convert there and back, values and differences."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controller.configuration.units import Conversion, NoConversion, conversion

FAMILIES = [["K", "degC", "degF"], ["kg/h", "kg/s", "g/s"], ["kg/m3", "g/L"]]
pairs = st.sampled_from(FAMILIES).flatmap(
    lambda family: st.tuples(st.sampled_from(family), st.sampled_from(family))
)
values = st.floats(-1e6, 1e6)


@given(pairs, values)
def test_a_value_comes_back(pair, value):
    way = conversion(*pair)
    assert isinstance(way, Conversion)
    assert way.to_server(way.value(value)) == pytest.approx(value, rel=1e-12, abs=1e-9)


@given(pairs, values)
def test_the_two_directions_are_inverse(pair, value):
    there, back = conversion(*pair), conversion(pair[1], pair[0])
    assert back.value(there.value(value)) == pytest.approx(value, rel=1e-12, abs=1e-9)


@given(pairs, values, values)
def test_a_difference_is_the_difference_of_values(pair, one, other):
    way = conversion(*pair)
    size = abs(way.value(one) - way.value(other))
    assert way.difference(abs(one - other)) == pytest.approx(size, rel=1e-9, abs=1e-6)


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0.0, 100.0))
def test_percent_of_a_span(low, high, share):
    assume(high - low > 1e-3)
    way = conversion("percent", "K", span=(low, high))
    assert way.value(0.0) == low
    assert way.value(100.0) == pytest.approx(high)
    assert low - 1e-9 <= way.value(share) <= high + 1e-9
    assert way.to_server(way.value(share)) == pytest.approx(share, abs=1e-6)


@given(st.sampled_from(FAMILIES), st.sampled_from(FAMILIES))
def test_quantities_do_not_mix(one, other):
    assume(one is not other)
    refused = conversion(one[0], other[0])
    assert isinstance(refused, NoConversion)
    assert other[0] in refused.allowed
    assert one[0] not in refused.allowed.split(" ")[0]
