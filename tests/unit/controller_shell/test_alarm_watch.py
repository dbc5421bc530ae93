"""The watch of the plant's alarms over a server that answers from a script: a real one does not
time out, overflow or end a subscription when it is told to.
"""

from collections import deque
from types import SimpleNamespace

import pytest
from asyncua import ua

from controller.opcua.alarm_watch import END_S, LONGEST_PAUSE_S, PAUSE_S, AlarmWatch
from controller.opcua.alarms import FIELDS
from controller.opcua.subscription import SILENT_S
from controller.testing import FakeClock

GOOD = ua.StatusCodes.Good
ONE = {("high", "unacknowledged"): 1}
_START, _END = ua.ObjectIds.RefreshStartEventType, ua.ObjectIds.RefreshEndEventType


def told(*events):
    lists = [
        ua.EventFieldList(ClientHandle=1, EventFields=[ua.Variant(value) for value in fields])
        for fields in events
    ]
    return published(ua.EventNotificationList(Events=lists))


def published(*data):
    return SimpleNamespace(NotificationMessage=SimpleNamespace(NotificationData=list(data)))


def mark(kind):
    return [ua.NodeId(kind), 1, *[None] * (len(FIELDS) - 1)]


def alarm(number):
    kind = ua.NodeId(ua.ObjectIds.ExclusiveLimitAlarmType)
    return [kind, 900, True, True, False, False, None, ua.NodeId(number, 2)]


class Session:
    """answers: to the next calls of ConditionRefresh, a status or an error; then Good.

    stands: events that a refresh tells.  marked: False: it tells no end.
    """

    def __init__(self):
        self.answers, self.items = deque(), deque()
        self.stands, self.marked = [alarm(1)], True
        self.made, self.open, self.calls = 0, {}, 0

    async def create_subscription(self, _asked, callback):
        self.made += 1
        self.open[self.made] = callback
        return ua.CreateSubscriptionResult(self.made, 1000.0, 600, 5)

    async def create_monitored_items(self, _asked):
        status = self.items.popleft() if self.items else GOOD
        return [ua.MonitoredItemCreateResult(ua.StatusCode(status))]

    async def delete_subscriptions(self, numbers):
        for number in numbers:
            self.open.pop(number, None)

    async def call(self, requests):
        self.calls += 1
        answer = self.answers.popleft() if self.answers else GOOD
        if isinstance(answer, Exception):
            raise answer
        if answer == GOOD:
            number = requests[0].InputArguments[0].Value
            around = ([mark(_START)], [mark(_END)]) if self.marked else ([], [])
            self.open[number](told(*around[0], *self.stands, *around[1]))
        return [ua.CallMethodResult(StatusCode=ua.StatusCode(answer))]

    def tell(self, *events):
        self.open[self.made](told(*events))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def watch(session, clock):
    return AlarmWatch(session, clock=clock)


async def test_what_stood_before_is_counted_once_the_server_has_told_all(watch, session):
    assert await watch.counts() == ONE
    session.tell(alarm(2))
    assert await watch.counts() == {("high", "unacknowledged"): 2}
    assert (session.made, session.calls) == (1, 1)


async def test_a_subscription_that_ends_is_unknown_until_another_has_been_told(
    watch, session, clock
):
    await watch.counts()
    ended = ua.StatusChangeNotification(ua.StatusCode(ua.StatusCodes.BadTimeout))
    session.open[1](published(ended))
    assert await watch.counts() is None
    clock.advance(PAUSE_S)
    session.stands = [alarm(1), alarm(2)]
    assert await watch.counts() == {("high", "unacknowledged"): 2}
    assert list(session.open) == [2]


async def test_a_subscription_that_falls_silent_is_made_anew(watch, session, clock):
    await watch.counts()
    clock.advance(SILENT_S)
    session.open[1](published())
    clock.advance(SILENT_S)
    assert await watch.counts() == ONE
    assert session.made == 1
    clock.advance(10.0 * SILENT_S)
    session.stands = []
    assert await watch.counts() == {}
    assert list(session.open) == [2]


@pytest.mark.parametrize(
    "kind", [ua.ObjectIds.RefreshRequiredEventType, ua.ObjectIds.EventQueueOverflowEventType]
)
async def test_after_lost_events_the_number_is_unknown_until_it_is_asked_anew(
    watch, session, clock, kind
):
    await watch.counts()
    session.tell(mark(kind))
    assert await watch.counts() is None
    session.stands = []
    clock.advance(PAUSE_S)
    assert await watch.counts() == {}
    assert (session.made, session.calls) == (1, 2)


@pytest.mark.parametrize("answer", [TimeoutError(), ua.StatusCodes.BadRefreshInProgress])
async def test_a_refresh_that_did_not_succeed_is_tried_again(watch, session, clock, answer):
    session.answers.append(answer)
    assert await watch.counts() is None
    assert await watch.counts() is None
    assert session.calls == 1
    clock.advance(PAUSE_S)
    assert await watch.counts() == ONE
    assert session.made == 1


async def test_pauses_grow_while_nothing_succeeds(watch, session, clock):
    session.answers.extend([TimeoutError()] * 100)
    for _ in range(3600):
        session.open.get(session.made, lambda _: None)(published())
        assert await watch.counts() is None
        clock.advance(1.0)
    assert 10 <= session.calls <= 25


@pytest.mark.parametrize("where", ["items", "answers"])
async def test_a_server_without_conditions_keeps_no_subscription_and_is_asked_seldom(
    watch, session, clock, where
):
    getattr(session, where).extend([ua.StatusCodes.BadNodeIdUnknown] * 2)
    assert await watch.counts() is None
    assert not session.open
    clock.advance(LONGEST_PAUSE_S - 1.0)
    assert await watch.counts() is None
    assert session.made == 1
    clock.advance(1.0)
    assert await watch.counts() is None
    clock.advance(LONGEST_PAUSE_S)
    assert await watch.counts() == ONE, "its alarms came up later than the rest of it"


async def test_a_server_that_marks_no_end_is_believed_after_a_while(watch, session, clock):
    session.marked = False
    assert await watch.counts() is None
    clock.advance(END_S)
    session.tell(alarm(2))
    assert await watch.counts() == {("high", "unacknowledged"): 2}
    assert session.calls == 1
