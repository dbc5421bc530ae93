"""The book of the plant's alarms: states of ISA-18.2 and priorities from the events of OPC UA."""

from types import SimpleNamespace

import pytest
from asyncua import ua

from controller.opcua.alarms import FIELDS, LAST_NUMBER, MOST, AlarmBook

T_HH, BAD_PV = ua.NodeId(1420, 2), ua.NodeId(1450, 2)


LIMIT_ALARM = ua.NodeId(ua.ObjectIds.ExclusiveLimitAlarmType)


def event(
    condition, *, severity=900, retain=True, active=True, acked=False, shelved=False, branch=None
):
    return [LIMIT_ALARM, severity, retain, active, acked, shelved, branch, condition]


def mark(kind):
    """An event that is no condition: of a refresh, of a queue."""
    return [ua.NodeId(kind), 1, *[None] * (len(FIELDS) - 1)]


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
    book.take(event(None))
    book.take(event(ua.NodeId()))
    book.take(event("T_HH"))
    book.take([900])
    book.take([])
    book.take(event(T_HH, active=None, acked=None))
    assert book.counts() == {}


def test_an_alarm_that_is_shelved_or_suppressed_is_counted_as_that():
    book = AlarmBook()
    book.take(event(T_HH))
    book.take(event(T_HH, shelved=True))
    assert book.counts() == {("high", "shelved"): 1}
    book.take(event(T_HH, shelved=True, active=False, acked=True))
    assert book.counts() == {}


def test_no_branch_is_no_branch_however_it_is_told():
    book = AlarmBook()
    book.take(event(T_HH))
    book.take(event(T_HH, branch=ua.NodeId()))
    assert book.counts() == {("high", "unacknowledged"): 1}


def test_a_server_that_tells_of_alarms_without_end_fills_no_memory():
    book = AlarmBook()
    for number in range(MOST + 500):
        book.take(event(ua.NodeId(number + 1, 2)))
    assert book.counts() == {("high", "unacknowledged"): MOST}
    assert len(book._standing) == MOST
    assert not book.roomy
    book.take(event(ua.NodeId(1, 2), acked=True))
    assert book.counts()["high", "acknowledged"] == 1
    book.take(event(ua.NodeId(1, 2), retain=False))
    assert book.roomy, "there is room for those that had none"
    book.begin()
    long = ua.NodeId("x" * 1_000_000, 2)
    book.take(event(long, branch=long))
    assert sum(len(part) for key in book._standing for part in key) < 10_000


def test_a_refresh_begins_from_nothing_and_is_complete_at_its_end():
    book = AlarmBook()
    book.take(event(T_HH))
    book.take(mark(ua.ObjectIds.RefreshStartEventType))
    book.take(event(BAD_PV))
    assert not book.complete
    book.take(mark(ua.ObjectIds.RefreshEndEventType))
    assert book.complete
    assert book.counts() == {("high", "unacknowledged"): 1}


def test_the_end_of_a_refresh_whose_beginning_was_dropped_completes_nothing():
    book = AlarmBook()
    book.take(mark(ua.ObjectIds.RefreshStartEventType))
    book.begin()
    book.take(mark(ua.ObjectIds.RefreshEndEventType))
    assert not book.complete


@pytest.mark.parametrize(
    "kind", [ua.ObjectIds.RefreshRequiredEventType, ua.ObjectIds.EventQueueOverflowEventType]
)
def test_a_server_that_lost_events_is_to_be_asked_anew(kind):
    book = AlarmBook()
    book.take(mark(kind))
    assert book.stale
    book.begin()
    assert not book.stale


BAD = ua.StatusCode(ua.StatusCodes.BadNotReadable)


@pytest.mark.parametrize(
    "fields", [{"retain": BAD}, {"active": BAD}, {"active": False, "acked": None}, {"retain": 1}]
)
def test_a_field_that_the_server_cannot_tell_is_not_true(fields):
    book = AlarmBook()
    book.take(event(T_HH, **fields))
    assert book.counts() == {}


@pytest.mark.parametrize(
    ("fields", "state"),
    [({"acked": BAD}, "acknowledged"), ({"shelved": BAD}, "unacknowledged")],
)
def test_a_field_that_the_server_cannot_tell_is_not_false_either(fields, state):
    book = AlarmBook()
    book.take(event(T_HH, **fields))
    assert book.counts() == {("high", state): 1}


def message(number, *events):
    lists = [
        ua.EventFieldList(EventFields=[ua.Variant(value) for value in fields]) for fields in events
    ]
    data = [ua.EventNotificationList(Events=lists)] if lists else []
    return SimpleNamespace(
        NotificationMessage=SimpleNamespace(SequenceNumber=number, NotificationData=data)
    )


def heard(*numbers):
    """A book that has heard of these messages; of negative numbers keep-alives."""
    book = AlarmBook()
    for number in numbers:
        book.published(message(abs(number), *([event(T_HH)] if number > 0 else [])))
    return book


@pytest.mark.parametrize(
    "numbers", [(1, 2, 3), (-1, -1, 1, -2, -2, 2), (1, 1, 2, 1, 3), (1, -1, 2)]
)
def test_messages_in_their_order_and_such_as_are_sent_again_lose_nothing(numbers):
    assert not heard(*numbers).stale


@pytest.mark.parametrize("numbers", [(2,), (-2,), (1, 3), (1, -3), (-1, 2), (3000, 1)])
def test_a_gap_between_messages_is_a_loss(numbers):
    assert heard(*numbers).stale


def test_after_a_gap_the_numbers_go_on_from_there():
    book = heard(1, 5)
    book.begin()
    book.published(message(6, event(BAD_PV)))
    assert not book.stale


def test_a_message_that_is_sent_again_undoes_nothing():
    book = heard(1)
    book.published(message(2, event(T_HH, retain=False)))
    book.published(message(1, event(T_HH)))
    assert book.counts() == {}


def test_one_follows_the_last_number_there_is():
    book = heard(LAST_NUMBER - 1, LAST_NUMBER)
    book.begin()
    for number in (1, LAST_NUMBER, 2):
        book.published(message(number, event(BAD_PV)))
    assert not book.stale
    book.published(message(4))
    assert book.stale


def test_a_loss_before_a_refresh_began_does_not_count():
    book = heard(1)
    book.published(message(3, mark(ua.ObjectIds.RefreshStartEventType), event(T_HH)))
    assert not book.stale


def test_what_has_no_number_is_taken_in():
    ended = ua.PublishResult(
        NotificationMessage=ua.NotificationMessage(
            NotificationData=[ua.StatusChangeNotification(ua.StatusCode(ua.StatusCodes.BadTimeout))]
        )
    )
    book = heard(1)
    book.published(ended)
    assert book.lost
    assert not book.stale
