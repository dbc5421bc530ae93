"""The plant's alarms, counted, from the events of its conditions in OPC UA (OPC 10000-9).

They inform only: nothing is decided by them.  `controller.opcua.alarm_watch` keeps the subscription
that fills a book.
"""

from __future__ import annotations

from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any

from asyncua import ua

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.opcua.events import Field

LOWEST_MEDIUM, LOWEST_HIGH = 334, 667
"""Where priorities begin on OPC UA's scale of severity, 1 to 1000, in thirds."""

MOST = 1000
"""Alarms that are kept: a server may tell of any number."""

LONGEST_KEY = 4096
"""Characters of a node id that are kept; the standard allows no more (OPC 10000-3, 8.2.4)."""

LAST_NUMBER = 2**32 - 1
"""Of a subscription's messages; 1 follows it, and 0 is none of them (OPC 10000-4, 7.8)."""

REPEATS = 1000
"""How far back a message is taken for one that was sent again."""

_IDS = ua.ObjectIds
FIELDS: tuple[Field, ...] = (
    (_IDS.BaseEventType, "EventType"),
    (_IDS.BaseEventType, "Severity"),
    (_IDS.ConditionType, "Retain"),
    (_IDS.AlarmConditionType, "ActiveState/Id"),
    (_IDS.AcknowledgeableConditionType, "AckedState/Id"),
    (_IDS.AlarmConditionType, "SuppressedOrShelved"),
    (_IDS.ConditionType, "BranchId"),
)
_REFRESH_START = ua.NodeId(_IDS.RefreshStartEventType)
_REFRESH_END = ua.NodeId(_IDS.RefreshEndEventType)
_STALE = (ua.NodeId(_IDS.RefreshRequiredEventType), ua.NodeId(_IDS.EventQueueOverflowEventType))
"""After these the server no longer vouches for what it has told."""


class AlarmBook:
    """How every condition stands that one subscription has told of, since the last refresh.

    refreshing, complete: the server tells, or has told, all that stood.  stale: events may have
    been lost since.  lost: the subscription has ended.  heard_s: time of its last sign of life;
    begun_s: of the last beginning of a refresh.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._standing: dict[tuple[str, str], tuple[str, str]] = {}
        self._clock = clock
        self._short = False
        self._next_number = 1
        self.refreshing = self.complete = self.stale = self.lost = False
        self.heard_s = self.begun_s = clock()

    @property
    def roomy(self) -> bool:
        """Whether alarms had no room, and there is some now."""
        return self._short and len(self._standing) < MOST

    def begin(self) -> None:
        """Start from nothing: the server is about to be asked what stands."""
        self._standing.clear()
        self.refreshing = self.complete = self.stale = self._short = False

    def counts(self) -> Mapping[tuple[str, str], int]:
        """(priority, state) -> how many alarms, `MOST` in all at most; what is not there is 0."""
        return Counter(self._standing.values())

    def published(self, result: ua.PublishResult) -> None:
        """Take in a notification, or a keep-alive; one that was sent again says nothing new."""
        self.heard_s = self._clock()
        message = result.NotificationMessage
        data = message.NotificationData or ()
        number = message.SequenceNumber
        if number:
            ahead = (number - self._next_number) % LAST_NUMBER
            if ahead >= LAST_NUMBER - REPEATS:
                return
            self.stale = self.stale or ahead > 0  # what came between was lost
        for notification in data:
            if isinstance(notification, ua.EventNotificationList):
                for event in notification.Events or ():
                    self.take([field.Value for field in event.EventFields or ()])
            elif isinstance(notification, ua.StatusChangeNotification):
                self.lost = True
        if number:  # a keep-alive has the number of the message to come
            self._next_number = number + bool(data)

    def take(self, fields: list[Any]) -> None:
        """Take in one event: the fields of `FIELDS` and the ConditionId, which no other has."""
        if len(fields) != len(FIELDS) + 1:
            return
        kind, severity, retain, active, acknowledged, shelved, branch, condition = fields
        if kind == _REFRESH_START:
            self.begin()
            self.refreshing = True
            self.begun_s = self._clock()
        elif kind == _REFRESH_END:
            self.complete = self.refreshing  # of another it does not tell what came before it
            self.refreshing = False
        elif kind in _STALE:
            self.stale = True
        elif isinstance(condition, ua.NodeId) and not condition.is_null():
            state = _state(active=active, acknowledged=acknowledged, shelved=shelved)
            self._note(
                (_key(condition), _key(branch)),
                (_priority(severity), state) if retain is True and state is not None else None,
            )

    def _note(self, key: tuple[str, str], standing: tuple[str, str] | None) -> None:
        if standing is None:
            self._standing.pop(key, None)
        elif key in self._standing or len(self._standing) < MOST:
            self._standing[key] = standing
        else:
            self._short = True


def _key(node: object) -> str:
    """A node id as text; "" for none, which servers tell as null or as nothing."""
    return (
        node.to_string()[:LONGEST_KEY] if isinstance(node, ua.NodeId) and not node.is_null() else ""
    )


def _state(*, active: object, acknowledged: object, shelved: object) -> str | None:
    """The state of ISA-18.2; None for a condition that is normal, or no alarm.

    A field that the server cannot tell may come as a status code, which is neither true nor false.
    """
    if active is not True and not (active is False and acknowledged is False):
        return None
    if shelved is True:
        return "shelved"
    if active is True:
        return "unacknowledged" if acknowledged is False else "acknowledged"
    return "returned"


def _priority(severity: object) -> str:
    number = severity if isinstance(severity, int) else 0
    if number >= LOWEST_HIGH:
        return "high"
    return "medium" if number >= LOWEST_MEDIUM else "low"
