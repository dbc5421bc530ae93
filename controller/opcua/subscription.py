"""The subscription that feeds the process image, as far as the server grants one.

It spares a controller nothing: every value is polled at each tick as well.  It brings a change
earlier, and its silence shows a dead line.  So a server may grant a slower one than was asked for,
fewer items, or none at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.opcua.operation_limits import chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncua import Client

    from controller.opcua.image import ProcessImage

KEEPALIVE_S = 2.0
"""A subscription that has nothing to send says so after this time, unless the server revises it."""

SILENT_S = 10.0
SILENT_KEEPALIVES = 3.0
"""A subscription is dead after the longer of SILENT_S and this many keep-alive times."""

NOT_GRANTED = frozenset(
    {
        ua.StatusCodes.BadServiceUnsupported,
        ua.StatusCodes.BadTooManySubscriptions,
        ua.StatusCodes.BadTooManyMonitoredItems,
        ua.StatusCodes.BadUserAccessDenied,
    }
)
"""Answers of a server that reads and writes, but keeps no subscription for us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What the server made of the request.  refused: why there is no subscription, "" if there is.

    publishing_s, sampling_s: revised, the sampling of its slowest item.  missing: number of items
    that it does not sample.
    """

    refused: str = ""
    publishing_s: float = 0.0
    sampling_s: float = 0.0
    missing: int = 0

    @property
    def lag_s(self) -> float:
        """How old a notified value may be [s]."""
        return self.publishing_s + self.sampling_s


class Subscription:
    """One subscription for a whole image; a notification needs no task of its own."""

    def __init__(
        self,
        keys: Sequence[str],
        image: ProcessImage,
        *,
        changed: Callable[[], None] | None = None,
        told: Callable[[Sequence[ua.EventFieldList]], None] | None = None,
    ) -> None:
        """keys: of the image, in the order of the nodes given to `open`.

        changed: called after values have arrived.  told: called with events that have arrived.
        """
        self._keys = keys
        self._image = image
        self._changed, self._told = changed, told
        self.number = 0
        """The server's for it, once it is open."""
        self._published_s = monotonic()
        self._silent_s = math.inf
        self.granted = Granted()

    @property
    def silent(self) -> bool:
        """True when it has sent nothing, not even a keep-alive, for too long."""
        return monotonic() - self._published_s > self._silent_s

    async def open(
        self,
        client: Client,
        nodes: Sequence[ua.NodeId],
        *,
        publishing_s: float,
        items_per_call: int,
    ) -> None:
        """Ask for every node.  Raises what asyncua raises when a request as a whole fails."""
        session = client.uaclient.session
        period_ms = publishing_s * 1000.0
        keepalives = max(1, round(KEEPALIVE_S / publishing_s))
        try:
            created = await session.create_subscription(
                ua.CreateSubscriptionParameters(
                    RequestedPublishingInterval=period_ms,
                    RequestedLifetimeCount=10 * keepalives,
                    RequestedMaxKeepAliveCount=keepalives,
                    MaxNotificationsPerPublish=0,
                    PublishingEnabled=True,
                ),
                callback=self._published,
            )
        except ua.UaStatusCodeError as error:
            if error.code not in NOT_GRANTED:
                raise
            self.granted = Granted(refused=ua.status_codes.get_name_and_doc(error.code)[0])
            return
        self.number = created.SubscriptionId
        revised_s = created.RevisedPublishingInterval / 1000.0
        keepalive_s = revised_s * created.RevisedMaxKeepAliveCount
        self._published_s = monotonic()
        self._silent_s = max(SILENT_S, SILENT_KEEPALIVES * keepalive_s)
        self.granted = Granted(publishing_s=revised_s, sampling_s=publishing_s)
        sampled = await self._watch(session, _items(nodes, period_ms), items_per_call)
        slowest_ms = max((item.RevisedSamplingInterval for item in sampled), default=0.0)
        self.granted = Granted(
            publishing_s=revised_s,
            sampling_s=max(slowest_ms, 0.0) / 1000.0,
            missing=len(nodes) - len(sampled),
        )

    async def _watch(
        self, session: Any, items: list[ua.MonitoredItemCreateRequest], most: int
    ) -> list[ua.MonitoredItemCreateResult]:
        """Add items; the answers of those that the server samples."""
        sampled: list[ua.MonitoredItemCreateResult] = []
        for some in chunks(items, most):
            request = ua.CreateMonitoredItemsParameters(
                SubscriptionId=self.number,
                TimestampsToReturn=ua.TimestampsToReturn.Source,
                ItemsToCreate=some,
            )
            try:
                answers = await session.create_monitored_items(request)
            except ua.UaStatusCodeError as error:
                if error.code not in NOT_GRANTED:
                    raise
            else:
                sampled += [item for item in answers if item.StatusCode.is_good()]
        return sampled

    def _published(self, result: ua.PublishResult) -> None:
        now = self._published_s = monotonic()
        for notification in result.NotificationMessage.NotificationData or ():
            if isinstance(notification, ua.DataChangeNotification):
                for item in notification.MonitoredItems:
                    if item.ClientHandle < len(self._keys):
                        key = self._keys[item.ClientHandle]
                        self._image.notified(key, item.Value, now, lag_s=self.granted.lag_s)
                if self._changed is not None:
                    self._changed()
            elif isinstance(notification, ua.EventNotificationList) and self._told is not None:
                self._told(notification.Events)


def _items(nodes: Sequence[ua.NodeId], period_ms: float) -> list[ua.MonitoredItemCreateRequest]:
    return [
        ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=handle, SamplingInterval=period_ms, QueueSize=1, DiscardOldest=True
            ),
        )
        for handle, node in enumerate(nodes)
    ]
