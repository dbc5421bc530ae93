"""What is found in a scan, condition by condition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.core.conditions import (
    OVERRIDE_LIMIT_S,
    TABLE,
    Circumstances,
    Condition,
    Effect,
    derive,
    effects,
)
from controller.core.state import Mode, ModeState
from controller.core.types import (
    NOTHING_WRITTEN,
    Advised,
    Fault,
    Faulted,
    FaultKind,
    Handshake,
    Late,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    OperatorMode,
    Partial,
    Refused,
    WriteFailure,
    Written,
    flags,
    vector,
)
from controller.testing import plain_advice, plain_limits, plain_readings
from models.runtime import Refusal, RefusalReason

WATCHING = ModeState(mode=Mode.SHADOW, armed=True)
FRESH = ModeState(mode=Mode.AUTO)
COMMAND = ModeState(mode=Mode.AUTO, acknowledged=True)
AUTO = OperatorMode.AUTO
ACTIVE = Handshake(operator=AUTO, permit=True, active=True)
RELEASED = {"operator": OperatorMode.MANUAL, "active": False}
GOOD = Advised(advice=plain_advice(vector([50.0, 50.0])), request=None, elapsed_s=0.0)


def conditions(readings=None, **given):
    defaults = {
        "state": COMMAND,
        "proposal": GOOD,
        "last": Written(),
        "last_target": vector([50.0, 50.0]),
        "around": Circumstances(),
    }
    readings = readings or plain_readings(handshake=ACTIVE)
    return {finding.condition for finding in derive(readings, **(defaults | given))}


def shake(**changes):
    return plain_readings(handshake=replace(ACTIVE, **changes))


def test_every_condition_has_a_row_in_the_table():
    assert set(TABLE) == set(Condition)
    assert all(words for _, words in TABLE.values())


def test_a_sound_scan_finds_nothing():
    assert conditions() == set()


@pytest.mark.parametrize("mode", Mode)
def test_a_selector_that_a_shed_has_moved_is_no_act_of_the_operator(mode):
    found = conditions(state=ModeState(mode=mode), around=Circumstances(selector_written=True))
    assert (Condition.SHED_STANDS in found) is (mode is Mode.SHED)
    assert TABLE[Condition.SHED_STANDS][0] is Effect.LATCHED


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (Circumstances(read_only=True), Condition.READ_ONLY),
        (Circumstances(stopping=True), Condition.STOPPING),
        (Circumstances(lease_lost=True), Condition.LEASE_LOST),
        (Circumstances(journal_failed=True), Condition.JOURNAL_FAILED),
        (
            Circumstances(journal_failed=True, shed_on_journal=False),
            Condition.JOURNAL_DEGRADED,
        ),
    ],
)
def test_circumstances(around, expected):
    assert conditions(around=around) == {expected}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"connected": False}, {Condition.DISCONNECTED}),
        ({"heartbeat_stale": True}, {Condition.HEARTBEAT_STALE}),
        ({"cv": vector([np.nan, 50.0])}, {Condition.BAD_INPUT}),
        ({"dv": vector([np.inf])}, {Condition.BAD_INPUT}),
        ({"plant_time_s": np.nan}, {Condition.BAD_INPUT}),
        (
            {"faults": (Fault(tag="a", kind=FaultKind.UNCERTAIN, detail=""),)},
            {Condition.UNCERTAIN_INPUT},
        ),
        ({"faults": (Fault(tag="a", kind=FaultKind.STALE, detail=""),)}, {Condition.BAD_INPUT}),
        ({"available": flags([False, False])}, {Condition.NO_MV}),
        ({"available": flags([False, True])}, set()),
        ({"limits": plain_limits(2, low=vector([0.0, 101.0]))}, {Condition.LIMITS_CROSSED}),
        ({"limits": plain_limits(2, high=vector([0.0, np.nan]))}, {Condition.LIMITS_CROSSED}),
        (
            {"init": flags([True, True]), "available": flags([False, False]), "init_s": 10.0},
            {Condition.OVERRIDE},
        ),
        (
            {"init": flags([True, False]), "init_s": OVERRIDE_LIMIT_S},
            {Condition.OVERRIDE_LASTS},
        ),
    ],
)
def test_inputs(changes, expected):
    assert conditions(plain_readings(handshake=ACTIVE, **changes)) == expected


@pytest.mark.parametrize(
    ("changes", "state", "expected"),
    [
        ({"operator": None}, COMMAND, {Condition.OPERATOR_UNKNOWN}),
        ({"permit": False}, COMMAND, {Condition.NO_PERMIT}),  # an override keeps Active
        ({"permit": False, "active": None}, COMMAND, {Condition.PERMIT_LOST}),
        ({"permit": False, "active": False}, FRESH, {Condition.PERMIT_LOST, "await"}),
        ({"permit": False, "active": False}, WATCHING, {Condition.NO_PERMIT}),
        ({"permit": None, "active": None}, COMMAND, set()),
        ({"permit": False, "active": False}, COMMAND, {Condition.PERMIT_LOST, "shed"}),
        ({"active": False}, COMMAND, {"shed"}),
        ({"active": False, "shed_reason": "old"}, COMMAND, {"shed"}),
        ({"active": False}, FRESH, {"await"}),
        # the selector off Auto: the operator's own act, unless the DCS says that it shed
        (RELEASED, COMMAND, set()),
        (RELEASED | {"shed_reason": "old"}, COMMAND, set()),
        (RELEASED | {"permit": False}, COMMAND, set()),  # released while an override acts
        (RELEASED | {"active": None}, COMMAND, set()),
        (
            RELEASED | {"permit": False, "shed_reason": "trip"},
            COMMAND,
            {Condition.PERMIT_LOST, "shed"},
        ),
        (RELEASED | {"permit": None, "shed_reason": "trip"}, FRESH, {"shed"}),
        ({"active": False, "shed_reason": "old"}, WATCHING, set()),
        ({"active": True}, WATCHING, {Condition.FOREIGN_ACTIVE}),
    ],
)
def test_handshake(changes, state, expected):
    names = {"await": Condition.AWAITING_ACTIVE, "shed": Condition.PLANT_SHED}
    expected = {names.get(entry, entry) for entry in expected}
    assert conditions(shake(**changes), state=state) == expected


@pytest.mark.parametrize(
    ("proposal", "expected"),
    [
        (
            replace(GOOD, advice=plain_advice(vector([50.0]), gap=1.0)),
            Condition.NOT_CERTIFIED,
        ),
        (
            replace(GOOD, advice=plain_advice(vector([50.0]), gap=np.nan)),
            Condition.NOT_CERTIFIED,
        ),
        (
            replace(GOOD, advice=plain_advice(vector([50.0]), gap=-np.inf)),
            Condition.NOT_CERTIFIED,
        ),
        (Late(request=None, elapsed_s=0.2), Condition.ADVICE_LATE),
        (
            Refused(
                refusal=Refusal(reason=RefusalReason.OUTSIDE_ENVELOPE, detail="no"),
                request=None,
                elapsed_s=0.0,
            ),
            Condition.ADVICE_REFUSED,
        ),
        (Faulted(detail="boom", request=None, elapsed_s=0.0), Condition.ADVICE_FAULTED),
        (NotAsked(reason="no box"), Condition.ADVICE_MISSING),
    ],
)
def test_proposals_that_hold(proposal, expected):
    assert conditions(proposal=proposal) == {expected}
    assert TABLE[expected][0] & Effect.HOLD


def test_a_tick_judges_no_proposal_and_no_read_back():
    away = plain_readings(handshake=ACTIVE, target=vector([0.0, 0.0]))
    assert conditions(away, proposal=None) == set()


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (NOTHING_WRITTEN, set()),
        (NotWritten(reason=NotWrittenReason.GUARD), {Condition.GUARD_REFUSED}),
        (NotWritten(reason=NotWrittenReason.LEASE), {Condition.LEASE_LOST}),
        (NotWritten(reason=NotWrittenReason.TIMEOUT), {Condition.WRITE_FAILED}),
        (Partial(failures=(WriteFailure(tag="x", status="Bad"),)), {Condition.WRITE_FAILED}),
    ],
)
def test_outcomes_of_the_last_write(last, expected):
    assert conditions(last=last) == expected
    assert conditions(last=last, state=WATCHING, readings=shake(active=False)) == set()


def test_what_failed_is_said_once():
    for detail in ("", "no answer in time", "no answer in time after 0.05 s"):
        last = NotWritten(reason=NotWrittenReason.TIMEOUT, detail=detail)
        found = derive(
            plain_readings(handshake=ACTIVE),
            state=COMMAND,
            proposal=GOOD,
            last=last,
            last_target=vector([50.0, 50.0]),
            around=Circumstances(),
        )
        (finding,) = [f for f in found if f.condition is Condition.WRITE_FAILED]
        assert finding.detail.count("no answer in time") == 1


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ([50.4, 50.0], set()),
        ([50.6, 50.0], {Condition.READBACK_MISMATCH}),
        ([50.0, np.nan], {Condition.READBACK_MISSING}),
    ],
)
def test_read_back(reads, expected):
    assert conditions(plain_readings(handshake=ACTIVE, target=vector(reads))) == expected


@pytest.mark.parametrize(
    ("last", "judged"),
    [
        (Written(), True),
        (NOTHING_WRITTEN, True),  # in HOLD, and on the scan after it
        (NotWritten(reason=NotWrittenReason.REJECTED), True),
        (Partial(failures=(WriteFailure(tag="x", status="Bad"),)), True),
        (NotWritten(reason=NotWrittenReason.TIMEOUT), False),
        (NotWritten(reason=NotWrittenReason.DISCONNECTED), False),
    ],
)
@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.HOLD])
def test_the_target_is_read_back_unless_the_last_write_went_unanswered(mode, last, judged):
    away = plain_readings(handshake=ACTIVE, target=vector([90.0, 50.0]))
    found = conditions(away, state=replace(COMMAND, mode=mode), last=last)
    assert (Condition.READBACK_MISMATCH in found) == judged
    none = conditions(away, last=last, last_target=vector([np.nan, 50.0]))
    assert Condition.READBACK_MISMATCH not in none


@pytest.mark.parametrize(("step", "words"), [(-3600.0, "back by 3600 s"), (9e3, "ahead by 9000 s")])
def test_a_jump_of_the_plants_clock_sheds_in_command_only(step, words):
    readings = plain_readings(handshake=ACTIVE, clock_step_s=step)
    for proposal in (GOOD, None):
        (finding,) = derive(
            readings,
            state=COMMAND,
            proposal=proposal,
            last=Written(),
            last_target=vector([50.0, 50.0]),
            around=Circumstances(),
        )
        assert finding.condition is Condition.CLOCK_JUMPED
        assert words in finding.words
    assert TABLE[Condition.CLOCK_JUMPED][0] & Effect.SHED
    watching = replace(readings, handshake=replace(ACTIVE, active=False))
    assert conditions(watching, state=WATCHING) == set()


def test_a_session_opened_anew_is_found_even_while_it_cannot_be_read():
    assert conditions(plain_readings(handshake=ACTIVE, new_session=True)) == {Condition.NEW_SESSION}
    lost = plain_readings(handshake=ACTIVE, new_session=True, connected=False)
    assert conditions(lost) == {Condition.NEW_SESSION, Condition.DISCONNECTED}


def test_a_target_cut_by_limits_changed_since_is_no_mismatch():
    limits = plain_limits(2, high=vector([40.0, 100.0]))
    readings = plain_readings(handshake=ACTIVE, target=vector([40.0, 50.0]), limits=limits)
    assert conditions(readings) == set()


def test_an_mv_taken_by_the_operator_is_not_read_back():
    readings = plain_readings(
        handshake=ACTIVE, target=vector([10.0, 50.0]), available=flags([False, True])
    )
    assert conditions(readings) == set()


def test_the_gravest_finding_gives_the_reason():
    readings = shake(active=False, permit=False, shed_reason="heartbeat")
    found = effects(
        derive(
            replace(readings, cv=vector([np.nan, 1.0])),
            state=COMMAND,
            proposal=NotAsked(reason="x"),
            last=Written(),
            last_target=vector([50.0, 50.0]),
            around=Circumstances(),
        )
    )
    assert found.why(Effect.SHED | Effect.HOLD) == "the DCS took the MVs back: heartbeat"
    assert found.why(Effect.DISARM) == ""
