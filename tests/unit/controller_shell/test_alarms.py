"""The book of the plant's alarms: states of ISA-18.2 and priorities from the events of OPC UA."""

import pytest
from asyncua import ua

from controller.opcua.alarms import AlarmBook

T_HH, BAD_PV = ua.NodeId(1420, 2), ua.NodeId(1450, 2)


def event(condition, *, severity=900, retain=True, active=True, acked=False, branch=None):
    return [severity, retain, active, acked, branch, condition]


@pytest.mark.parametrize(
    ("active", "acked", "state"),
    [
        (True, False, "unacknowledged"),
        (True, True, "acknowledged"),
        (True, None, "acknowledged"),
        (False, False, "returned"),
    ],
)
def test_an_alarm_counts_by_its_state(active, acked, state):
    book = AlarmBook()
    book.take(event(T_HH, active=active, acked=acked))
    assert book.counts() == {("high", state): 1}


@pytest.mark.parametrize(
    ("severity", "priority"),
    [(1, "low"), (333, "low"), (334, "medium"), (666, "medium"), (667, "high"), (1000, "high")],
)
def test_the_priority_is_a_third_of_the_scale_of_severity(severity, priority):
    book = AlarmBook()
    book.take(event(T_HH, severity=severity))
    assert book.counts() == {(priority, "unacknowledged"): 1}


def test_an_alarm_is_counted_once_however_often_it_is_told_and_leaves_when_it_is_normal():
    book = AlarmBook()
    book.take(event(T_HH))
    book.take(event(T_HH, acked=True))
    book.take(event(BAD_PV, severity=500))
    assert book.counts() == {("high", "acknowledged"): 1, ("medium", "unacknowledged"): 1}
    book.take(event(T_HH, active=False, acked=True, retain=False))
    book.take(event(BAD_PV, active=False, acked=True))
    assert book.counts() == {}


def test_branches_of_a_condition_are_alarms_of_their_own():
    book = AlarmBook()
    book.take(event(T_HH))
    book.take(event(T_HH, branch=ua.NodeId(1, 2)))
    assert book.counts() == {("high", "unacknowledged"): 2}


def test_what_is_no_condition_is_not_counted():
    book = AlarmBook()
    book.take([900, True, True, False, None, None])
    book.take([900])
    book.take(event(T_HH, active=None, acked=None))
    assert book.counts() == {}
