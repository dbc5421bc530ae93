"""The watch of the plant's alarms over a server that answers from a script: a real one does not
time out, overflow or end a subscription when it is told to.
"""

import asyncio
from collections import deque
from types import SimpleNamespace

import pytest
from asyncua import ua
from structlog.testing import capture_logs

from controller.opcua import alarm_watch
from controller.opcua.alarm_watch import (
    END_INTERVALS,
    END_S,
    LONGEST_PAUSE_S,
    LONGEST_REFRESH_S,
    MOST_UNANSWERED,
    PAUSE_S,
    AlarmWatch,
)
from controller.opcua.alarms import FIELDS
from controller.opcua.subscription import SILENT_S
from controller.testing import FakeClock

GOOD = ua.StatusCodes.Good
ONE = {("high", "unacknowledged"): 1}
_START, _END = ua.ObjectIds.RefreshStartEventType, ua.ObjectIds.RefreshEndEventType
_OVERFLOW = ua.ObjectIds.EventQueueOverflowEventType


def told(*events):
    lists = [
        ua.EventFieldList(ClientHandle=1, EventFields=[ua.Variant(value) for value in fields])
        for fields in events
    ]
    return ua.EventNotificationList(Events=lists)


def mark(kind):
    return [ua.NodeId(kind), 1, *[None] * (len(FIELDS) - 1)]


def alarm(number):
    kind = ua.NodeId(ua.ObjectIds.ExclusiveLimitAlarmType)
    return [kind, 900, True, True, False, False, None, ua.NodeId(number, 2)]


class Session:
    """answers: to the next calls of ConditionRefresh, a status or an error; then Good.

    stands: events that a refresh tells.  marked: False: it tells no end; mute: it tells nothing.
    granting: an event to wait for before it grants a subscription.
    """

    def __init__(self):
        self.answers, self.items = deque(), deque()
        self.stands, self.marked = [alarm(1)], True
        self.made, self.open, self.calls = 0, {}, 0
        self.mute, self.granting, self.interval_ms, self.numbers = False, None, 1000.0, {}

    async def create_subscription(self, _asked, callback):
        self.made += 1
        number = self.made
        if isinstance(self.granting, Exception):
            raise self.granting
        if self.granting is not None:
            await self.granting.wait()
        self.open[number], self.numbers[number] = callback, 1
        return ua.CreateSubscriptionResult(number, self.interval_ms, 600, 5)

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
        if answer == GOOD and not self.mute:
            number = requests[0].InputArguments[0].Value
            around = ([mark(_START)], [mark(_END)]) if self.marked else ([], [])
            self.publish(told(*around[0], *self.stands, *around[1]), number=number)
        return [ua.CallMethodResult(StatusCode=ua.StatusCode(answer))]

    def tell(self, *events):
        self.publish(told(*events))

    def publish(self, *data, number=None):
        """Send a message of the last subscription, or another; one without data is a keep-alive."""
        number = number or self.made
        message = SimpleNamespace(SequenceNumber=self.numbers[number], NotificationData=list(data))
        self.numbers[number] += bool(data)
        self.open[number](SimpleNamespace(NotificationMessage=message))

    def lose(self):
        """Send a notification that does not arrive."""
        self.numbers[self.made] += 1


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
    session.publish(ended)
    assert await watch.counts() is None
    clock.advance(PAUSE_S)
    session.stands = [alarm(1), alarm(2)]
    assert await watch.counts() == {("high", "unacknowledged"): 2}
    assert list(session.open) == [2]


async def test_a_subscription_that_falls_silent_is_made_anew(watch, session, clock):
    await watch.counts()
    clock.advance(SILENT_S)
    session.publish()
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
        if session.made in session.open:
            session.publish()
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


async def seconds(number, watch, session, clock):
    """Let time pass with a keep-alive every five seconds; the answers, second by second."""
    answers = []
    for second in range(number):
        if session.made in session.open and not session.mute and second % 5 == 0:
            session.publish()
        answers.append(await watch.counts())
        clock.advance(1.0)
    return answers


async def test_a_server_of_which_nothing_was_heard_is_not_believed_to_have_no_alarms(
    watch, session, clock
):
    session.mute = True
    for _ in range(int(END_S) + 4):
        assert await watch.counts() is None
        clock.advance(1.0)
    session.publish()
    assert await watch.counts() == {}


async def test_a_server_that_publishes_slowly_is_given_time_to_tell(watch, session, clock):
    session.marked, session.interval_ms = False, 10_000.0
    await watch.counts()
    clock.advance(END_INTERVALS * 10.0 - 1.0)
    session.publish()
    assert await watch.counts() is None
    clock.advance(1.0)
    assert await watch.counts() == ONE


@pytest.mark.parametrize("then", [(), (told(alarm(3)),)])
async def test_a_lost_notification_makes_the_number_unknown_until_it_is_asked_anew(
    watch, session, clock, then
):
    await watch.counts()
    session.lose()
    session.publish(*then)
    assert await watch.counts() is None
    clock.advance(PAUSE_S)
    assert await watch.counts() == ONE
    assert (session.made, session.calls) == (1, 2)


async def test_more_alarms_than_the_queue_of_the_server_takes_are_told_once_and_asked_seldom(
    watch, session, clock
):
    session.stands = [mark(_OVERFLOW), alarm(1)]
    with capture_logs() as lines:
        assert set(map(str, await seconds(3600, watch, session, clock))) == {"None"}
    assert 5 <= session.calls <= 25
    assert [line["reason"] for line in lines] == ["events were lost"]
    session.stands = [alarm(1)]
    assert (await seconds(int(LONGEST_PAUSE_S) + 60, watch, session, clock))[-1] is not None
    session.stands = [mark(_OVERFLOW)]
    session.tell(mark(_OVERFLOW))
    calls = session.calls
    with capture_logs() as lines:
        await seconds(7, watch, session, clock)
    assert session.calls == calls + 2, "what was known for a while starts with short pauses"
    assert [line["reason"] for line in lines] == ["events were lost"]


async def test_an_overflow_soon_after_each_refresh_is_a_failure_too(watch, session, clock):
    with capture_logs() as lines:
        for _ in range(360):
            calls = session.calls
            await seconds(5, watch, session, clock)
            if session.calls > calls:
                await seconds(5, watch, session, clock)
                session.tell(mark(_OVERFLOW))
    assert 5 <= session.calls <= 25
    assert [line["reason"] for line in lines] == ["events were lost"]


async def test_a_server_that_never_speaks_is_asked_for_few_subscriptions(watch, session, clock):
    session.mute = True
    with capture_logs() as lines:
        assert set(await seconds(3600, watch, session, clock)) == {None}
    assert 5 <= session.made <= 25
    assert len(session.open) == 1
    assert [line["reason"] for line in lines] == ["the subscription is silent"]


async def test_a_refresh_that_does_not_end_is_asked_anew(watch, session, clock):
    session.mute = True
    await watch.counts()
    session.mute = False
    session.tell(mark(_START), alarm(1))
    with capture_logs() as lines:
        answers = await seconds(int(LONGEST_REFRESH_S + PAUSE_S), watch, session, clock)
        assert set(answers) == {None}
        answers = await seconds(int(PAUSE_S), watch, session, clock)
    assert answers[-1] == ONE
    assert session.calls == 2
    assert [line["reason"] for line in lines] == ["the refresh does not end"]


async def test_a_refresh_that_never_ends_is_asked_anew_seldom(watch, session, clock):
    session.marked, session.stands = False, [mark(_START)]
    assert set(await seconds(7200, watch, session, clock)) == {None}
    assert 5 <= session.calls <= 40
    assert session.made == 1


async def test_a_subscription_that_is_granted_too_late_is_let_go(
    watch, session, clock, monkeypatch
):
    monkeypatch.setattr(alarm_watch, "LIMIT_S", 0.02)
    session.granting = asyncio.Event()
    assert await watch.counts() is None
    session.granting.set()
    await asyncio.sleep(0)
    assert list(session.open) == [1]
    async with asyncio.timeout(5.0):
        while session.open:  # noqa: ASYNC110 - there is nothing else to wait for
            await asyncio.sleep(0.001)
    clock.advance(PAUSE_S)
    assert await watch.counts() == ONE
    assert list(session.open) == [2]


async def test_a_server_that_leaves_requests_unanswered_is_asked_no_more(watch, session, clock):
    session.granting = TimeoutError()
    with capture_logs() as lines:
        assert set(await seconds(3600, watch, session, clock)) == {None}
    assert session.made == MOST_UNANSWERED
    assert [line["reason"] for line in lines] == ["no answer in time", "no answer, too often"]
