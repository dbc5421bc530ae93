"""The mode machine over every state, every set of effects and every position of the selector."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.core.conditions import (
    BARS,
    Circumstances,
    Condition,
    Effect,
    Effects,
    Finding,
    derive,
    effects,
)
from controller.core.modes import ACTIVATION_SCANS, HOLD_SCANS, next_mode, supervise
from controller.core.state import Mode, ModeState
from controller.core.types import (
    NOTHING_WRITTEN,
    Advised,
    Faulted,
    Handshake,
    Late,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    OperatorMode,
    Refused,
    Written,
    flags,
    vector,
)
from controller.testing import plain_advice, plain_readings
from models.runtime import Refusal, RefusalReason

OFF = {OperatorMode.MANUAL, OperatorMode.SHADOW}
OPERATORS = (None, *OperatorMode)
FLAGS = [Effect(bits) for bits in range(1 << len(Effect))]
STATES = [
    ModeState(mode=mode, armed=armed, entering=entering, holds=holds, waits=waits, acknowledged=ack)
    for mode, armed, entering, holds, waits, ack in itertools.product(
        Mode,
        (False, True),
        (False, True),
        range(HOLD_SCANS + 1),
        range(ACTIVATION_SCANS + 1),
        (False, True),
    )
]


def steps():
    """(state, effects, selector, next state) of every step of the machine."""
    for state, bits, operator in itertools.product(STATES, FLAGS, OPERATORS):
        after = next_mode(state, Effects(flags=bits), operator)
        yield state, bits, operator, after


def test_auto_is_entered_only_by_an_armed_selection_without_a_bar():
    entries = 0
    for state, bits, operator, after in steps():
        case = (state, bits, operator, after)
        if after.mode is Mode.AUTO and not state.in_control:
            entries += 1
            assert state.mode in {Mode.MANUAL, Mode.SHADOW}, case
            assert operator is OperatorMode.AUTO, case
            assert state.armed, case
            assert not bits & BARS, case
            assert (after.entering, after.acknowledged, after.armed) == (True, False, False), case
        else:
            assert not after.entering, case
    assert entries > 0


def test_shed_goes_before_release_before_hold_before_auto():
    for state, bits, operator, after in steps():
        case = (state, bits, operator, after)
        if not state.in_control:
            assert after.mode is not Mode.HOLD, case
        elif bits & Effect.SHED:
            assert (after.mode, after.armed) == (Mode.SHED, False), case
        elif operator in OFF:
            assert after.mode.value == operator.value.upper(), case
        elif bits & Effect.HOLD or operator is None:
            assert after.mode in {Mode.HOLD, Mode.SHED}, case
            assert after.mode is Mode.SHED or state.holds < after.holds <= HOLD_SCANS, case
        else:
            assert after.mode in {Mode.AUTO, Mode.SHED}, case


def test_init_waits_and_shed_ends_by_the_operator():
    for state, bits, operator, after in steps():
        case = (state, bits, operator, after)
        if after.mode is Mode.INIT:
            assert state.mode is Mode.INIT, case
            assert operator is None, case
        if state.mode is Mode.SHED and after.mode is not Mode.SHED:
            assert after.mode in {Mode.MANUAL, Mode.SHADOW}, case
            assert operator is not None, case


def test_only_a_selector_off_auto_arms_and_a_lost_connection_disarms():
    for state, bits, operator, after in steps():
        case = (state, bits, operator, after)
        if after.armed and not state.armed:
            assert operator in OFF, case
        if bits & Effect.DISARM:
            assert not after.armed, case


def test_a_tick_never_brings_auto_and_counts_a_hold_where_it_begins():
    for state, bits, operator in itertools.product(STATES, FLAGS, OPERATORS):
        after = supervise(state, Effects(flags=bits), operator)
        case = (state, bits, operator, after)
        if after.mode is Mode.AUTO:
            assert state.mode is Mode.AUTO, case
        assert not after.entering, case
        if after.mode is Mode.HOLD:
            assert state.in_control, case
            begun = 1 if state.mode is Mode.AUTO else 0
            assert (after.holds, after.waits) == (state.holds + begun, state.waits), case
            assert after.holds <= HOLD_SCANS, case
        if state.in_control and bits & Effect.SHED:
            assert after.mode is Mode.SHED, case
        if after.armed and not state.armed:
            assert operator in OFF, case


def reachable() -> set[ModeState]:
    """Every state that scans and ticks can lead to from the start, reasons aside."""
    start = ModeState(reason="")
    seen, edge = {start}, [start]
    while edge:
        state = edge.pop()
        for bits, operator, step in itertools.product(FLAGS, OPERATORS, (next_mode, supervise)):
            after = replace(step(state, Effects(flags=bits), operator), reason="")
            if after not in seen:
                seen.add(after)
                edge.append(after)
    return seen


def test_all_reachable_states_are_consistent():
    states = reachable()
    assert {state.mode for state in states} == set(Mode)
    for state in states:
        if state.in_control:
            assert not state.armed, state
            assert state.holds <= HOLD_SCANS, state
            assert state.waits <= ACTIVATION_SCANS, state
        else:
            assert (state.holds, state.waits, state.acknowledged) == (0, 0, False), state
        if state.entering:
            assert state.mode is Mode.AUTO, state


@given(
    st.lists(
        st.tuples(st.sampled_from(FLAGS), st.sampled_from(OPERATORS), st.booleans()), max_size=40
    )
)
def test_after_a_shed_auto_needs_the_selector_off_auto_first(steps):
    state = ModeState()
    seen_off = False
    for bits, operator, is_scan in steps:
        before = state
        step = next_mode if is_scan else supervise
        state = step(state, Effects(flags=bits), operator)
        seen_off = seen_off or operator in OFF
        if state.mode is Mode.AUTO and not before.in_control:
            assert seen_off
        if state.mode is Mode.SHED and before.mode is not Mode.SHED:
            seen_off = False
        if bits & Effect.DISARM and not state.in_control:
            seen_off = False


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_a_hold_never_lasts_longer_than_its_scans(scans):
    state = ModeState(mode=Mode.AUTO, acknowledged=True)
    held = 0  # periods, each begun in HOLD by a scan or by a tick soon after it
    for hold, tick in scans:
        found = Effects(flags=Effect.HOLD if hold else Effect.NONE)
        state = next_mode(state, found, OperatorMode.AUTO)
        if tick:
            state = supervise(state, Effects(flags=Effect.HOLD), OperatorMode.AUTO)
        held = held + 1 if state.mode is Mode.HOLD else 0
        assert held <= HOLD_SCANS
        if state.mode is Mode.SHED:
            return


maybe = st.sampled_from([None, False, True])
readings = st.builds(
    plain_readings,
    connected=st.booleans(),
    heartbeat_stale=st.booleans(),
    new_session=st.booleans(),
    clock_step_s=st.sampled_from([0.0, -3600.0, 1e5]),
    cv=st.sampled_from([vector([50.0, 50.0]), vector([np.nan, 50.0])]),
    available=st.sampled_from([flags([True, True]), flags([False, False])]),
    init=st.sampled_from([flags([False, False]), flags([True, True])]),
    init_s=st.sampled_from([0.0, 1e4]),
    handshake=st.builds(
        Handshake,
        operator=st.sampled_from(OPERATORS),
        permit=maybe,
        active=maybe,
        shed_reason=st.sampled_from(["", "trip"]),
    ),
)
proposals = st.one_of(
    st.builds(
        lambda gap: Advised(
            advice=plain_advice(vector([50.0, 50.0]), gap=gap), request=None, elapsed_s=0.0
        ),
        st.sampled_from([0.0, 1.0, np.nan, np.inf]),
    ),
    st.sampled_from(
        [
            NotAsked(reason="x"),
            Late(request=None, elapsed_s=1.0),
            Faulted(detail="x", request=None, elapsed_s=0.0),
            Refused(
                refusal=Refusal(reason=RefusalReason.NOT_CERTIFIED, detail="x"),
                request=None,
                elapsed_s=0.0,
            ),
        ]
    ),
)
outcomes = st.sampled_from(
    [Written(), NOTHING_WRITTEN, *(NotWritten(reason=reason) for reason in NotWrittenReason)]
)


@given(
    readings,
    proposals,
    outcomes,
    st.sampled_from(STATES),
    st.builds(Circumstances, read_only=st.booleans(), stopping=st.booleans()),
)
def test_auto_needs_operator_permit_certificate_and_a_writing_controller(
    seen, proposal, last, state, around
):
    target = vector([50.0, 50.0])
    findings = derive(
        seen, state=state, proposal=proposal, last=last, last_target=target, around=around
    )
    after = next_mode(state, effects(findings), seen.handshake.operator)
    if after.mode is not Mode.AUTO:
        return
    assert isinstance(proposal, Advised)
    assert proposal.advice.certified
    assert np.isfinite(proposal.advice.gap)
    assert seen.connected
    assert not seen.heartbeat_stale
    assert seen.usable
    assert not around.stopping
    assert not seen.new_session
    assert seen.clock_step_s == 0.0 or not state.in_control
    assert seen.handshake.operator is OperatorMode.AUTO
    if not state.in_control:
        assert state.armed
        assert seen.handshake.permit is not False
        assert seen.handshake.active is not True
        assert not around.read_only
        assert not seen.init.any()


@given(st.sets(st.sampled_from(list(Condition))))
def test_effects_are_the_union_and_name_their_cause(conditions):
    found = effects(Finding(condition=condition) for condition in conditions)
    for flag in Effect:
        assert bool(found.why(flag)) == bool(found.flags & flag)
