"""A client of the soft plant that subscribes, counts what comes, and ends in order or not."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from asyncua import Client, ua

from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.soft_plant import SoftPlant
    from plant_sim.unit.tags import Role

PERIOD_MS = 100.0
KEEP_ALIVES = 100
FIRST_S = 10.0
CLOSE_S = 5.0
MOVING = tuple(
    tag.number
    for tag in TAGS
    if tag.scanned or tag.path.startswith("Sim/Truth/") or tag.path == "APC/HeartbeatOut"
)
"""Tags that take a new value, or at least a new time, in every tick of a plant that runs."""

_NO_ROOM = {
    ua.StatusCodes.BadTooManySessions,
    ua.StatusCodes.BadTooManySubscriptions,
    ua.StatusCodes.BadTooManyMonitoredItems,
}


def refused(error: ua.UaStatusCodeError) -> bool:
    """Whether the plant refused for want of room, which others give back in time."""
    return error.code in _NO_ROOM


class Watcher:
    """One session of a user; `notified` counts the values of its subscriptions."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._index = 0
        self._heard = asyncio.Event()
        self.notified = 0

    @staticmethod
    def moving_tags() -> int:
        """How many different tags there are to watch."""
        return len(MOVING)

    @classmethod
    async def open(
        cls,
        plant: SoftPlant,
        user: Role,
        *,
        items: int,
        timeout_ms: float | None = None,
    ) -> Watcher:
        """Log in and watch `items` moving tags; raises UaStatusCodeError, and is not there then.

        timeout_ms: after which the plant gives the session up; None: asyncua's own.
        """
        client = Client(plant.url, timeout=20)
        if timeout_ms is not None:
            client.session_timeout = timeout_ms
        client.set_user(user)
        client.set_password(plant.passwords[user])
        await client.connect()
        watcher = cls(client)
        try:
            watcher._index = await client.get_namespace_index(NAMESPACE)
            if items:
                await watcher.subscribe(items)
        except BaseException:
            await watcher.close()
            raise
        return watcher

    @classmethod
    @contextlib.asynccontextmanager
    async def session(cls, plant: SoftPlant, user: Role, *, items: int) -> AsyncIterator[Watcher]:
        """`open`, and an orderly end."""
        watcher = await cls.open(plant, user, items=items)
        try:
            yield watcher
        finally:
            await watcher.close()

    async def subscribe(self, items: int) -> None:
        """One more subscription, at 10 Hz."""
        session = self._client.uaclient.session
        created = await session.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=PERIOD_MS,
                RequestedLifetimeCount=10 * KEEP_ALIVES,
                RequestedMaxKeepAliveCount=KEEP_ALIVES,
                MaxNotificationsPerPublish=0,
                PublishingEnabled=True,
            ),
            callback=self._published,
        )
        if not items:
            return
        await session.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=created.SubscriptionId,
                TimestampsToReturn=ua.TimestampsToReturn.Source,
                ItemsToCreate=[self._item(place) for place in range(items)],
            )
        )

    def _item(self, place: int) -> ua.MonitoredItemCreateRequest:
        node_id = ua.NodeId(MOVING[place % len(MOVING)], self._index)
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=node_id, AttributeId=ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=place, SamplingInterval=PERIOD_MS, QueueSize=1, DiscardOldest=True
            ),
        )

    def _published(self, result: ua.PublishResult) -> None:
        for notification in result.NotificationMessage.NotificationData or ():
            self.notified += len(notification.MonitoredItems)
            self._heard.set()

    async def first(self) -> None:
        """Wait until something was heard; raises TimeoutError."""
        await asyncio.wait_for(self._heard.wait(), FIRST_S)

    async def vanish(self) -> None:
        """End as a process that is killed: the socket closes, and nothing is said."""
        transport = self._client.uaclient.protocol.transport
        if transport is not None:
            transport.abort()
        await asyncio.sleep(0)
        await self.close()

    async def close(self) -> None:
        """End, in order where there is still a line."""
        with contextlib.suppress(TimeoutError, OSError, ua.UaError):
            await asyncio.wait_for(self._client.disconnect(), CLOSE_S)
