"""For any floats, NaN and infinities included: nothing non-finite and nothing out of bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.box import Box, accepted_targets, move_box
from controller.core.conditions import BUMPLESS_SHARE
from controller.core.guard import guard
from controller.core.state import Mode, ModeState
from controller.core.types import (
    Advised,
    GuardReason,
    GuardRefusal,
    Move,
    OperatorLimits,
    Written,
    flags,
    vector,
)
from controller.testing import plain_advice, plain_readings

AUTO = ModeState(mode=Mode.AUTO, acknowledged=True)
any_float = st.floats(allow_nan=True, allow_infinity=True)
near = st.floats(min_value=-20.0, max_value=120.0)
mixed = st.one_of(near, any_float)


@st.composite
def situations(draw, values=mixed):
    """(readings, last) with any floats in every place that a DCS or a model can reach."""
    count = draw(st.integers(1, 4))

    def some(source=values):
        return vector(draw(st.lists(source, min_size=count, max_size=count)))

    span = vector([0.0] * count), vector([100.0] * count)
    limits = OperatorLimits(
        low=some(), high=some(), max_move=some(), range_low=span[0], range_high=span[1]
    )
    available = flags(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    readings = plain_readings(
        1, count, 0, limits=limits, available=available, mv=some(), track=some()
    )
    return readings, some()


def within(values, low, high, chosen):
    return bool(((low <= values) & (values <= high))[chosen].all())


@given(situations())
def test_a_box_is_finite_and_within_every_limit(situation):
    readings, last = situation
    box = move_box(readings, last)
    if not isinstance(box, Box):
        assert box.detail
        return
    follows, limits = readings.available, readings.limits
    assert (box.low <= box.high).all()
    assert within(box.low, limits.low, limits.high, follows)
    assert within(box.high, limits.low, limits.high, follows)
    still = ~follows
    assert box.low[still].tobytes() == box.high[still].tobytes() == readings.mv[still].tobytes()


@given(situations(near))
def test_a_box_reaches_no_farther_than_max_move_or_the_bumpless_share(situation):
    readings, last = situation
    box = move_box(readings, last)
    if isinstance(box, Box):
        limits = readings.limits
        reach = 1e-9 + np.maximum(limits.max_move, 0.0)
        nearest = np.clip(last, limits.low, limits.high)
        inside = np.abs(nearest - last) <= limits.max_move
        follows = readings.available
        chosen = follows & inside
        assert within(box.low, last - reach, last + reach, chosen)
        assert within(box.high, last - reach, last + reach, chosen)
        forced = follows & ~inside
        assert within(box.low, nearest, nearest, forced)
        assert within(box.high, nearest, nearest, forced)


@given(situations(near))
def test_an_entry_never_bumps(situation):
    readings, last = situation
    box = move_box(readings, vector([np.nan] * last.size))
    if isinstance(box, Box):
        share = BUMPLESS_SHARE * 100.0 + 1e-9
        track, follows = readings.track, readings.available
        assert within(box.low, track - share, track + share, follows)
        assert within(box.high, track - share, track + share, follows)


@settings(max_examples=1000)
@given(situations(), st.data(), any_float, any_float)
def test_the_guard_lets_nothing_through_that_is_not_finite_certified_and_inside(
    situation, data, gap, tolerance
):
    readings, last = situation
    size = data.draw(st.one_of(st.just(last.size), st.integers(0, 5)))
    raw = vector(data.draw(st.lists(mixed, min_size=size, max_size=size)))
    proposal = Advised(
        advice=plain_advice(raw, gap=gap, tolerance=tolerance), request=None, elapsed_s=0.0
    )
    move = guard(proposal, readings, last, state=AUTO, read_only=False)
    if isinstance(move, GuardRefusal):
        return
    chosen = move.write
    assert chosen.tolist() == readings.available.tolist()
    assert np.isfinite(gap)
    assert gap <= tolerance
    assert np.isfinite(move.targets[chosen]).all()
    assert move.targets[chosen].tobytes() == raw[chosen].tobytes()  # unchanged, bit for bit
    assert np.isnan(move.targets[~chosen]).all()
    limits = readings.limits
    assert within(move.targets, limits.low, limits.high, chosen)
    assert within(move.targets, limits.range_low, limits.range_high, chosen)


@given(situations(near), st.floats(0.0, 1.0))
def test_every_move_inside_the_box_and_the_range_passes(situation, share):
    readings, last = situation
    box = move_box(readings, last)
    if not isinstance(box, Box):
        return
    inside = np.clip(box.low + share * (box.high - box.low), box.low, box.high)
    proposal = Advised(advice=plain_advice(inside), request=None, elapsed_s=0.0)
    answer = guard(proposal, readings, last, state=AUTO, read_only=False)
    in_range = within(inside, 0.0, 100.0, readings.available)
    if in_range:
        assert isinstance(answer, Move)
    else:
        assert answer.reason is GuardReason.OUTSIDE_LIMITS


@given(situations(), st.sampled_from([m for m in Mode if m is not Mode.AUTO]), st.booleans())
def test_out_of_auto_and_read_only_nothing_passes(situation, mode, read_only):
    readings, last = situation
    proposal = Advised(advice=plain_advice(readings.mv), request=None, elapsed_s=0.0)
    for state, barred in ((ModeState(mode=mode), read_only), (AUTO, True)):
        answer = guard(proposal, readings, last, state=state, read_only=barred)
        assert isinstance(answer, GuardRefusal)


@given(situations())
def test_targets_in_force_are_nan_or_what_was_written(situation):
    readings, last = situation
    move = Move(
        targets=last, write=readings.available, request=True, origin="correction", entering=False
    )
    keys = [f"mv.MV{i}.target" for i in range(last.size)]
    after = accepted_targets(last, move, Written(), state=AUTO, readings=readings, target_keys=keys)
    np.testing.assert_equal(after[readings.available], last[readings.available])
    assert np.isnan(after[~readings.available]).all()
