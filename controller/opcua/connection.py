"""One session with one OPC UA server, from connect to close.

A lost session is never repaired: the link closes it and opens another, because namespace indices,
node ids and subscriptions may all have changed.  The methods raise `FAULTS`; the link turns them
into values.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.opcua.encoding import encode
from controller.opcua.endpoint import FAULTS
from controller.opcua.nodes import (
    AddressBook,
    MissingNodesError,
    WrongTypesError,
    resolve,
    value_types,
)
from controller.opcua.targets import ANALOG
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncua import Client
    from cryptography import x509

    from controller.configuration.references import MethodRef, NodeRef
    from controller.opcua.endpoint import Endpoint
    from controller.opcua.image import ProcessImage

KEEPALIVE_S = 2.0
"""A subscription that has nothing to send says so after this time, unless the server revises it."""

SILENT_S = 10.0
SILENT_KEEPALIVES = 3.0
"""A subscription is dead after the longer of SILENT_S and this many keep-alive times."""

_CLOSE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a session must offer.

    read: keys of the process image.  written: keys that are written; targets: those of them that
    are targets of MVs.  publishing_s: interval of the subscription.
    """

    references: Mapping[str, NodeRef]
    methods: Mapping[str, MethodRef]
    read: Sequence[str]
    written: Sequence[str]
    targets: Sequence[str]
    publishing_s: float


class Connection:
    """An open session with resolved nodes and a subscription that feeds an image."""

    def __init__(self, client: Client, wanted: Wanted, image: ProcessImage) -> None:
        self._client = client
        self._wanted = wanted
        self._image = image
        self._book = AddressBook(nodes={}, methods={}, missing=())
        self._types: Mapping[str, ua.VariantType] = {}
        self._read_parameters = ua.ReadParameters()
        self._published_s = monotonic()
        self._silent_s = SILENT_S
        self.certificate: x509.Certificate | None = None

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        wanted: Wanted,
        image: ProcessImage,
        on_lost: Callable[[str], None],
    ) -> Connection:
        """Connect, resolve and subscribe.

        on_lost is called, with the reason, when the line breaks later.  Raises FAULTS,
        ServerRefusedError and NodesRefusedError; nothing stays open then.
        """
        client = endpoint.client()

        async def lost(error: Exception) -> None:
            on_lost(f"{type(error).__name__}: {error}")

        client.connection_lost_callback = lost
        connection = cls(client, wanted, image)
        ready = False
        try:
            async with time_limit(endpoint.connect_timeout_s):
                connection.certificate = await endpoint.connect(client)
                await connection._prepare()
            ready = True
        finally:
            if not ready:
                await connection.close()
        return connection

    async def _prepare(self) -> None:
        book = await resolve(self._client, self._wanted.references, self._wanted.methods)
        if book.missing:
            raise MissingNodesError(book.missing)
        self._book = book
        self._types = await value_types(
            self._client, {key: book.nodes[key] for key in self._wanted.written}
        )
        unfit = [
            f"{key} = {self._wanted.references[key].text!r}: type {self._types[key].name}"
            for key in self._wanted.targets
            if self._types[key] not in ANALOG
        ]
        if unfit:
            raise WrongTypesError("\n".join(unfit))
        self._read_parameters = ua.ReadParameters(
            MaxAge=0,
            TimestampsToReturn=ua.TimestampsToReturn.Source,
            NodesToRead=[
                ua.ReadValueId(NodeId=book.nodes[key], AttributeId=ua.AttributeIds.Value)
                for key in self._wanted.read
            ],
        )
        await self._subscribe()

    async def _subscribe(self) -> None:
        """One subscription for the whole image; notifications need no task each."""
        session = self._client.uaclient.session
        period_ms = self._wanted.publishing_s * 1000.0
        keepalives = max(1, round(KEEPALIVE_S * 1000.0 / period_ms))
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
        revised_s = created.RevisedPublishingInterval * created.RevisedMaxKeepAliveCount / 1000.0
        self._silent_s = max(SILENT_S, SILENT_KEEPALIVES * revised_s)
        items = [
            ua.MonitoredItemCreateRequest(
                ItemToMonitor=read,
                MonitoringMode=ua.MonitoringMode.Reporting,
                RequestedParameters=ua.MonitoringParameters(
                    ClientHandle=handle, SamplingInterval=period_ms, QueueSize=1, DiscardOldest=True
                ),
            )
            for handle, read in enumerate(self._read_parameters.NodesToRead)
        ]
        await session.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=created.SubscriptionId,
                TimestampsToReturn=ua.TimestampsToReturn.Source,
                ItemsToCreate=items,
            )
        )

    def _published(self, result: ua.PublishResult) -> None:
        now = self._published_s = monotonic()
        for notification in result.NotificationMessage.NotificationData or ():
            if isinstance(notification, ua.DataChangeNotification):
                for item in notification.MonitoredItems:
                    key = self._wanted.read[item.ClientHandle]
                    self._image.notified(key, item.Value, now)

    @property
    def silent(self) -> bool:
        """True when the subscription has sent nothing, not even a keep-alive, for too long."""
        return monotonic() - self._published_s > self._silent_s

    async def read(self) -> None:
        """Read the whole image in one request."""
        values = await self._client.uaclient.session.read(self._read_parameters)
        now = monotonic()
        for key, value in zip(self._wanted.read, values, strict=True):
            self._image.polled(key, value, now)

    def has(self, key: str) -> bool:
        """Return True when this tag is among the written ones."""
        return key in self._types

    def kind(self, key: str) -> ua.VariantType:
        """Return the type of a written tag's node."""
        return self._types[key]

    def offers(self, key: str) -> bool:
        """Return True when this method is configured and was found."""
        return key in self._book.methods

    async def write(self, values: Mapping[str, Any]) -> dict[str, str | None]:
        """Write all values in one request; key -> None if accepted, else the status name.

        The value goes alone: servers that take no time stamps, or no status, not even Good, answer
        BadWriteNotSupported.  Raises FAULTS, of them ValueError when a value does not fit its
        node's type.
        """
        statuses = await self._client.uaclient.session.write_attributes(
            [self._book.nodes[key] for key in values],
            [
                ua.DataValue(encode(value, self._types[key]), StatusCode=None)
                for key, value in values.items()
            ],
        )
        return {
            key: None if status.is_good() else status.name
            for key, status in zip(values, statuses, strict=True)
        }

    async def call(self, key: str, *arguments: ua.Variant) -> list[Any]:
        """Call one method; return the values of its output arguments."""
        target, method = self._book.methods[key]
        request = ua.CallMethodRequest(
            ObjectId=target, MethodId=method, InputArguments=list(arguments)
        )
        (result,) = await self._client.uaclient.session.call([request])
        result.StatusCode.check()
        return [output.Value for output in result.OutputArguments or ()]

    async def close(self) -> None:
        """Close session, channel and socket; never raises and never waits long."""
        try:
            async with time_limit(_CLOSE_S):
                await self._client.disconnect()
        except FAULTS:
            with contextlib.suppress(*FAULTS):
                self._client.disconnect_socket()
        await asyncio.sleep(0)
