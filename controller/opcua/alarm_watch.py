"""Keeps a session's subscription to the plant's alarms, and says when their number is not known.

A subscription of its own, so that a flood of events holds up no value.  A server without conditions
is no fault: it is asked again now and then, as is one that did not answer.  What stands is asked
anew (ConditionRefresh) when the server requires it, when its queue overflowed, when a notification
was lost, and on a new subscription after the last has ended or fallen silent; until it has answered
nothing is known.  An attempt succeeds when the number has been known for a while after it; what
was agreed to and comes to nothing is a failure like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from time import monotonic
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.logs import logger
from controller.opcua.alarms import FIELDS, AlarmBook
from controller.opcua.endpoint import FAULTS
from controller.opcua.events import CONDITION, event_item, refresh_request
from controller.opcua.requests import detail_of
from controller.opcua.subscription import SILENT_KEEPALIVES, SILENT_S
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PUBLISHING_S = 1.0
KEEPALIVES = 5
LIFETIME = 600

LIMIT_S = 2.0
"""Time allowed to one attempt: it is awaited beside the scans."""

PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
"""Between two attempts; it doubles from failure to failure.  A refusal takes the longest."""

END_S = 10.0
"""A server that has agreed to a refresh and marks no end of it within this time has told all, if it
is heard and END_INTERVALS of publishing have passed, too."""

END_INTERVALS = 3.0

LONGEST_REFRESH_S = 60.0
"""From the mark of its beginning; one that has no end by then comes to nothing."""

MOST_UNANSWERED = 3
"""Requests for a subscription in a row without any answer; then this session asks no more, for each
may have left a subscription on the server."""

PASSING = frozenset(
    {
        ua.StatusCodes.BadRefreshInProgress,
        ua.StatusCodes.BadTimeout,
        ua.StatusCodes.BadTooManyOperations,
        ua.StatusCodes.BadResourceUnavailable,
        ua.StatusCodes.BadOutOfMemory,
        ua.StatusCodes.BadSubscriptionIdInvalid,
    }
)
"""Refusals of one attempt, and not of alarms as such."""


class AlarmWatch:
    """The alarms of one session's server."""

    def __init__(self, session: Any, *, clock: Callable[[], float] = monotonic) -> None:
        """session: asyncua's, open."""
        self._session = session
        self._clock = clock
        self._log = logger("link")
        self._book = AlarmBook(clock)
        self._number: int | None = None
        self._silent_s, self._told_s = SILENT_S, END_S
        self._watched = self._open = False  # open: it is not settled what the last attempt led to
        self._agreed_s: float | None = None
        self._known_s: float | None = None
        self._unanswered = 0
        self._late: set[asyncio.Task[None]] = set()
        self._next_s = -math.inf
        self._pause_s = PAUSE_S
        self._said = ""

    async def counts(self) -> Mapping[tuple[str, str], int] | None:
        """(priority, state) -> how many alarms; None while that is not known.

        To be called about once a second; does what is due, and raises nothing.
        """
        reason = self._trouble()
        if reason and self._open:
            self._open = False
            self._failed(reason, PAUSE_S)
        due = reason or (self._book.roomy and not self._open)
        if due and self._clock() >= self._next_s:
            await self._attempt()
        self._settle()
        return self._book.counts() if self._known else None

    def _settle(self) -> None:
        """What has been known for longer than silence goes unnoticed was a success."""
        now = self._clock()
        if not self._known:
            self._known_s = None
        elif self._known_s is None:
            self._known_s = now
        elif now - self._known_s > self._silent_s:
            self._open, self._unanswered = False, 0
            self._said, self._pause_s = "", PAUSE_S

    def _trouble(self) -> str:
        """Why to try anew; "" for no reason."""
        book = self._book
        if not self._watched or book.lost:
            return "the subscription has ended"
        if self._silent:
            return "the subscription is silent"
        if book.stale:
            return "events were lost"
        if book.refreshing and self._clock() - book.begun_s > LONGEST_REFRESH_S:
            return "the refresh does not end"
        told = book.complete or book.refreshing or self._agreed_s is not None
        return "" if told else "nothing was told"

    @property
    def _silent(self) -> bool:
        return self._clock() - self._book.heard_s > self._silent_s

    @property
    def _known(self) -> bool:
        book = self._book
        told = book.complete or (
            self._agreed_s is not None
            and not book.refreshing
            and book.heard_s > self._agreed_s
            and self._clock() - self._agreed_s >= self._told_s
        )
        return self._watched and told and not (book.stale or book.lost or self._silent)

    async def _attempt(self) -> None:
        """Do what is due within `LIMIT_S`; what does not succeed is tried again after a pause."""
        self._known_s = None
        if self._unanswered >= MOST_UNANSWERED:
            self._next_s = math.inf
            self._log.info("no_alarms", reason="no answer, too often", retry_in_s=None)
            return
        try:
            async with time_limit(LIMIT_S):
                if not self._watched or self._book.lost or self._silent:
                    await self._subscribe()
                await self._refresh()
        except ua.UaStatusCodeError as error:
            if error.code != ua.StatusCodes.BadRefreshInProgress:
                self._watched = False
                await self._unsubscribe()
            self._failed(detail_of(error), PAUSE_S if error.code in PASSING else LONGEST_PAUSE_S)
        except FAULTS as error:
            self._failed(detail_of(error), PAUSE_S)
        else:
            self._open = True

    def _failed(self, reason: str, pause_s: float) -> None:
        pause_s = max(pause_s, self._pause_s)
        self._next_s = self._clock() + pause_s
        self._pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)
        if reason != self._said:
            self._said = reason
            self._log.info("no_alarms", reason=reason, retry_in_s=pause_s)

    async def _subscribe(self) -> None:
        self._watched = False
        await self._unsubscribe()
        self._book = AlarmBook(self._clock)
        self._agreed_s = None
        created = await self._create()
        self._number = created.SubscriptionId
        interval_s = created.RevisedPublishingInterval / 1000.0
        keepalive_s = interval_s * created.RevisedMaxKeepAliveCount
        self._silent_s = max(SILENT_S, SILENT_KEEPALIVES * keepalive_s)
        self._told_s = max(END_S, END_INTERVALS * interval_s)
        (made,) = await self._session.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=created.SubscriptionId,
                TimestampsToReturn=ua.TimestampsToReturn.Neither,
                ItemsToCreate=[event_item(ua.NodeId(ua.ObjectIds.Server), 1, FIELDS, _where())],
            )
        )
        made.StatusCode.check()
        self._watched = True

    async def _create(self) -> ua.CreateSubscriptionResult:
        """Ask for a subscription; one that is granted after the time limit is let go at once."""
        asked = asyncio.ensure_future(self._answer(self._book))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._came_late)
            raise

    async def _answer(self, book: AlarmBook) -> ua.CreateSubscriptionResult:
        try:
            return await self._session.create_subscription(
                ua.CreateSubscriptionParameters(
                    RequestedPublishingInterval=1000.0 * PUBLISHING_S,
                    RequestedLifetimeCount=LIFETIME,
                    RequestedMaxKeepAliveCount=KEEPALIVES,
                    MaxNotificationsPerPublish=0,
                    PublishingEnabled=True,
                ),
                callback=book.published,
            )
        except TimeoutError:  # asyncua takes no answer any more
            self._unanswered += 1
            raise

    def _came_late(self, asked: asyncio.Future[ua.CreateSubscriptionResult]) -> None:
        if not asked.cancelled() and asked.exception() is None:
            task = asyncio.ensure_future(self._let_go(asked.result().SubscriptionId))
            self._late.add(task)
            task.add_done_callback(self._late.discard)

    async def _unsubscribe(self) -> None:
        """Let the last subscription go, which may be there although nothing is heard of it."""
        number, self._number = self._number, None
        if number is not None:
            await self._let_go(number)

    async def _let_go(self, number: int) -> None:
        with contextlib.suppress(*FAULTS):
            async with time_limit(LIMIT_S / 2.0):
                await self._session.delete_subscriptions([number])

    async def _refresh(self) -> None:
        """Ask for what stands already."""
        self._book.begin()
        self._agreed_s = None
        (result,) = await self._session.call([refresh_request(self._number or 0)])
        result.StatusCode.check()
        self._agreed_s = self._clock()


def _where() -> ua.ContentFilter:
    """Lets conditions through, and what is exempt from filters: refreshes, lost events."""
    of_type = ua.ContentFilterElement(
        FilterOperator=ua.FilterOperator.OfType,
        FilterOperands=[ua.LiteralOperand(Value=ua.Variant(CONDITION))],
    )
    return ua.ContentFilter(Elements=[of_type])
