"""Alarms of any server: what their events mean, and what is kept of them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from asyncua import ua

from controller.hmi import alarms as module
from controller.hmi.alarm_events import _NAMES, FIELDS, take_event
from controller.hmi.alarms import Alarm, AlarmList, Priority, State, counted
from controller.opcua.events import event_item

ALARM = Alarm(
    key="ns=2;i=1",
    condition=ua.NodeId(1, 2),
    event_id=b"1",
    name="T_H",
    source="R101",
    severity=600,
    active=True,
    acked=False,
    retain=True,
    shelved=False,
    time=datetime(2026, 1, 1, tzinfo=UTC),
    message="hot",
    comment="",
)


def event(**values):
    """The fields of an event, in the order that is asked for."""
    whole = {
        "EventId": b"42",
        "EventType": ua.NodeId(ua.ObjectIds.OffNormalAlarmType),
        "SourceName": "R101",
        "SourceNode": ua.NodeId(7, 2),
        "Time": datetime(2026, 1, 1, 12),  # noqa: DTZ001 - as asyncua gives it
        "Message": ua.LocalizedText("hot"),
        "Severity": 700,
        "ConditionName": "T_HH",
        "BranchId": ua.NodeId(),
        "Retain": True,
        "Comment": ua.LocalizedText(""),
        "AckedState/Id": False,
        "ActiveState/Id": True,
        "SuppressedOrShelved": False,
        "ConditionId": ua.NodeId(1420, 2),
    }
    return [ua.Variant({**whole, **values}[name]) for name in _NAMES]


@pytest.mark.parametrize(
    ("active", "acked", "state"),
    [
        (True, False, State.UNACKNOWLEDGED),
        (True, True, State.ACKNOWLEDGED),
        (False, False, State.RETURNED),
        (False, True, State.NORMAL),
    ],
)
def test_states_of_isa_18_2(active, acked, state):
    assert replace(ALARM, active=active, acked=acked).state is state
    assert replace(ALARM, active=active, acked=acked, shelved=True).state is State.SHELVED


@pytest.mark.parametrize(
    ("severity", "priority"),
    [(1, "low"), (333, "low"), (334, "medium"), (666, "medium"), (667, "high"), (1000, "high")],
)
def test_priority_by_thirds_of_the_severity(severity, priority):
    assert replace(ALARM, severity=severity).priority is Priority(priority)


def test_an_event_becomes_an_alarm():
    alarms = AlarmList()
    assert take_event(alarms, event()) is False
    (alarm,) = alarms.all()
    assert (alarm.key, alarm.name, alarm.priority) == ("ns=2;i=1420", "T_HH", Priority.HIGH)
    assert (alarm.event_id, alarm.message) == (b"42", "hot")
    assert (alarm.source, alarm.source_node) == ("R101", "ns=2;i=7")
    assert alarm.time.tzinfo is not None
    document = alarm.document("R101", stale=True)
    assert (document["state"], document["stale"]) == ("unacknowledged", True)


def test_an_alarm_that_is_over_and_seen_is_forgotten():
    alarms = AlarmList()
    take_event(alarms, event())
    take_event(alarms, event(**{"ActiveState/Id": False}))
    assert [alarm.state for alarm in alarms.all()] == [State.RETURNED]
    take_event(alarms, event(**{"ActiveState/Id": False, "AckedState/Id": True, "Retain": False}))
    assert alarms.all() == []


@pytest.mark.parametrize(
    "odd",
    [
        {"ConditionId": None},
        {"ConditionId": ua.NodeId()},
        {"EventId": None},
        {"ConditionId": 12},
    ],
)
def test_what_is_no_condition_is_left_out(odd):
    alarms = AlarmList()
    assert take_event(alarms, event(**odd)) is False
    assert alarms.all() == []


def test_odd_fields_do_no_harm():
    alarms = AlarmList()
    odd = {"Severity": "x", "Time": 3, "Message": None, "SourceName": "s" * 9000, "Comment": 1}
    take_event(alarms, event(**odd))
    (alarm,) = alarms.all()
    assert (alarm.severity, alarm.time, alarm.message) == (0, None, "")
    assert len(alarm.source) == 500
    assert take_event(alarms, []) is False


def test_a_branch_is_an_alarm_of_its_own():
    alarms = AlarmList()
    take_event(alarms, event())
    take_event(alarms, event(BranchId=ua.NodeId(7, 2)))
    assert [alarm.key for alarm in alarms.all()] == ["ns=2;i=1420", "ns=2;i=1420/ns=2;i=7"]


def test_a_refresh_forgets_what_it_does_not_name():
    alarms = AlarmList()
    take_event(alarms, event())
    take_event(alarms, event(ConditionId=ua.NodeId(1, 2)))
    take_event(alarms, event(EventType=ua.NodeId(ua.ObjectIds.RefreshStartEventType)))
    take_event(alarms, event(ConditionId=ua.NodeId(1, 2)))
    take_event(alarms, event(EventType=ua.NodeId(ua.ObjectIds.RefreshEndEventType)))
    assert [alarm.key for alarm in alarms.all()] == ["ns=2;i=1"]
    required = event(EventType=ua.NodeId(ua.ObjectIds.RefreshRequiredEventType))
    assert take_event(alarms, required) is True


def test_a_flood_of_conditions_stays_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    alarms = AlarmList()
    for number in range(9):
        alarms.take(replace(ALARM, key=str(number), acked=number != 1))
    assert len(alarms.all()) == 3
    assert alarms.get("1") is not None  # nobody has seen it yet


def test_the_most_urgent_comes_first_and_is_counted():
    alarms = AlarmList()
    alarms.take(replace(ALARM, key="a", severity=900, acked=True))
    alarms.take(replace(ALARM, key="b", severity=100))
    alarms.take(replace(ALARM, key="c", severity=500, active=False))
    alarms.take(replace(ALARM, key="d", severity=999, shelved=True))
    assert [alarm.key for alarm in alarms.all()] == ["b", "a", "c", "d"]
    assert counted(alarms.all()) == {"unacknowledged": 2, "active": 2, "highest": "medium"}
    assert counted([]) == {"unacknowledged": 0, "active": 0, "highest": None}


def test_the_filter_asks_for_each_field_of_its_own_type():
    item = event_item(ua.NodeId(2253), 1, FIELDS)
    clauses = item.RequestedParameters.Filter.SelectClauses
    assert len(clauses) == len(_NAMES)
    assert clauses[-1].AttributeId == ua.AttributeIds.NodeId
    assert [part.Name for part in clauses[11].BrowsePath] == ["AckedState", "Id"]
