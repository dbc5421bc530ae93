"""The HMI's own, read-only line to one plant: its tags, its alarms, its history.

It opens itself again whenever it is lost, and says meanwhile what is the matter.
"""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.configuration.references import NodeIdRef
from controller.hmi.alarm_events import event_item, refresh_request, take_event
from controller.hmi.alarms import AlarmList
from controller.hmi.ranges import ranges
from controller.logs import logger
from controller.opcua.connection import FAULTS, hang_up
from controller.opcua.image import ProcessImage
from controller.opcua.nodes import resolve
from controller.opcua.requests import detail_of
from controller.opcua.security import ServerRefusedError
from controller.opcua.subscribing import subscribe, watch_values
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncua import Client

    from controller.hmi.fleet import Unit
    from controller.opcua.nodes import AddressBook
    from controller.opcua.subscribing import Subscribed

POLL_S = 1.0
"""Everything is read so often besides: a value that stands still sends no notification."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 3.0
NEVER = "not connected yet"
EVENTS = "events"
"""Name under which the object with the alarms is resolved beside the tags."""

_SERVER = NodeIdRef(text="i=2253", kind="i", identifier="2253", index=0)


class PlantLine:
    """One unit's plant, watched for as long as `run` runs."""

    def __init__(
        self, unit: Unit, changed: Callable[[], None], alarmed: Callable[[], None]
    ) -> None:
        """changed, alarmed: called when a value, or an alarm or the line, is another."""
        self._unit = unit
        self._changed, self._alarmed = changed, alarmed
        self._log = logger("hmi").bind(unit=unit.name)
        self._client: Client | None = None
        self._keys: list[str] = []
        self._heard_s = 0.0
        self._lost = asyncio.Event()
        self._refresh = False
        self.image = ProcessImage()
        self.alarms = AlarmList()
        self.book: AddressBook | None = None
        self.ranges: Mapping[str, tuple[float, float]] = {}
        self.missing: tuple[str, ...] = ()
        self.has_alarms = False
        self.connected = False
        self.problem = NEVER
        self.since_s = monotonic()

    async def run(self) -> None:
        """Watch until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            started = monotonic()
            reason = await self._session()
            self._say(connected=False, problem=reason)
            pause = FIRST_PAUSE_S if monotonic() - started > LONGEST_PAUSE_S else 2.0 * pause
            pause = min(pause, LONGEST_PAUSE_S)
            await asyncio.sleep(pause)

    @property
    def client(self) -> Client | None:
        """The open session, None while there is none."""
        return self._client if self.connected else None

    async def _session(self) -> str:
        """One session from its beginning to its end; why it ended."""
        client = self._unit.endpoint(self._unit.user, self._unit.password).client()
        self._lost.clear()

        async def lost(error: Exception) -> None:  # noqa: ARG001 - told by the next request
            self._lost.set()

        client.connection_lost_callback = lost
        try:
            async with time_limit(self._unit.settings.server.connect_timeout_s):
                await self._unit.endpoint(self._unit.user, self._unit.password).connect(client)
                subscription, reads = await self._prepare(client)
            self._client = client
            self._say(connected=True, problem="")
            await self._follow(client, subscription, reads)
        except (*FAULTS, ServerRefusedError) as error:
            return detail_of(error)
        finally:
            self._client = None
            await hang_up(client)
        return "the connection was lost"

    async def _prepare(self, client: Client) -> tuple[Subscribed, ua.ReadParameters]:
        """Resolve the tags and watch them; those that are missing are left out and named."""
        events = self._unit.events or _SERVER
        wanted = {**self._unit.references, EVENTS: events}
        book = await resolve(client, wanted, self._unit.tags.operator_methods())
        nodes = dict(book.nodes)
        notifier = nodes.pop(EVENTS, None)
        self.book, self.missing = book, tuple(item.key for item in book.missing)
        self.ranges = await ranges(client, nodes, self._unit.binding)
        session = client.uaclient.session
        self._keys = list(nodes)
        reads = ua.ReadParameters(
            MaxAge=0,
            TimestampsToReturn=ua.TimestampsToReturn.Source,
            NodesToRead=[
                ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value)
                for node in nodes.values()
            ],
        )
        self._heard_s = monotonic()
        made = await subscribe(session, self._unit.publishing_s, self._published)
        await watch_values(session, made, reads.NodesToRead, self._unit.publishing_s)
        self.has_alarms = notifier is not None and await self._watch_alarms(session, made, notifier)
        if not self.has_alarms:
            self.alarms = AlarmList()
        return made, reads

    async def _watch_alarms(self, session: Any, made: Subscribed, notifier: ua.NodeId) -> bool:
        """Watch alarms and ask what stands; False where the server has none."""
        try:
            (result,) = await session.create_monitored_items(
                ua.CreateMonitoredItemsParameters(
                    SubscriptionId=made.number,
                    TimestampsToReturn=ua.TimestampsToReturn.Source,
                    ItemsToCreate=[event_item(notifier, len(self._keys))],
                )
            )
            result.StatusCode.check()
            (answer,) = await session.call([refresh_request(made.number)])
            answer.StatusCode.check()
        except ua.UaStatusCodeError as error:
            self._log.info("no_alarms", reason=detail_of(error))
            return False
        return True

    async def _follow(self, client: Client, made: Subscribed, reads: ua.ReadParameters) -> None:
        """Read everything now and then, until the line is lost.  Raises FAULTS."""
        session, limit_s = client.uaclient.session, self._unit.settings.server.connect_timeout_s
        while not self._lost.is_set():
            if monotonic() - self._heard_s > made.silent_s:
                raise TimeoutError
            async with time_limit(limit_s):
                values = await session.read(reads)
                if self._refresh:
                    self._refresh = False
                    await session.call([refresh_request(made.number)])
            now = monotonic()
            for key, value in zip(self._keys, values, strict=True):
                self.image.polled(key, value, now)
            self._changed()
            with contextlib.suppress(TimeoutError):
                async with time_limit(POLL_S):
                    await self._lost.wait()

    def _published(self, result: ua.PublishResult) -> None:
        now = self._heard_s = monotonic()
        for notification in result.NotificationMessage.NotificationData or ():
            if isinstance(notification, ua.DataChangeNotification):
                for item in notification.MonitoredItems:
                    self.image.notified(self._keys[item.ClientHandle], item.Value, now)
                self._changed()
            elif isinstance(notification, ua.EventNotificationList):
                for event in notification.Events:
                    self._refresh |= take_event(self.alarms, event.EventFields)
                self._alarmed()

    def _say(self, *, connected: bool, problem: str) -> None:
        if (connected, problem) == (self.connected, self.problem):
            return
        self.connected, self.problem, self.since_s = connected, problem, monotonic()
        if connected:
            self._log.info("plant_connected", url=self._unit.settings.server.url)
        else:
            self._log.warning("plant_lost", url=self._unit.settings.server.url, reason=problem)
        self._changed()
        self._alarmed()
