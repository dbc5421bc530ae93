"""The plant's alarms, counted: a subscription to the conditions of OPC UA (OPC 10000-9).

They inform only: nothing is decided by them.  A server without conditions is no fault.  A second
subscription, so that a flood of events holds up no value.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.opcua.events import CONDITION, event_item, refresh_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.opcua.events import Field

PUBLISHING_S = 1.0
LOWEST_MEDIUM, LOWEST_HIGH = 334, 667
"""Where priorities begin on OPC UA's scale of severity, 1 to 1000, in thirds."""

_IDS = ua.ObjectIds
_FIELDS: tuple[Field, ...] = (
    (_IDS.BaseEventType, "Severity"),
    (_IDS.ConditionType, "Retain"),
    (_IDS.AlarmConditionType, "ActiveState/Id"),
    (_IDS.AcknowledgeableConditionType, "AckedState/Id"),
    (_IDS.ConditionType, "BranchId"),
)


class AlarmBook:
    """How every condition stands that the server has told of."""

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], tuple[str, str]] = {}

    def counts(self) -> Mapping[tuple[str, str], int]:
        """(priority, state) -> how many alarms; what is not there is 0."""
        return Counter(self._standing.values())

    def published(self, result: ua.PublishResult) -> None:
        """Take in a notification."""
        for notification in result.NotificationMessage.NotificationData or ():
            if isinstance(notification, ua.EventNotificationList):
                for event in notification.Events:
                    self.take([field.Value for field in event.EventFields])

    def take(self, fields: list[Any]) -> None:
        """Take in one event: the fields of `_FIELDS` and the ConditionId, which no other has."""
        if len(fields) != len(_FIELDS) + 1 or fields[-1] is None:
            return
        severity, retain, active, acknowledged, branch, condition = fields
        key = str(condition), str(branch)
        state = _state(active=active, acknowledged=acknowledged)
        if not retain or state is None:
            self._standing.pop(key, None)
        else:
            self._standing[key] = _priority(severity), state


def _state(*, active: object, acknowledged: object) -> str | None:
    """The state of ISA-18.2; None for a condition that is normal, or no alarm."""
    if active:
        return "unacknowledged" if acknowledged is False else "acknowledged"
    return "returned" if active is False and acknowledged is False else None


def _priority(severity: object) -> str:
    number = severity if isinstance(severity, int) else 0
    if number >= LOWEST_HIGH:
        return "high"
    return "medium" if number >= LOWEST_MEDIUM else "low"


async def watch(session: Any) -> AlarmBook | None:
    """Subscribe on an open session; the book, which fills by itself, or None without conditions.

    Raises the connection's FAULTS.
    """
    book = AlarmBook()
    created = await session.create_subscription(
        ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=1000.0 * PUBLISHING_S,
            RequestedLifetimeCount=600,
            RequestedMaxKeepAliveCount=60,
            MaxNotificationsPerPublish=0,
            PublishingEnabled=True,
        ),
        callback=book.published,
    )
    (made,) = await session.create_monitored_items(
        ua.CreateMonitoredItemsParameters(
            SubscriptionId=created.SubscriptionId,
            TimestampsToReturn=ua.TimestampsToReturn.Neither,
            ItemsToCreate=[event_item(ua.NodeId(_IDS.Server), 1, _FIELDS, _conditions())],
        )
    )
    if not made.StatusCode.is_good() or not await _refreshed(session, created.SubscriptionId):
        await session.delete_subscriptions([created.SubscriptionId])
        return None
    return book


async def _refreshed(session: Any, subscription: int) -> bool:
    """Ask for what stands already; False where the server knows no conditions."""
    (result,) = await session.call([refresh_request(subscription)])
    good: bool = result.StatusCode.is_good()
    return good


def _conditions() -> ua.ContentFilter:
    """Lets conditions through, and nothing else."""
    of_type = ua.ContentFilterElement(
        FilterOperator=ua.FilterOperator.OfType,
        FilterOperands=[ua.LiteralOperand(Value=ua.Variant(CONDITION))],
    )
    return ua.ContentFilter(Elements=[of_type])
