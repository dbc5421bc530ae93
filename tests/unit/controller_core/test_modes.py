"""The mode machine, one story a test."""

from __future__ import annotations

import pytest

from controller.core.conditions import Condition, Effects, Finding, effects
from controller.core.modes import HOLD_SCANS, next_mode, supervise
from controller.core.state import Mode, ModeState
from controller.core.types import OperatorMode

MANUAL, SHADOW, AUTO = OperatorMode.MANUAL, OperatorMode.SHADOW, OperatorMode.AUTO
CLEAR = Effects()


def found(*conditions: Condition) -> Effects:
    return effects(Finding(condition=condition) for condition in conditions)


def run(state: ModeState, *scans: tuple[Effects, OperatorMode | None]) -> ModeState:
    for seen, operator in scans:
        state = next_mode(state, seen, operator)
    return state


def in_auto() -> ModeState:
    return run(ModeState(), (CLEAR, MANUAL), (CLEAR, AUTO), (CLEAR, AUTO))


def test_a_start_with_auto_already_selected_does_not_enter():
    state = run(ModeState(), *[(CLEAR, AUTO)] * 5)
    assert state.mode is Mode.SHADOW
    assert not state.armed
    assert "off Auto and back" in state.reason


def test_auto_selected_after_manual_enters_once():
    state = run(ModeState(), (CLEAR, MANUAL), (CLEAR, AUTO))
    assert (state.mode, state.entering, state.acknowledged) == (Mode.AUTO, True, False)
    state = next_mode(state, CLEAR, AUTO)
    assert (state.mode, state.entering, state.acknowledged) == (Mode.AUTO, False, True)


@pytest.mark.parametrize("bar", [c for c in Condition if c is not Condition.JOURNAL_DEGRADED])
def test_every_condition_but_a_degraded_journal_and_a_wait_bars_entry(bar):
    state = run(ModeState(), (CLEAR, SHADOW), (found(bar), AUTO))
    if bar is Condition.AWAITING_ACTIVE:  # holds in AUTO only
        assert state.mode is Mode.AUTO
    else:
        assert state.mode is Mode.SHADOW


def test_a_hold_lasts_two_scans_and_then_sheds():
    hold = (found(Condition.BAD_INPUT), AUTO)
    state = in_auto()
    for _ in range(HOLD_SCANS):
        state = next_mode(state, *hold)
        assert state.mode is Mode.HOLD
    state = next_mode(state, *hold)
    assert state.mode is Mode.SHED
    assert "held 2 scans" in state.reason
    assert "measurement" in state.reason


def test_a_short_hold_returns_to_auto():
    state = run(in_auto(), (found(Condition.ADVICE_LATE), AUTO), (CLEAR, AUTO))
    assert (state.mode, state.holds) == (Mode.AUTO, 1)
    assert next_mode(state, CLEAR, AUTO).holds == 0


def test_a_fault_on_every_second_scan_sheds_too():
    state = in_auto()
    seen = []
    for scan in range(6):
        state = next_mode(state, found(Condition.WRITE_FAILED) if scan % 2 == 0 else CLEAR, AUTO)
        seen.append(state.mode)
    assert Mode.SHED in seen


def test_shed_goes_before_release_and_hold():
    both = found(Condition.BAD_INPUT, Condition.PLANT_SHED)
    for operator in (None, MANUAL, SHADOW, AUTO):
        assert next_mode(in_auto(), both, operator).mode is Mode.SHED


def test_release_goes_before_hold_and_is_not_latched():
    state = next_mode(in_auto(), found(Condition.BAD_INPUT), SHADOW)
    assert (state.mode, state.armed) == (Mode.SHADOW, True)
    state = next_mode(in_auto(), CLEAR, MANUAL)
    assert state.mode is Mode.MANUAL
    assert run(state, (CLEAR, AUTO)).mode is Mode.AUTO


def test_an_unreadable_selector_holds():
    assert next_mode(in_auto(), CLEAR, None).mode is Mode.HOLD


def test_the_dcs_has_two_scans_to_become_active():
    waiting = (found(Condition.AWAITING_ACTIVE), AUTO)
    entered = run(ModeState(), (CLEAR, MANUAL), (CLEAR, AUTO))
    state = run(entered, waiting, waiting)
    assert (state.mode, state.acknowledged, state.waits) == (Mode.AUTO, False, 2)
    assert next_mode(state, CLEAR, AUTO).acknowledged
    state = next_mode(state, *waiting)
    assert state.mode is Mode.SHED
    assert "3 scans" in state.reason


def shed() -> ModeState:
    return next_mode(in_auto(), found(Condition.PLANT_SHED), AUTO)


def test_shed_stays_while_the_selector_stays_on_auto():
    assert run(shed(), *[(CLEAR, AUTO)] * 10).mode is Mode.SHED


def test_the_manual_that_a_shed_brings_is_no_act_of_the_operator():
    latched = (found(Condition.NO_PERMIT), MANUAL)
    assert run(shed(), *[latched] * 10).mode is Mode.SHED


def test_an_acknowledgement_leads_to_manual():
    state = run(shed(), (found(Condition.NO_PERMIT), MANUAL), (CLEAR, MANUAL))
    assert state.mode is Mode.MANUAL


def test_shadow_selected_leads_to_shadow():
    assert run(shed(), (found(Condition.NO_PERMIT), SHADOW)).mode is Mode.SHADOW


def test_auto_selected_anew_leads_back_by_way_of_shadow():
    state = run(shed(), (found(Condition.NO_PERMIT), MANUAL), (CLEAR, AUTO))
    assert (state.mode, state.armed) == (Mode.SHADOW, True)
    assert next_mode(state, CLEAR, AUTO).mode is Mode.AUTO


def test_a_lost_connection_disarms():
    state = run(ModeState(), (CLEAR, MANUAL), (found(Condition.DISCONNECTED), None))
    assert not state.armed
    state = run(state, *[(CLEAR, AUTO)] * 3)
    assert state.mode is Mode.SHADOW


def test_init_waits_for_the_selector():
    state = run(ModeState(), (found(Condition.DISCONNECTED), None))
    assert state.mode is Mode.INIT
    assert "no connection" in state.reason


def test_read_only_never_leaves_shadow():
    barred = found(Condition.READ_ONLY)
    state = run(ModeState(), (barred, MANUAL), *[(barred, AUTO)] * 5)
    assert state.mode is Mode.SHADOW
    assert "read-only" in state.reason


def test_a_tick_holds_and_sheds_but_never_resumes():
    state = supervise(in_auto(), found(Condition.BAD_INPUT), AUTO)
    assert (state.mode, state.holds) == (Mode.HOLD, 1)
    assert supervise(state, CLEAR, AUTO).mode is Mode.HOLD
    assert next_mode(state, CLEAR, AUTO).mode is Mode.AUTO
    assert supervise(state, found(Condition.PLANT_SHED), AUTO).mode is Mode.SHED
    assert supervise(in_auto(), CLEAR, SHADOW).mode is Mode.SHADOW


def test_a_tick_sees_the_selector_leave_auto_and_come_back():
    state = run(ModeState(), (CLEAR, AUTO))
    assert not state.armed
    state = supervise(supervise(state, CLEAR, MANUAL), CLEAR, AUTO)
    assert (state.mode, state.armed) == (Mode.MANUAL, True)
    assert next_mode(state, CLEAR, AUTO).mode is Mode.AUTO


def test_a_tick_leaves_a_running_controller_as_it_is():
    state = in_auto()
    assert supervise(state, CLEAR, AUTO) == state
    assert supervise(ModeState(), CLEAR, AUTO).mode is Mode.INIT


def test_a_hold_that_a_tick_finds_is_one_of_its_scans():
    hold = found(Condition.BAD_INPUT)
    state = supervise(in_auto(), hold, AUTO)
    assert supervise(state, hold, AUTO) == state
    state = next_mode(state, hold, AUTO)
    assert (state.mode, state.holds) == (Mode.HOLD, HOLD_SCANS)
    assert next_mode(state, hold, AUTO).mode is Mode.SHED


def test_a_fault_that_every_tick_finds_and_no_scan_sheds_too():
    state, seen = in_auto(), []
    for _ in range(HOLD_SCANS + 1):
        state = supervise(state, found(Condition.HEARTBEAT_STALE), AUTO)
        state = next_mode(state, CLEAR, AUTO)
        seen.append(state.mode)
    assert seen == [Mode.AUTO] * HOLD_SCANS + [Mode.SHED]


def test_a_new_session_sheds_in_command_and_disarms_otherwise():
    new = found(Condition.NEW_SESSION)
    for step in (next_mode, supervise):
        assert step(in_auto(), new, AUTO).mode is Mode.SHED
        armed = run(ModeState(), (CLEAR, MANUAL))
        assert not step(armed, new, AUTO).armed
