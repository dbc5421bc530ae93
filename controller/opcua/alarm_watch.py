"""Keeps a session's subscription to the plant's alarms, and says when their number is not known.

A subscription of its own, so that a flood of events holds up no value.  A server without conditions
is no fault: it is asked again now and then, as is one that did not answer.  What stands is asked
anew (ConditionRefresh) when the server requires it, when its queue overflowed, and on a new
subscription after the last has ended or fallen silent; until it has answered nothing is known.
"""

from __future__ import annotations

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
"""A server that has agreed to a refresh and marks no end of it within this time has told all."""


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
        self._silent_s = SILENT_S
        self._watched = False
        self._agreed_s: float | None = None
        self._next_s = -math.inf
        self._pause_s = PAUSE_S
        self._said = ""

    async def counts(self) -> Mapping[tuple[str, str], int] | None:
        """(priority, state) -> how many alarms; None while that is not known.

        To be called about once a second; does what is due, and raises nothing.
        """
        self._watched = self._watched and not (self._book.lost or self._silent)
        told = self._book.complete or self._agreed_s is not None
        due = self._book.due or not (self._watched and told)
        if due and self._clock() >= self._next_s:
            await self._attempt()
        return self._book.counts() if self._known else None

    @property
    def _silent(self) -> bool:
        return self._clock() - self._book.heard_s > self._silent_s

    @property
    def _known(self) -> bool:
        book = self._book
        told = book.complete or (
            self._agreed_s is not None
            and not book.refreshing
            and self._clock() - self._agreed_s >= END_S
        )
        return self._watched and told and not (book.stale or book.lost)

    async def _attempt(self) -> None:
        """Do what is due within `LIMIT_S`; what does not succeed is tried again after a pause."""
        try:
            async with time_limit(LIMIT_S):
                if not self._watched:
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
            self._said, self._pause_s = "", PAUSE_S
            self._next_s = self._clock() + PAUSE_S

    def _failed(self, reason: str, pause_s: float) -> None:
        pause_s = max(pause_s, self._pause_s)
        self._next_s = self._clock() + pause_s
        self._pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)
        if reason != self._said:
            self._said = reason
            self._log.info("no_alarms", reason=reason, retry_in_s=pause_s)

    async def _subscribe(self) -> None:
        await self._unsubscribe()
        book = self._book = AlarmBook(self._clock)
        self._agreed_s = None
        created = await self._session.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=1000.0 * PUBLISHING_S,
                RequestedLifetimeCount=LIFETIME,
                RequestedMaxKeepAliveCount=KEEPALIVES,
                MaxNotificationsPerPublish=0,
                PublishingEnabled=True,
            ),
            callback=book.published,
        )
        self._number = created.SubscriptionId
        keepalive_s = created.RevisedPublishingInterval / 1000.0 * created.RevisedMaxKeepAliveCount
        self._silent_s = max(SILENT_S, SILENT_KEEPALIVES * keepalive_s)
        (made,) = await self._session.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=created.SubscriptionId,
                TimestampsToReturn=ua.TimestampsToReturn.Neither,
                ItemsToCreate=[event_item(ua.NodeId(ua.ObjectIds.Server), 1, FIELDS, _where())],
            )
        )
        made.StatusCode.check()
        self._watched = True

    async def _unsubscribe(self) -> None:
        """Let the last subscription go, which may be there although nothing is heard of it."""
        number, self._number = self._number, None
        if number is not None:
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
