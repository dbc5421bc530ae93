from dataclasses import replace
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant_sim.plant import LoopMode
from plant_sim.unit import remote_loop as rl
from plant_sim.unit.remote_loop import ENTRY_MOVE, Limited, RemoteLoop

SPAN = 2.5


def loop(actual: float = 1.0, **changes) -> RemoteLoop:
    return replace(rl.make_loop(0.0, 2.5, 0.5, actual), **changes)


@pytest.mark.parametrize(
    ("wanted", "in_force", "limited"),
    [
        (1.2, 1.2, Limited.NO),
        (2.0, 1.5, Limited.RATE),
        (0.0, 0.6, Limited.LOW),
        (0.55, 0.6, Limited.LOW),
    ],
)
def test_a_target_is_rate_limited_then_clamped(wanted, in_force, limited):
    after = rl.offer(loop(lo_lim=0.6, hi_lim=1.7), wanted, following=True, now_s=0.0)
    assert after.target == in_force
    assert after.limited is limited
    assert after.written == wanted


def test_a_limit_closer_than_the_largest_move_wins():
    after = rl.offer(loop(hi_lim=1.4), 2.5, following=True, now_s=0.0)
    assert (after.target, after.limited) == (1.4, Limited.HIGH)


def test_entry_without_an_offer_holds_the_actual_output():
    after = rl.enter(loop(target=0.3, written=0.3), 1.0, now_s=5.0)
    assert after.target == after.written == 1.0


def test_entry_goes_towards_a_fresh_offer_by_half_a_percent_of_span():
    offered = rl.offer(loop(), 1.01, following=False, now_s=5.0)
    assert rl.enter(offered, 1.0, now_s=5.5).target == 1.01
    far = rl.offer(loop(), 2.5, following=False, now_s=5.0)
    entered = rl.enter(far, 1.0, now_s=5.5)
    assert isclose(entered.target, 1.0 + ENTRY_MOVE * SPAN)
    assert entered.limited is Limited.RATE


def test_an_old_offer_does_not_count():
    offered = rl.offer(loop(), 1.01, following=False, now_s=5.0)
    assert rl.enter(offered, 1.0, now_s=6.1).target == 1.0


def test_a_loop_that_does_not_follow_tracks():
    after = rl.track(loop(target=0.2, written=0.2, output=0.2), 1.7, now_s=0.0)
    assert (after.target, after.written, after.output) == (1.7, 1.7, 1.7)
    manual = rl.track(loop(output=0.2, mode=LoopMode.MAN), 1.7, now_s=0.0)
    assert manual.output == 0.2
    offered = rl.offer(loop(), 1.01, following=False, now_s=0.0)
    assert rl.track(offered, 1.7, now_s=0.5).written == 1.01
    assert rl.track(offered, 1.7, now_s=1.5).written == 1.7


def test_limits_that_close_in_move_the_target_in_force():
    after = rl.relimit(loop(target=2.0, hi_lim=1.4))
    assert (after.target, after.limited) == (1.4, Limited.HIGH)
    after = rl.relimit(loop(target=0.2, lo_lim=0.5))
    assert (after.target, after.limited) == (0.5, Limited.LOW)
    same = loop(target=1.0)
    assert rl.relimit(same) is same


def test_windup_at_the_limits():
    narrow = loop(lo_lim=0.5, hi_lim=1.5)
    assert rl.windup(narrow, 0.5) == (True, False)
    assert rl.windup(narrow, 1.0) == (False, False)
    assert rl.windup(narrow, 1.5) == (False, True)


@given(
    st.lists(st.floats(0.0, SPAN), min_size=1, max_size=20),
    st.floats(0.0, SPAN),
    st.floats(0.0, SPAN),
    st.floats(0.0, SPAN),
)
def test_whatever_is_written_the_target_stays_in_limits_and_moves_no_further(wishes, a, b, move):
    low, high = sorted((a, b))
    state = loop((low + high) / 2, lo_lim=low, hi_lim=high, max_move=move)
    for wish in wishes:
        before = state.target
        state = rl.offer(state, wish, following=True, now_s=0.0)
        assert low <= state.target <= high
        assert abs(state.target - before) <= move + 1e-12
