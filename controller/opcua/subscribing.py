"""A subscription as both the controller and whoever only watches make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncua import ua

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEEPALIVE_S = 2.0
"""A subscription that has nothing to send says so after this time, unless the server revises it."""

SILENT_S = 10.0
SILENT_KEEPALIVES = 3.0
"""A subscription is dead after the longer of SILENT_S and this many keep-alive times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A subscription.  silent_s: after so long without a word it is dead."""

    number: int
    silent_s: float


async def subscribe(
    session: Any, period_s: float, callback: Callable[[ua.PublishResult], None]
) -> Subscribed:
    """Make a subscription without items; its notifications need no task each.

    session: asyncua's, of a client that is connected.  Raises what asyncua raises.
    """
    period_ms = 1000.0 * period_s
    keepalives = max(1, round(KEEPALIVE_S / period_s))
    created = await session.create_subscription(
        ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=period_ms,
            RequestedLifetimeCount=10 * keepalives,
            RequestedMaxKeepAliveCount=keepalives,
            MaxNotificationsPerPublish=0,
            PublishingEnabled=True,
        ),
        callback=callback,
    )
    revised_s = created.RevisedPublishingInterval * created.RevisedMaxKeepAliveCount / 1000.0
    return Subscribed(
        number=created.SubscriptionId, silent_s=max(SILENT_S, SILENT_KEEPALIVES * revised_s)
    )


async def watch_values(
    session: Any, subscription: Subscribed, reads: Sequence[ua.ReadValueId], period_s: float
) -> list[Any]:
    """Watch values, each by the handle that is its place in `reads`; the server's answers."""
    items = [
        ua.MonitoredItemCreateRequest(
            ItemToMonitor=read,
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=handle,
                SamplingInterval=1000.0 * period_s,
                QueueSize=1,
                DiscardOldest=True,
            ),
        )
        for handle, read in enumerate(reads)
    ]
    return list(
        await session.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=subscription.number,
                TimestampsToReturn=ua.TimestampsToReturn.Source,
                ItemsToCreate=items,
            )
        )
    )
