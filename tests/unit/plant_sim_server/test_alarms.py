"""Every transition of an alarm, and what of R101 raises one."""

from dataclasses import replace

import pytest

from plant_sim.plant import LoopMode, PlantOptions
from plant_sim.unit import alarms
from plant_sim.unit.alarm_causes import MISSES_TAG
from plant_sim.unit.alarm_table import (
    BAD_PV,
    DEADLINE,
    DEFINITIONS,
    SHED,
    T_H,
    T_HH,
    WATCHDOG,
)
from plant_sim.unit.alarms import Alarm, Definition, Demand, Priority, State
from plant_sim.unit.handshake import Handshake, take_lease
from plant_sim.unit.reactor_unit import ReactorUnit
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.writes import apply_write

DELAYED = Definition(
    name="X", number=1, about="", severity=500, source="", on_delay_s=10.0, off_delay_s=20.0
)
UP, DOWN, OPEN = Demand(raised=True, message="up"), Demand(raised=False), Demand(raised=None)


def at(state: State) -> Alarm:
    return Alarm(definition=replace(DELAYED, on_delay_s=0.0, off_delay_s=0.0), state=state)


@pytest.mark.parametrize(
    ("before", "demand", "after"),
    [
        (State.NORMAL, UP, State.UNACKNOWLEDGED),
        (State.NORMAL, DOWN, State.NORMAL),
        (State.UNACKNOWLEDGED, UP, State.UNACKNOWLEDGED),
        (State.UNACKNOWLEDGED, DOWN, State.RETURNED),
        (State.ACKNOWLEDGED, UP, State.ACKNOWLEDGED),
        (State.ACKNOWLEDGED, DOWN, State.NORMAL),
        (State.RETURNED, UP, State.UNACKNOWLEDGED),
        (State.RETURNED, DOWN, State.RETURNED),
        *((state, OPEN, state) for state in State),
    ],
)
def test_the_process_moves_an_alarm(before, demand, after):
    alarm = alarms.judge(at(before), demand, 0.0)
    assert alarm.state is after
    assert alarm.revision == (before is not after)


def test_a_bad_sample_does_not_restart_a_delay():
    alarm = Alarm(definition=DELAYED)
    for time_s, demand in ((0.0, UP), (4.0, OPEN), (8.0, UP)):
        alarm = alarms.judge(alarm, demand, time_s)
        assert alarm.state is State.NORMAL
    assert alarms.judge(alarm, UP, 10.0).state is State.UNACKNOWLEDGED


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.NORMAL, None),
        (State.UNACKNOWLEDGED, State.ACKNOWLEDGED),
        (State.ACKNOWLEDGED, None),
        (State.RETURNED, State.NORMAL),
    ],
)
def test_an_operator_acknowledges_what_nobody_has(before, after):
    seen = alarms.acknowledge(at(before), "anna", "valve stuck")
    assert (seen and seen.state) is after
    if seen is not None:
        assert (seen.user, seen.comment, seen.revision) == ("anna", "valve stuck", 1)
        assert alarms.acknowledge(replace(seen, state=before), "bert", "").comment == "valve stuck"


@pytest.mark.parametrize("state", list(State))
def test_a_comment_moves_nothing_and_a_new_plant_ends_everything(state):
    told = alarms.add_comment(at(state), "anna", "seen")
    assert (told.state, told.comment, told.user, told.revision) == (state, "seen", "anna", 1)
    (ended,) = alarms.reset_all({"X": at(state)}).values()
    assert ended.state is State.NORMAL
    assert ended.revision == (state is not State.NORMAL)


def test_delays_count_from_the_last_change_of_the_cause():
    alarm = Alarm(definition=DELAYED)
    for time_s, demand in ((0.0, UP), (9.9, UP), (9.95, DOWN), (9.99, UP), (19.9, UP)):
        alarm = alarms.judge(alarm, demand, time_s)
        assert alarm.state is State.NORMAL
    alarm = alarms.judge(alarm, UP, 20.0)
    assert alarm.state is State.UNACKNOWLEDGED
    for time_s, demand in ((30.0, DOWN), (49.0, OPEN), (50.0, DOWN), (69.9, DOWN)):
        alarm = alarms.judge(alarm, demand, time_s)
        assert alarm.active
    assert alarms.judge(alarm, DOWN, 70.0).state is State.RETURNED


def test_one_more_subject_is_annunciated_anew_and_only_once():
    def about(alarm, subjects):
        return alarms.judge(alarm, Demand(raised=True, subjects=frozenset(subjects)), 0.0)

    alarm = alarms.acknowledge(about(at(State.NORMAL), "a"), "anna", "")
    alarm = about(alarm, "ab")
    assert (alarm.state, alarm.revision) == (State.UNACKNOWLEDGED, 3)
    alarm = alarms.acknowledge(alarm, "anna", "")
    for subjects in ("b", "ab", "a"):
        assert about(alarm, subjects) is alarm


def test_first_out_is_the_root_until_it_is_over():
    def step(board, *raised):
        asked = {d.name: Demand(raised=d.name in raised) for d in DEFINITIONS}
        return alarms.judge_all(board, asked, step.time_s, step.time_s)

    def first(board):
        return {name for name, alarm in board.items() if alarm.first_out}

    step.time_s = 0.0
    board = step(alarms.all_normal(DEFINITIONS), "BadPV", "DeadlineMiss")
    assert first(board) == {"BadPV"}  # the more severe of the two
    board = step(board, "BadPV", "DeadlineMiss", "ShedEvent")
    assert first(board) == {"BadPV"}
    for name in ("BadPV", "DeadlineMiss", "ShedEvent"):
        board = {**board, name: alarms.acknowledge(board[name], "anna", "")}
    board = step(board, "BadPV", "DeadlineMiss", "ShedEvent", "T_HH")
    assert first(board) == {"BadPV", "T_HH"}  # all was acknowledged: another root
    step.time_s = 1000.0
    board = step(board, "ShedEvent")
    step.time_s = 2000.0
    board = step(board, "ShedEvent")
    assert first(board) == {"T_HH"}  # returned, not acknowledged
    board = {**board, "T_HH": alarms.acknowledge(board["T_HH"], "anna", "")}
    assert first(board) == set()


def test_priorities_and_names():
    assert T_HH.priority is Priority.HIGH
    assert T_H.priority is Priority.MEDIUM
    assert DEADLINE.priority is Priority.LOW
    assert all(1 <= d.severity <= 1000 for d in DEFINITIONS)
    paths = {tag.path for tag in TAGS}
    assert all(d is BAD_PV or d.source in paths for d in DEFINITIONS)


def make_unit(scenario="grade_up", **options):
    return ReactorUnit(
        scenario=scenario, seed=1, options=PlantOptions(**options), hand=Handshake(), speed=1.0
    )


def standing(unit):
    return {name for name, alarm in unit.alarms.items() if alarm.active}


def heat(unit, temperature):
    """Let the transmitter read `temperature` [K]."""
    excess = temperature - float(unit.plant.state[4])
    assert unit.inject("Temperature", "spike", excess, 1e9) is None


def activate(unit, now_s=0.0):
    unit.hand, _ = take_lease(unit.hand, "apc", "test", 1e9, now_s)
    for path, value in (("HeartbeatIn", 1), ("Mode", 2), ("Request", True)):
        assert apply_write(unit, f"APC/{path}", value, "apc", now_s) is None
    unit.settle(now_s)
    assert unit.hand.active


def test_temperature_alarms_say_value_limit_and_unit():
    unit = make_unit()
    heat(unit, 361.4)
    unit.settle(0.0)
    assert standing(unit) == set()
    for _ in range(3):
        unit.advance(10.0, 0.0)
        heat(unit, 361.4)
    unit.settle(0.0)
    assert standing(unit) == {"T_H"}
    assert unit.alarms["T_H"].message == "Reactor temperature 361.4 K, limit 361 K"
    heat(unit, 365.2)
    unit.settle(0.0)
    assert standing(unit) == {"T_H", "T_HH"}
    assert unit.alarms["T_HH"].message == "Reactor temperature 365.2 K, limit 365 K"
    for temperature, left in ((363.6, {"T_H", "T_HH"}), (363.4, {"T_H"}), (359.4, set())):
        heat(unit, temperature)
        unit.settle(0.0)
        for _ in range(7):
            unit.advance(10.0, 0.0)
            heat(unit, temperature)
        unit.settle(0.0)
        assert standing(unit) == left, temperature
    assert unit.alarms["T_H"].message == "Reactor temperature 359.4 K, back below 359.5 K"
    assert unit.alarms["T_H"].state is State.RETURNED


def test_a_temperature_without_a_good_reading_keeps_its_alarm():
    unit = make_unit()
    heat(unit, 366.0)
    unit.settle(0.0)
    assert standing(unit) == {"T_HH"}
    unit.inject("Temperature", "bad_quality", 0.0, 1e9)
    unit.advance(3600.0, 0.0)
    assert standing(unit) == {"T_HH", "BadPV"}
    assert unit.alarms["BadPV"].message == "R101/PV/Temperature: BadSensorFailure"


def test_all_transmitters_lost_are_one_alarm():
    unit = make_unit()
    unit.inject("MonomerConc", "nan", 0.0, 1e9)
    unit.settle(0.0)
    assert unit.alarms["BadPV"].message == "R101/PV/MonomerConc: value nan"
    unit.acknowledge_alarm("BadPV", "anna", "")
    unit.inject("*", "communication_loss", 0.0, 1e9)
    unit.settle(0.0)
    assert standing(unit) == {"BadPV"}
    assert unit.alarms["BadPV"].state is State.UNACKNOWLEDGED
    assert unit.alarms["BadPV"].message.count("BadNoCommunication") == 4
    unit.inject("*", "clear", 0.0, 0.0)
    unit.settle(0.0)
    unit.advance(61.0, 0.0)
    assert unit.alarms["BadPV"].state is State.RETURNED


def test_a_dead_controller_is_two_alarms_and_a_new_episode_ends_them():
    unit = make_unit()
    activate(unit)
    unit.settle(3.1)
    assert standing(unit) == {"ShedEvent", "WatchdogTimeout"}
    assert unit.alarms["WatchdogTimeout"].message == "Heartbeat of the APC 3.1 s old, limit 3 s"
    assert unit.alarms["WatchdogTimeout"].first_out
    assert unit.alarms["ShedEvent"].message == "APC shed: heartbeat lost"
    apply_write(unit, "APC/HeartbeatIn", 2, "apc", 4.0)
    unit.settle(4.0)
    unit.settle(5.1)
    assert standing(unit) == {"ShedEvent"}
    unit.reset("grade_up", 2)
    assert {alarm.state for alarm in unit.alarms.values()} == {State.NORMAL}
    assert unit.alarms["ShedEvent"].message == "New episode"


def test_deadline_misses_are_one_alarm_a_burst():
    unit = make_unit()
    seen = set()
    for now_s, count in ((0.0, 7), (1.0, 7), (2.0, 8), (3.0, 9), (50.0, 11), (109.0, 11)):
        apply_write(unit, MISSES_TAG, count, "apc", now_s)
        unit.settle(now_s)
        seen.add((unit.alarms["DeadlineMiss"].active, unit.alarms["DeadlineMiss"].revision))
    assert seen == {(False, 0), (True, 1)}
    assert unit.alarms["DeadlineMiss"].message == "1 scan(s) of the APC past the deadline, 8 in all"
    apply_write(unit, MISSES_TAG, 0, "apc", 110.0)  # a new controller counts from zero
    for now_s in (110.0, 171.0):
        unit.settle(now_s)
    assert not unit.alarms["DeadlineMiss"].active


def test_a_runaway_with_noise_raises_three_alarms_once_each():
    unit = make_unit("startup", noise=True, override_on_K=500.0)
    activate(unit)
    for index, output in enumerate((2.5, 350.0)):
        unit.replace_loop(index, mode=LoopMode.MAN, output=output)
    raised = dict.fromkeys(unit.alarms, 0)
    for _ in range(6 * 360):
        before = unit.alarms
        unit.advance(10.0, 0.0)
        for name, alarm in unit.alarms.items():
            raised[name] += alarm.active and not before[name].active
    assert unit.plant.tripped
    assert raised == {
        T_H.name: 1,
        T_HH.name: 1,
        SHED.name: 1,
        WATCHDOG.name: 0,
        BAD_PV.name: 0,
        DEADLINE.name: 0,
    }
    assert unit.alarms["ShedEvent"].message == "APC shed: trip"
