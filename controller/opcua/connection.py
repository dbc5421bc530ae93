"""One session with one OPC UA server, from connect to close.

A lost session is never repaired: the link closes it and opens another, because namespace indices,
node ids and subscriptions may all have changed.  The methods raise `FAULTS`; the link turns them
into values.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.opcua.alarm_watch import AlarmWatch
from controller.opcua.encoding import encode
from controller.opcua.endpoint import ABANDON_S, CLOSE_S, hang_up
from controller.opcua.image import SERVER_TIME
from controller.opcua.nodes import (
    CURRENT_TIME,
    AddressBook,
    MissingNodesError,
    WrongTypesError,
    resolve,
    value_types,
)
from controller.opcua.operation_limits import OperationLimits, chunks, operation_limits
from controller.opcua.requests import SESSION_LOST, status_of
from controller.opcua.subscription import Subscription
from controller.opcua.targets import ANALOG
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncua import Client
    from cryptography import x509

    from controller.configuration.references import MethodRef, NodeRef
    from controller.opcua.endpoint import Endpoint
    from controller.opcua.image import ProcessImage


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
        self._limits = OperationLimits()
        self._reads: list[tuple[list[str], ua.ReadParameters]] = []
        self._subscription = Subscription(wanted.read, image)
        self._alarms: AlarmWatch | None = None
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
                await connection.close(ABANDON_S)
        return connection

    async def _prepare(self) -> None:
        wanted = self._wanted
        limits = self._limits = await operation_limits(self._client)
        book = await resolve(self._client, wanted.references, wanted.methods, limits)
        if book.missing:
            raise MissingNodesError(book.missing)
        self._book = book
        written = {key: book.nodes[key] for key in wanted.written}
        self._types = await value_types(self._client, written, limits)
        unfit = [
            f"{key} = {wanted.references[key].text!r}: type {self._types[key].name}"
            for key in wanted.targets
            if self._types[key] not in ANALOG
        ]
        if unfit:
            raise WrongTypesError("\n".join(unfit))
        polled = {key: book.nodes[key] for key in wanted.read} | {SERVER_TIME: CURRENT_TIME}
        self._reads = [
            (keys, _values_of([polled[key] for key in keys]))
            for keys in chunks(polled, limits.read)
        ]
        await self._subscription.open(
            self._client,
            [book.nodes[key] for key in wanted.read],
            publishing_s=wanted.publishing_s,
            items_per_call=limits.monitor,
        )

    async def alarms(self) -> Mapping[tuple[str, str], int] | None:
        """(priority, state) -> how many alarms stand; None while not known.  Raises nothing."""
        if self._alarms is None:
            self._alarms = AlarmWatch(self._client.uaclient.session)
        return await self._alarms.counts()

    @property
    def silent(self) -> bool:
        """True when the subscription has sent nothing, not even a keep-alive, for too long."""
        return self._subscription.silent

    async def read(self) -> None:
        """Read the whole image, in one request unless the server limits its requests."""
        for keys, parameters in self._reads:
            values = await self._client.uaclient.session.read(parameters)
            now = monotonic()
            for key, value in zip(keys, values, strict=True):
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
        """Write all values; key -> None if accepted, else the status name.

        One request, unless the server limits its requests: then several, in the order given, and
        the first that fails as a whole ends it.  Where the server refuses a later one, its status
        stands for all that was not written: what was accepted before stays in force.

        The value goes alone: servers that take no time stamps, or no status, not even Good, answer
        BadWriteNotSupported.  Raises FAULTS, of them ValueError, before anything is sent, when a
        value does not fit its node's type.
        """
        ready = {
            key: ua.DataValue(encode(value, self._types[key]), StatusCode=None)
            for key, value in values.items()
        }
        answers: dict[str, str | None] = {}
        for keys in chunks(ready, self._limits.write):
            try:
                statuses = await self._client.uaclient.session.write_attributes(
                    [self._book.nodes[key] for key in keys], [ready[key] for key in keys]
                )
            except ua.UaStatusCodeError as fault:
                refusal = status_of(fault)
                if not answers or refusal in SESSION_LOST:
                    raise
                return answers | dict.fromkeys(
                    [key for key in ready if key not in answers], refusal
                )
            for key, status in zip(keys, statuses, strict=True):
                answers[key] = None if status.is_good() else status.name
        return answers

    async def call(self, key: str, *arguments: ua.Variant) -> list[Any]:
        """Call one method; return the values of its output arguments."""
        target, method = self._book.methods[key]
        request = ua.CallMethodRequest(
            ObjectId=target, MethodId=method, InputArguments=list(arguments)
        )
        (result,) = await self._client.uaclient.session.call([request])
        result.StatusCode.check()
        return [output.Value for output in result.OutputArguments or ()]

    async def close(self, limit_s: float = CLOSE_S) -> None:
        """Close session, channel and socket; never raises and never waits longer than `limit_s`."""
        await hang_up(self._client, limit_s)


def _values_of(nodes: Sequence[ua.NodeId]) -> ua.ReadParameters:
    """One request for the values of these nodes."""
    return ua.ReadParameters(
        MaxAge=0,
        TimestampsToReturn=ua.TimestampsToReturn.Source,
        NodesToRead=[
            ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for node in nodes
        ],
    )
