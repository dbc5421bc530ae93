"""Any float goes through the journal's JSON and comes back with the same bits."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from controller.journal.chain import GENESIS, chained
from controller.journal.document import encode, number, numbers, restore, restored, storable

floats = st.floats(allow_nan=True, allow_infinity=True)
canonical = np.float64("nan")


def same(one, other):
    """Equal in every bit; every NaN is the one NaN."""
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    one, other = (np.where(np.isnan(x), canonical, x) for x in (one, other))
    return one.shape == other.shape and one.tobytes() == other.tobytes()


@given(floats)
def test_a_float_comes_back(value):
    assert same(restore(json.loads(encode({"x": number(value)}))["x"]), value)


@given(
    hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, min_side=1, max_side=4), elements=floats)
)
def test_an_array_comes_back(array):
    assert same(restored(json.loads(encode({"x": numbers(array)}))["x"]), array)


@given(
    st.recursive(
        st.one_of(floats, st.integers(), st.booleans(), st.none(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_whatever_an_event_says_can_be_stored(value):
    text = encode({"detail": storable(value)})
    assert encode(json.loads(text)) == text


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_changed_document_changes_the_hash(one, other):
    same_hash = chained(GENESIS, "scan", one) == chained(GENESIS, "scan", other)
    assert same_hash == (one == other)
