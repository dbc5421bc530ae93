"""The box of the next move, the request that carries it, and the guard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.core.box import (
    Box,
    EmptyBox,
    accepted_targets,
    box_origin,
    move_box,
    no_targets,
)
from controller.core.guard import guard, release
from controller.core.observe import advice_request
from controller.core.state import Mode, ModeState
from controller.core.types import (
    NOTHING_WRITTEN,
    Advised,
    GuardReason,
    GuardRefusal,
    Handshake,
    Late,
    Move,
    MoveOrigin,
    NotWritten,
    NotWrittenReason,
    OperatorMode,
    Partial,
    WriteFailure,
    Written,
    flags,
    vector,
)
from controller.testing import plain_advice, plain_limits, plain_readings

NONE = no_targets(2)
AUTO = ModeState(mode=Mode.AUTO, acknowledged=True)
SHADOW = ModeState(mode=Mode.SHADOW)
KEYS = ("mv.MV0.target", "mv.MV1.target")


def sides(readings, last):
    box = move_box(readings, last)
    assert isinstance(box, Box), box
    return list(zip(box.low.tolist(), box.high.tolist(), strict=True))


def test_the_first_box_is_half_a_percent_around_track():
    readings = plain_readings(track=vector([40.0, 99.8]))
    assert sides(readings, NONE) == [(39.5, 40.5), (99.3, 100.0)]


def test_a_small_max_move_narrows_the_first_box():
    readings = plain_readings(limits=plain_limits(2, max_move=vector([0.1, 10.0])))
    assert sides(readings, NONE) == [(49.9, 50.1), (49.5, 50.5)]


def test_later_boxes_are_max_move_around_the_last_target_cut_with_the_limits():
    limits = plain_limits(2, high=vector([45.0, 100.0]), low=vector([0.0, 20.0]))
    readings = plain_readings(limits=limits)
    assert sides(readings, vector([40.0, 25.0])) == [(30.0, 45.0), (20.0, 35.0)]


def test_limits_win_over_max_move():
    limits = plain_limits(2, high=vector([20.0, 100.0]), low=vector([0.0, 80.0]))
    readings = plain_readings(limits=limits)
    assert sides(readings, vector([50.0, 50.0])) == [(20.0, 20.0), (80.0, 80.0)]


def test_an_mv_that_does_not_follow_has_no_width():
    readings = plain_readings(available=flags([False, True]), mv=vector([33.0, 50.0]))
    assert sides(readings, vector([60.0, 50.0]))[0] == (33.0, 33.0)


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({"limits": plain_limits(2, low=vector([0.0, 101.0]))}, NONE),
        ({"limits": plain_limits(2, high=vector([np.nan, 100.0]))}, NONE),
        ({"limits": plain_limits(2, max_move=vector([np.nan, 1.0]))}, NONE),
        ({"track": vector([np.nan, 50.0])}, NONE),
        ({"limits": plain_limits(2, high=vector([40.0, 100.0]))}, NONE),  # Track is outside
        ({"available": flags([False, True]), "mv": vector([np.nan, 1.0])}, NONE),
    ],
)
def test_an_empty_box_is_a_value_that_says_so(changes, last):
    box = move_box(plain_readings(**changes), last)
    assert isinstance(box, EmptyBox)
    assert box.detail


@pytest.mark.parametrize(("n_cv", "n_mv"), [(1, 1), (3, 4)])
def test_no_dimension_is_built_in(n_cv, n_mv):
    readings = plain_readings(n_cv, n_mv, 0)
    origin = box_origin(AUTO, readings, no_targets(n_mv), read_only=False)
    box = move_box(readings, origin)
    assert isinstance(box, Box)
    request = advice_request(readings, box, freeze=False)
    assert request.low.shape == request.range_high.shape == (n_mv,)
    assert request.sample.cv.shape == (n_cv,)
    proposal = Advised(advice=plain_advice(box.high), request=request, elapsed_s=0.0)
    move = guard(proposal, readings, origin, state=AUTO, read_only=False)
    assert isinstance(move, Move)
    assert move.targets.tobytes() == box.high.tobytes()


def test_a_request_pins_an_mv_that_does_not_follow():
    limits = plain_limits(2, low=vector([10.0, 10.0]), high=vector([90.0, 90.0]))
    readings = plain_readings(
        available=flags([False, True]), mv=vector([33.0, 50.0]), limits=limits
    )
    request = advice_request(readings, move_box(readings, NONE), freeze=False)
    assert request.range_low.tolist() == [33.0, 10.0]
    assert request.range_high.tolist() == [33.0, 90.0]
    assert not request.freeze


def test_an_override_freezes_the_integrators():
    readings = plain_readings(init=flags([True, False]))
    assert advice_request(readings, Box(low=NONE, high=NONE), freeze=False).freeze


# ---------------------------------------------------------------------- from where a move starts


def test_in_command_the_last_target_is_the_origin_while_the_dcs_is_active():
    last = vector([10.0, 20.0])
    active = Handshake(operator=OperatorMode.AUTO, permit=True, active=True)
    readings = plain_readings(handshake=active, available=flags([True, False]))
    np.testing.assert_equal(box_origin(AUTO, readings, last, read_only=False), [10.0, np.nan])
    waiting = plain_readings(handshake=replace(active, active=False))
    assert np.isnan(box_origin(AUTO, waiting, last, read_only=False)).all()


def test_about_to_enter_the_origin_is_track():
    armed = replace(SHADOW, armed=True)
    readings = plain_readings()
    assert np.isnan(box_origin(armed, readings, NONE, read_only=False)).all()
    for state, read_only in ((armed, True), (SHADOW, False)):
        origin = box_origin(state, readings, NONE, read_only=read_only)
        assert origin.tolist() == readings.mv.tolist()


# ---------------------------------------------------------------------- guard


def judged(move, *, readings=None, last=None, state=AUTO, read_only=False, **advice):
    readings = readings or plain_readings()
    proposal = Advised(advice=plain_advice(move, **advice), request=None, elapsed_s=0.0)
    last = vector([50.0, 50.0]) if last is None else last
    return guard(proposal, readings, last, state=state, read_only=read_only)


def test_a_certified_move_passes_bit_for_bit():
    wanted = vector([50.1 + 0.2, 60.0])
    move = judged(wanted)
    assert isinstance(move, Move)
    assert move.targets.tobytes() == wanted.tobytes()
    assert (move.request, move.origin, move.entering) == (True, MoveOrigin.CORRECTION, False)


def test_request_goes_with_every_move_until_the_dcs_has_acknowledged():
    assert judged(vector([50.0, 50.0]), state=ModeState(mode=Mode.AUTO)).entering


def test_only_mvs_that_follow_are_written():
    readings = plain_readings(available=flags([True, False]))
    move = judged(vector([51.0, 50.0]), readings=readings)
    assert move.write.tolist() == [True, False]
    np.testing.assert_equal(move.targets, [51.0, np.nan])


@pytest.mark.parametrize(
    ("move", "given", "reason"),
    [
        (vector([60.1, 50.0]), {}, GuardReason.OUTSIDE_BOX),
        (vector([np.nextafter(60.0, 61.0), 50.0]), {}, GuardReason.OUTSIDE_BOX),
        (vector([50.0, np.nan]), {}, GuardReason.NON_FINITE),
        (vector([50.0, np.inf]), {}, GuardReason.NON_FINITE),
        (vector([50.0]), {}, GuardReason.SHAPE),
        (np.array([50.0, 50.0], dtype=np.float32), {}, GuardReason.SHAPE),
        (vector([50.0, 50.0]), {"gap": 1.0}, GuardReason.NOT_CERTIFIED),
        (vector([50.0, 50.0]), {"gap": np.nan}, GuardReason.NOT_CERTIFIED),
        (vector([50.0, 50.0]), {"tolerance": np.inf}, GuardReason.NOT_CERTIFIED),
        (vector([50.0, 50.0]), {"state": SHADOW}, GuardReason.NOT_IN_CONTROL),
        (
            vector([50.0, 50.0]),
            {"state": ModeState(mode=Mode.HOLD)},
            GuardReason.NOT_IN_CONTROL,
        ),
        (vector([50.0, 50.0]), {"read_only": True}, GuardReason.READ_ONLY),
        (
            vector([50.0, 50.0]),
            {"readings": plain_readings(limits=plain_limits(2, low=vector([200.0, 0.0])))},
            GuardReason.EMPTY_BOX,
        ),
    ],
)
def test_the_guard_refuses(move, given, reason):
    refusal = judged(move, **given)
    assert isinstance(refusal, GuardRefusal)
    assert refusal.reason is reason


def test_the_guard_takes_advice_only():
    late = Late(request=None, elapsed_s=1.0)
    refusal = guard(late, plain_readings(), NONE, state=AUTO, read_only=False)
    assert refusal.reason is GuardReason.NO_ADVICE


def test_a_release_writes_no_target():
    move = release(3)
    assert not move.write.any()
    assert not move.request
    assert move.origin is MoveOrigin.RELEASE


# ---------------------------------------------------------------------- after the write

MOVE = Move(
    targets=vector([51.0, 52.0]),
    write=flags([True, True]),
    request=True,
    origin=MoveOrigin.CORRECTION,
)


@pytest.mark.parametrize(
    ("move", "outcome", "expected"),
    [
        (MOVE, Written(), [51.0, 52.0]),
        (None, NOTHING_WRITTEN, [50.0, 50.0]),
        (MOVE, Partial(failures=(WriteFailure(tag=KEYS[1], status="Bad"),)), [51.0, 50.0]),
        (MOVE, NotWritten(reason=NotWrittenReason.REJECTED), [50.0, 50.0]),
        (MOVE, NotWritten(reason=NotWrittenReason.TIMEOUT), [np.nan, np.nan]),
    ],
)
def test_targets_in_force_after_a_write(move, outcome, expected):
    last = vector([50.0, 50.0])
    after = accepted_targets(
        last, move, outcome, state=AUTO, readings=plain_readings(), target_keys=KEYS
    )
    np.testing.assert_equal(after, expected)


def test_no_target_is_in_force_out_of_command():
    after = accepted_targets(
        vector([50.0, 50.0]),
        release(2),
        Written(),
        state=SHADOW,
        readings=plain_readings(),
        target_keys=KEYS,
    )
    assert np.isnan(after).all()
