"""One session with one OPC UA server, from connect to close.

A lost session is never repaired: the link closes it and opens another, because namespace indices,
node ids and subscriptions may all have changed.  The methods raise `FAULTS`; the link turns them
into values.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import struct
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from asyncua import Client, ua
from asyncua.crypto import uacrypto
from cryptography.exceptions import InvalidSignature

from controller.opcua.nodes import AddressBook, resolve, value_types
from controller.opcua.subscribing import SILENT_S, subscribe, watch_values
from controller.opcua.targets import ANALOG, LARGEST_SINGLE
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cryptography import x509

    from controller.configuration.references import MethodRef, NodeRef
    from controller.opcua.image import ProcessImage
    from controller.opcua.nodes import Missing
    from controller.opcua.security import ClientSecurity

FAULTS = (
    OSError,
    TimeoutError,
    ua.UaError,
    LookupError,
    TypeError,
    ValueError,
    struct.error,
    InvalidSignature,
    uacrypto.InvalidSignature,
)
"""What a broken line, a refusing server or a malformed answer raises in asyncua."""

SESSION_TIMEOUT_S = 30.0
"""How long a server keeps a session that says nothing; short, so that a crash frees the lease."""

PROBE_S = 1.0
"""How often asyncua reads the server's state to notice a dead line."""

_CLOSE_S = 2.0

MISSING_NODES, WRONG_TYPES = "missing nodes", "wrong types"


class NodesRefusedError(Exception):
    """Nodes of the server do not serve what tags.toml wants of them; the message names them."""

    status: ClassVar[str]


class MissingNodesError(NodesRefusedError):
    """References of tags.toml that the server does not have."""

    status = MISSING_NODES

    def __init__(self, missing: tuple[Missing, ...]) -> None:
        self.missing = missing
        lines = [f"{item.key} = {item.reference!r}: {item.detail}" for item in missing]
        super().__init__("\n".join(lines))


class WrongTypesError(NodesRefusedError):
    """Targets of tags.toml whose nodes hold no fraction: an integer or a Boolean would cut it."""

    status = WRONG_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect, as whom, and how long it may take.  password is never shown.

    security: certificates; None sends everything in clear.
    """

    url: str
    user: str | None
    password: str | None = field(repr=False)
    connect_timeout_s: float
    security: ClientSecurity | None = None

    def client(self) -> Client:
        """Return a client that is not connected yet."""
        client = Client(self.url, timeout=self.connect_timeout_s, watchdog_intervall=PROBE_S)
        client.name = client.description = "trimtab"
        client.application_uri = "urn:trimtab:controller"
        client.session_timeout = int(SESSION_TIMEOUT_S * 1000)
        if self.user is not None:
            client.set_user(self.user)
            client.set_password(self.password or "")
        return client

    async def connect(self, client: Client) -> x509.Certificate | None:
        """Connect a client of this endpoint; return the server's certificate, None in clear.

        Raises FAULTS, and ServerRefusedError for a server that is not trusted.
        """
        certificate = None if self.security is None else await self.security.secure(client)
        await client.connect()
        return certificate


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
        """One subscription for the whole image."""
        session, period_s = self._client.uaclient.session, self._wanted.publishing_s
        made = await subscribe(session, period_s, self._published)
        self._silent_s = made.silent_s
        await watch_values(session, made, self._read_parameters.NodesToRead, period_s)

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

        No time stamps are sent: servers that do not accept them answer BadWriteNotSupported.
        Raises FAULTS, of them ValueError when a value does not fit its node's type.
        """
        statuses = await self._client.uaclient.session.write_attributes(
            [self._book.nodes[key] for key in values],
            [ua.DataValue(encode(value, self._types[key])) for key, value in values.items()],
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
        await hang_up(self._client)


async def hang_up(client: Client) -> None:
    """Close session, channel and socket of a client; never raises and never waits long."""
    try:
        async with time_limit(_CLOSE_S):
            await client.disconnect()
    except FAULTS:
        with contextlib.suppress(*FAULTS):
            client.disconnect_socket()
    await asyncio.sleep(0)


def encode(value: float | str, kind: ua.VariantType) -> ua.Variant:
    """Return the value as the type of its node; an integer node takes it rounded.

    Raises ValueError for a value that the type cannot hold: nothing wraps, nothing is cut.
    """
    if isinstance(value, str):
        return _encode_text(value, kind)
    match kind:
        case ua.VariantType.Boolean if value in (0, 1):
            return ua.Variant(bool(value), kind)
        case ua.VariantType.Double:
            return ua.Variant(float(value), kind)
        case ua.VariantType.Float if not LARGEST_SINGLE < abs(value) < math.inf:
            return ua.Variant(float(value), kind)
        case _ if kind in _INTEGERS and math.isfinite(value):
            low, high = _INTEGERS[kind]
            if low <= round(value) <= high:
                return ua.Variant(round(value), kind)
    raise ValueError(f"a node of type {kind.name} cannot hold {value!r}")


def _encode_text(value: str, kind: ua.VariantType) -> ua.Variant:
    if kind is ua.VariantType.String:
        return ua.Variant(value, kind)
    if kind is ua.VariantType.LocalizedText:
        return ua.Variant(ua.LocalizedText(value), kind)
    raise ValueError(f"a node of type {kind.name} cannot hold {value!r}")


def wrapped(count: int, kind: ua.VariantType) -> int:
    """A running count in the type of its node: it starts anew at 0 where the type ends."""
    return count % (1 << _COUNTER_BITS.get(kind, 63))


_INTEGERS = {
    ua.VariantType.SByte: (-(1 << 7), (1 << 7) - 1),
    ua.VariantType.Byte: (0, (1 << 8) - 1),
    ua.VariantType.Int16: (-(1 << 15), (1 << 15) - 1),
    ua.VariantType.UInt16: (0, (1 << 16) - 1),
    ua.VariantType.Int32: (-(1 << 31), (1 << 31) - 1),
    ua.VariantType.UInt32: (0, (1 << 32) - 1),
    ua.VariantType.Int64: (-(1 << 63), (1 << 63) - 1),
    ua.VariantType.UInt64: (0, (1 << 64) - 1),
}
_COUNTER_BITS = {kind: high.bit_length() for kind, (_, high) in _INTEGERS.items()} | {
    ua.VariantType.Boolean: 1,
    ua.VariantType.Float: 24,
    ua.VariantType.Double: 53,
}
"""Bits that a heartbeat counter may use; a float counts in ones as far as its mantissa goes."""
