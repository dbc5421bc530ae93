"""What holds for an alarm whatever the process and the operator do."""

from hypothesis import given
from hypothesis import strategies as st

from plant_sim.unit import alarms
from plant_sim.unit.alarm_causes import demands
from plant_sim.unit.alarm_table import DEFINITIONS, T_H, T_HH
from plant_sim.unit.alarms import Alarm, Definition, Demand, State
from plant_sim.unit.faults import Quality, Reading
from plant_sim.unit.handshake import Handshake

delays = st.sampled_from([0.0, 5.0, 30.0])
causes = st.builds(Demand, raised=st.sampled_from([True, False, None]), message=st.just("m"))
acts = st.lists(
    st.tuples(st.floats(0.0, 20.0), st.one_of(causes, st.sampled_from(["ack", "comment"]))),
    max_size=60,
)
PVS = ("MonomerConc", "PolymerConc", "Temperature", "JacketTemperature")


@given(delays, delays, acts)
def test_every_change_is_told_and_follows_the_standard(on_s, off_s, acts):
    allowed = {
        (State.NORMAL, State.UNACKNOWLEDGED),
        (State.UNACKNOWLEDGED, State.ACKNOWLEDGED),
        (State.UNACKNOWLEDGED, State.RETURNED),
        (State.ACKNOWLEDGED, State.NORMAL),
        (State.RETURNED, State.UNACKNOWLEDGED),
        (State.RETURNED, State.NORMAL),
    }
    definition = Definition(
        name="X", number=1, about="", severity=1, source="", on_delay_s=on_s, off_delay_s=off_s
    )
    alarm, time_s, changed_s = Alarm(definition=definition), 0.0, -1e9
    for wait_s, act in acts:
        time_s += wait_s
        before = alarm
        if act == "ack":
            alarm = alarms.acknowledge(alarm, "u", "c") or alarm
        elif act == "comment":
            alarm = alarms.add_comment(alarm, "u", "c")
        else:
            alarm = alarms.judge(alarm, act, time_s)
        if alarm.state is not before.state:
            assert (before.state, alarm.state) in allowed
        told = alarm.revision - before.revision
        assert told == (alarm.state is not before.state or act == "comment")
        if alarm.active != before.active:
            assert act.raised is alarm.active
            assert time_s - changed_s >= (on_s if alarm.active else off_s) * (changed_s >= 0)
            changed_s = time_s


@given(st.lists(st.floats(-0.74, 0.74), min_size=2, max_size=80), st.floats(1.0, 300.0))
def test_no_chatter_however_a_temperature_hovers_at_the_limit(noise, period_s):
    """Within the deadband of the limit an alarm is raised once at most, and does not end."""
    for definition in (T_H, T_HH):
        board, raised = alarms.all_normal(DEFINITIONS), 0
        for place, excess in enumerate(noise):
            value = definition.limit.value + excess
            readings = {name: Reading(value=1.0) for name in PVS}
            readings["Temperature"] = Reading(value=value)
            asked = demands(readings, Handshake(), (None, None), 0.0)
            after = alarms.judge_all(board, asked, place * period_s, 0.0)
            raised += after[definition.name].active and not board[definition.name].active
            assert after[definition.name].active >= board[definition.name].active
            board = after
        assert raised <= 1


readings = st.fixed_dictionaries(
    {
        name: st.builds(
            Reading,
            value=st.none() | st.floats(allow_nan=True, allow_infinity=True),
            quality=st.sampled_from(Quality),
            moving=st.booleans(),
        )
        for name in PVS
    }
)
hands = st.builds(
    Handshake,
    latched=st.booleans(),
    shed_reason=st.sampled_from(["", "heartbeat lost", "trip"]),
    heartbeat_at_s=st.sampled_from([float("-inf"), 0.0]),
)
counts = st.none() | st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(readings, hands, counts, counts), max_size=10))
def test_whatever_the_tags_show_every_alarm_is_asked_and_a_quiet_unit_has_one_first_out(instants):
    board = alarms.all_normal(DEFINITIONS)
    for place, (shown, hand, before, now) in enumerate(instants):
        asked = demands(shown, hand, (before, now), 10.0)
        assert set(asked) == {definition.name for definition in DEFINITIONS}
        quiet = all(alarm.acknowledged for alarm in board.values())
        flagged = sum(alarm.first_out for alarm in board.values())
        board = alarms.judge_all(board, asked, 60.0 * place, 60.0 * place)
        news = sum(alarm.first_out for alarm in board.values()) - flagged
        assert news <= quiet
