from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant_sim.unit import handshake as hs
from plant_sim.unit.handshake import ApcMode, Conditions, Handshake, ShedOption

HEALTHY = Conditions(tripped=False, override=False, cv_good=True, plant_time_s=0.0)


def active_state(now_s: float = 0.0) -> Handshake:
    state, granted = hs.take_lease(Handshake(), "a", "A", 10.0, now_s)
    assert granted
    state = hs.beat(state, 1, "a", now_s)
    state = hs.operate(state, ApcMode.AUTO)
    state = hs.ask(state, "a", wanted=True)
    state = hs.settle(state, HEALTHY, now_s)
    assert state.active
    return state


def test_control_needs_every_condition():
    ready = replace(active_state(), active=False)
    assert hs.settle(ready, HEALTHY, 0.0).active
    for broken in (
        replace(ready, mode=ApcMode.SHADOW),
        replace(ready, request=False),
        replace(ready, lease=None),
        replace(ready, request_session="b"),
        replace(ready, heartbeat_session="b"),
        replace(ready, heartbeat_at_s=-3.01),
        replace(ready, latched=True),
    ):
        assert not hs.settle(broken, HEALTHY, 0.0).active
    for condition in ("tripped", "override"):
        assert not hs.settle(ready, replace(HEALTHY, **{condition: True}), 0.0).active
    assert not hs.settle(ready, replace(HEALTHY, cv_good=False), 0.0).active


def test_a_new_controller_has_no_heartbeat():
    assert not hs.fresh(Handshake(), 0.0)
    state, _ = hs.take_lease(Handshake(), "a", "A", 10.0, 0.0)
    assert not hs.fresh(state, 0.0)


def test_heartbeat_sheds_just_after_its_timeout():
    state = active_state()
    assert hs.settle(state, HEALTHY, 3.0).active
    shed = hs.settle(state, HEALTHY, 3.01)
    assert not shed.active
    assert shed.shed_reason == hs.HEARTBEAT_LOST
    assert shed.mode is ApcMode.MANUAL
    assert shed.latched
    assert not shed.permit
    assert not shed.request


def test_the_same_heartbeat_again_is_no_sign_of_life():
    state = hs.beat(active_state(), 1, "a", 2.9)
    assert not hs.settle(state, HEALTHY, 3.01).active
    state = hs.beat(active_state(), 2, "a", 2.9)
    assert hs.settle(state, HEALTHY, 5.8).active


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda s: hs.ask(s, "a", wanted=False), hs.REQUEST_WITHDRAWN),
        (lambda s: hs.shed(s, "operator: stop"), "operator: stop"),
        (lambda s: hs.release_lease(s, "a"), hs.LEASE_LOST),
        (lambda s: hs.settle(s, replace(HEALTHY, tripped=True), 0.0), hs.TRIP),
    ],
)
def test_every_shed_latches_until_an_operator_acts(act, reason):
    shed = hs.settle(act(active_state()), HEALTHY, 0.0)
    assert (shed.active, shed.latched, shed.permit) == (False, True, False)
    assert shed.shed_reason == reason
    assert shed.mode is ApcMode.MANUAL
    assert not shed.request
    assert not hs.settle(hs.operate(shed, ApcMode.MANUAL), HEALTHY, 0.0).permit
    for operator in (
        hs.acknowledge(shed),
        hs.operate(shed, ApcMode.SHADOW),
        hs.operate(shed, ApcMode.AUTO),
    ):
        cleared = hs.settle(operator, HEALTHY, 0.0)
        assert cleared.permit
        assert not cleared.latched
        assert cleared.shed_reason == ""
        assert not cleared.active  # the controller has to ask again


def test_lease_runs_out_unless_heartbeats_renew_it():
    state = replace(active_state(), heartbeat_timeout_s=60.0)
    assert hs.settle(state, HEALTHY, 9.9).active
    expired = hs.settle(state, HEALTHY, 10.0)
    assert expired.lease is None
    assert expired.shed_reason == hs.LEASE_LOST
    renewed = hs.beat(state, 2, "a", 9.0)
    assert hs.settle(renewed, HEALTHY, 18.9).active


def test_lease_belongs_to_one_session():
    state = active_state()
    same, granted = hs.take_lease(state, "b", "B", 10.0, 1.0)
    assert not granted
    assert same is state
    assert hs.owns(state, "a")
    assert not hs.owns(state, "b")
    assert hs.release_lease(state, "b") is state


def test_a_lease_that_ran_out_goes_to_the_next_and_sheds_the_first():
    state, granted = hs.take_lease(active_state(), "b", "B", 10.0, 10.0)
    assert granted
    assert state.lease is not None
    assert state.lease.session == "b"
    assert not state.active
    assert state.shed_reason == hs.LEASE_LOST
    assert not hs.fresh(state, 10.0)


def test_operator_releases_without_a_latch():
    for mode in (ApcMode.MANUAL, ApcMode.SHADOW):
        state = hs.settle(hs.operate(active_state(), mode), HEALTHY, 0.0)
        assert not state.active
        assert not state.latched
        assert state.permit
        assert state.mode is mode
        assert state.shed_reason == ""
        again = hs.settle(hs.operate(state, ApcMode.AUTO), HEALTHY, 0.0)
        assert not again.active  # a request of before does not count


def test_shed_without_control_only_withdraws_the_request():
    state = hs.ask(Handshake(mode=ApcMode.SHADOW), "a", wanted=True)
    assert hs.shed(state, "operator: no") == Handshake(mode=ApcMode.SHADOW)


def test_permit_away_for_half_an_hour_of_plant_time_sheds():
    def after(state, *, override, cv_good, plant_time_s):
        conditions = Conditions(
            tripped=False, override=override, cv_good=cv_good, plant_time_s=plant_time_s
        )
        return hs.settle(state, conditions, 0.0)

    for impaired in ({"override": True, "cv_good": True}, {"override": False, "cv_good": False}):
        state = after(active_state(), **impaired, plant_time_s=100.0)
        assert state.active
        assert not state.permit
        assert after(state, **impaired, plant_time_s=1899.0).active
        sound = {"override": False, "cv_good": True}
        back = after(state, **sound, plant_time_s=1000.0)
        blinked = after(back, **impaired, plant_time_s=1100.0)
        assert not after(blinked, **impaired, plant_time_s=1900.0).active
        healed = after(back, **sound, plant_time_s=1000.0 + hs.SOUND_AGAIN_S)
        again = after(healed, **impaired, plant_time_s=1400.0)
        assert after(again, **impaired, plant_time_s=3199.0).active
        late = after(after(state, **sound, plant_time_s=1800.0), **sound, plant_time_s=1950.0)
        assert late.active
        shed = after(state, **impaired, plant_time_s=1900.0)
        assert not shed.active
        assert shed.shed_reason == hs.IMPAIRED


def test_hold_is_refused():
    with pytest.raises(ValueError, match="HOLD"):
        hs.with_shed_option(Handshake(), ShedOption.HOLD)
    assert hs.with_shed_option(Handshake(), ShedOption.SAFE).shed_option is ShedOption.SAFE


def test_reset_gives_the_dcs_control_and_keeps_lease_and_settings():
    state = replace(
        hs.shed(active_state(), "x"), heartbeat_timeout_s=1.0, shed_option=ShedOption.SAFE
    )
    after = hs.reset(state)
    assert (after.active, after.latched, after.request, after.mode) == (
        False,
        False,
        False,
        ApcMode.MANUAL,
    )
    assert after.lease == state.lease
    assert after.heartbeat_timeout_s == 1.0
    assert after.shed_option is ShedOption.SAFE


SESSIONS = st.sampled_from(["a", "b"])
ACTIONS = st.one_of(
    st.tuples(st.just("beat"), SESSIONS, st.integers(0, 3)),
    st.tuples(st.just("ask"), SESSIONS, st.booleans()),
    st.tuples(st.just("mode"), st.sampled_from(list(ApcMode))),
    st.tuples(st.just("lease"), SESSIONS, st.floats(0.1, 5.0)),
    st.tuples(st.just("release"), SESSIONS),
    st.tuples(st.just("shed"), st.just("x")),
    st.tuples(st.just("acknowledge")),
    st.tuples(st.just("wait"), st.floats(0.0, 4.0)),
    st.tuples(st.just("settle"), st.booleans(), st.booleans(), st.booleans()),
)


def act(state: Handshake, action: tuple, now_s: float) -> Handshake:  # noqa: PLR0911
    """What the server does with one action; writes of a session without the lease are refused."""
    match action:
        case ("beat", session, value) if hs.owns(state, session):
            return hs.beat(state, value, session, now_s)
        case ("ask", session, wanted) if hs.owns(state, session):
            return hs.ask(state, session, wanted=wanted)
        case ("mode", mode):
            return hs.operate(state, mode)
        case ("lease", session, ttl_s):
            return hs.take_lease(state, session, session, ttl_s, now_s)[0]
        case ("release", session):
            return hs.release_lease(state, session)
        case ("shed", reason):
            return hs.shed(state, reason)
        case ("acknowledge",):
            return hs.acknowledge(state)
        case ("settle", tripped, override, cv_good):
            conditions = Conditions(
                tripped=tripped, override=override, cv_good=cv_good, plant_time_s=now_s
            )
            return hs.settle(state, conditions, now_s)
        case _:
            return state


@settings(max_examples=400, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_control_is_never_given_to_a_session_without_lease_heartbeat_and_operator(actions):
    state, now_s = Handshake(), 0.0
    for action in actions:
        if action[0] == "wait":
            now_s += action[1]
            continue
        was_active = state.active
        state = act(state, action, now_s)
        if state.active:
            assert state.mode is ApcMode.AUTO
            assert state.request
            assert not state.latched
            assert state.lease is not None
            assert state.lease.session == state.request_session == state.heartbeat_session
        if state.active and not was_active:
            assert state.permit
            assert hs.fresh(state, now_s)
        if was_active and not state.active and state.latched:
            assert state.shed_reason
        if action[0] == "settle" and state.active:
            assert now_s - state.heartbeat_at_s <= state.heartbeat_timeout_s
