"""The HMI's own, read-only line to one plant: its tags, its alarms, its history.

It opens itself again whenever it is lost, and says meanwhile what is the matter.
"""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import TYPE_CHECKING

from asyncua import ua

from controller.configuration.references import NodeIdRef
from controller.hmi.alarm_events import FIELDS, key_of, take_event
from controller.hmi.alarms import AlarmList
from controller.hmi.limit_watch import LimitWatch
from controller.hmi.placeless import placeless
from controller.hmi.ranges import ranges
from controller.logs import logger
from controller.opcua.endpoint import FAULTS, hang_up
from controller.opcua.events import event_item, refresh_request
from controller.opcua.image import ProcessImage
from controller.opcua.nodes import resolve
from controller.opcua.operation_limits import operation_limits, read_attribute
from controller.opcua.requests import detail_of
from controller.opcua.security import ServerRefusedError
from controller.opcua.subscription import Subscription
from controller.opcua.time_limit import time_limit
from controller.words import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncua import Client

    from controller.hmi.alarm_limits import AlarmLimit
    from controller.hmi.fleet import Unit
    from controller.opcua.nodes import AddressBook

POLL_S = 1.0
"""Everything is read so often besides: a value that stands still sends no notification."""

LIMITS_S = 30.0
"""Alarm limits are read so often: engineers change them seldom."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 3.0
NEVER = "not connected yet"
LONGEST_PROBLEM = 500
"""Characters of a reason that are kept: some are a server's words."""

EVENTS = "events"
"""Name under which the object with the alarms is resolved beside the tags."""

_SERVER = NodeIdRef(text="i=2253", kind="i", identifier="2253", index=0)


def shown(reason: str) -> str:
    """A reason as pages and logs are given it: printable, at most `LONGEST_PROBLEM` characters."""
    return printable(reason[:LONGEST_PROBLEM])[:LONGEST_PROBLEM]


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
        self._nodes: dict[str, ua.NodeId] = {}
        self._most_reads = 1
        self._lost = asyncio.Event()
        self._refresh = False
        self.image = ProcessImage()
        self.alarms = AlarmList()
        self.book: AddressBook | None = None
        self.ranges: Mapping[str, tuple[float, float]] = {}
        self.limits: Mapping[str, tuple[AlarmLimit, ...]] = {}
        self.sources: Mapping[str, str] = {}
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
            self._say(connected=False, problem=shown(self._placeless(reason)), reason=shown(reason))
            pause = FIRST_PAUSE_S if monotonic() - started > LONGEST_PAUSE_S else 2.0 * pause
            pause = min(pause, LONGEST_PAUSE_S)
            await asyncio.sleep(pause)

    @property
    def client(self) -> Client | None:
        """The open session, None while there is none."""
        return self._client if self.connected else None

    def fail(self, problem: str) -> None:
        """Forget what the plant told, and say why; `run` has ended and may be called again."""
        self.image, self.alarms = ProcessImage(), AlarmList()
        self.has_alarms = False
        self._say(connected=False, problem=problem)

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
                subscription, limits = await self._prepare(client)
            self._client = client
            self._say(connected=True, problem="")
            await self._follow(client, subscription, limits)
        except (*FAULTS, ServerRefusedError) as error:
            return detail_of(error)
        finally:
            self._client = None
            await hang_up(client)
        return "the connection was lost"

    async def _prepare(self, client: Client) -> tuple[Subscription, LimitWatch]:
        """Resolve the tags and watch them; those that are missing are left out and named."""
        events = self._unit.events or _SERVER
        wanted = {**self._unit.references, EVENTS: events}
        limits = await operation_limits(client)
        book = await resolve(client, wanted, self._unit.tags.operator_methods(), limits)
        nodes = dict(book.nodes)
        notifier = nodes.pop(EVENTS, None)
        self.book, self.missing = book, tuple(item.key for item in book.missing)
        self.ranges = await ranges(client, nodes, self._unit.binding)
        pvs = [cv.pv.key for cv in self._unit.binding.cvs]
        measured = {key: nodes[key] for key in pvs if key in nodes}
        self.sources = {key: key_of(node) for key, node in measured.items()}
        self._nodes, self._most_reads = nodes, limits.read
        made = Subscription(list(nodes), self.image, changed=self._changed, told=self._take)
        await made.open(
            client,
            list(nodes.values()),
            publishing_s=self._unit.publishing_s,
            items_per_call=limits.monitor,
        )
        self.has_alarms = notifier is not None and await self._watch_alarms(client, made, notifier)
        if not self.has_alarms:
            self.alarms = AlarmList()
        return made, LimitWatch(client, measured, limits, self._log)

    async def _watch_alarms(self, client: Client, made: Subscription, notifier: ua.NodeId) -> bool:
        """Watch alarms and ask what stands; False where the server has none."""
        if made.granted.refused:
            return False
        session = client.uaclient.session
        try:
            (result,) = await session.create_monitored_items(
                ua.CreateMonitoredItemsParameters(
                    SubscriptionId=made.number,
                    TimestampsToReturn=ua.TimestampsToReturn.Source,
                    ItemsToCreate=[event_item(notifier, len(self._nodes), FIELDS)],
                )
            )
            result.StatusCode.check()
            (answer,) = await session.call([refresh_request(made.number)])
            answer.StatusCode.check()
        except ua.UaStatusCodeError as error:
            self._log.info("no_alarms", reason=detail_of(error))
            return False
        return True

    async def _follow(self, client: Client, made: Subscription, limits: LimitWatch) -> None:
        """Read everything now and then, until the line is lost.  Raises FAULTS."""
        limit_s = self._unit.settings.server.connect_timeout_s
        nodes = list(self._nodes.values())
        limits_due_s = monotonic()
        while not self._lost.is_set():
            if made.silent:
                raise TimeoutError
            async with time_limit(limit_s):
                values = await read_attribute(
                    client, nodes, ua.AttributeIds.Value, self._most_reads
                )
                if self._refresh:
                    self._refresh = False
                    await client.uaclient.session.call([refresh_request(made.number)])
            now = monotonic()
            for key, value in zip(self._nodes, values, strict=True):
                self.image.polled(key, value, now)
            self._changed()
            if now >= limits_due_s:
                limits_due_s = now + LIMITS_S
                self.limits = await limits.read()
                self._changed()
            with contextlib.suppress(TimeoutError):
                async with time_limit(POLL_S):
                    await self._lost.wait()

    def _take(self, events: Sequence[ua.EventFieldList]) -> None:
        for event in events:
            self._refresh |= take_event(self.alarms, event.EventFields)
        self._alarmed()

    def _placeless(self, reason: str) -> str:
        security = self._unit.security
        return placeless(reason) if security is None else placeless(reason, security.trusted)

    def _say(self, *, connected: bool, problem: str, reason: str = "") -> None:
        """problem: for pages.  reason: for the log, where it says more."""
        if (connected, problem) == (self.connected, self.problem):
            return
        self.connected, self.problem, self.since_s = connected, problem, monotonic()
        if connected:
            self._log.info("plant_connected", url=self._unit.settings.server.url)
        else:
            self._log.warning(
                "plant_lost", url=self._unit.settings.server.url, reason=reason or problem
            )
        self._changed()
        self._alarmed()
