"""An operator's own session on one plant: what it may do is what the plant permits its user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.hmi.alarm_events import ACKNOWLEDGE_METHOD
from controller.hmi.placeless import placeless
from controller.opcua.encoding import encode
from controller.opcua.endpoint import FAULTS, hang_up
from controller.opcua.nodes import resolve, value_types
from controller.opcua.operation_limits import operation_limits
from controller.opcua.requests import SESSION_LOST, detail_of, status_of
from controller.opcua.security import ServerRefusedError
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from asyncua import Client

    from controller.hmi.fleet import Unit
    from controller.opcua.nodes import AddressBook

REQUEST_S = 5.0
"""Time allowed to a write or a call of an operator."""

SELECTOR = "handshake.mode"
ACKNOWLEDGE_SHED = "handshake.acknowledge"
MODE, SETPOINT, ACKNOWLEDGE, SHED = "mode", "setpoint", "acknowledge", "acknowledge_shed"
"""What a user may be permitted."""

WRONG_LOGIN = frozenset(
    {
        "BadUserAccessDenied",
        "BadIdentityTokenRejected",
        "BadIdentityTokenInvalid",
        "BadUserSignatureInvalid",
        "BadLicenseNotAvailable",
    }
)
"""Statuses with which a server answers a wrong name or password."""

_WORDS = {
    "BadUserAccessDenied": "the plant does not permit that to this user",
    "BadNotWritable": "the plant lets nobody write that",
    "BadOutOfRange": "the plant takes no such value: it is out of range",
    "BadTypeMismatch": "the plant takes no value of this type",
    "BadNotExecutable": "the plant lets nobody do that now",
    "BadConditionBranchAlreadyAcked": "the alarm was acknowledged already",
    "BadEventIdUnknown": "the alarm was raised anew meanwhile: look at it again",
    "BadNodeIdUnknown": "the plant does not know that any more",
    "BadInvalidArgument": "the plant does not take these words",
    "BadTooManySessions": "the plant has too many sessions of this user",
    "timeout": "the plant did not answer in time",
}


class PlantSaysNoError(Exception):
    """The plant refused, or did not answer; the message says so in words."""

    def __init__(self, status: str, detail: str) -> None:
        self.status = status
        super().__init__(detail)


class OperatorLine:
    """One open session.  lost: it has ended, and only a new login helps."""

    def __init__(self, unit: Unit, client: Client) -> None:
        self.unit = unit
        self.lost = False
        self.grants: frozenset[str] = frozenset()
        self._client = client
        self._book: AddressBook | None = None
        self._types: dict[str, ua.VariantType] = {}

    @classmethod
    async def open(cls, unit: Unit, user: str, password: str) -> OperatorLine:
        """Log in.  Raises PlantSaysNoError; nothing stays open then."""
        endpoint = unit.endpoint(user, password)
        client = endpoint.client()
        line = cls(unit, client)

        async def lost(error: Exception) -> None:  # noqa: ARG001 - whatever it was
            line.lost = True

        client.connection_lost_callback = lost
        ready = False
        try:
            async with time_limit(endpoint.connect_timeout_s):
                await endpoint.connect(client)
                client.set_password("")  # nothing logs in again: do not keep it
                await line._learn()
            ready = True
        except ServerRefusedError as error:
            trusted = None if unit.security is None else unit.security.trusted
            raise PlantSaysNoError(error.status, placeless(str(error), trusted)) from None
        except FAULTS as error:
            raise PlantSaysNoError(status_of(error), said(error)) from None
        finally:
            if not ready:
                await hang_up(client)
        return line

    async def _learn(self) -> None:
        """Find what is written and called, and what this user is permitted of it."""
        unit = self.unit
        wanted = [SELECTOR, *(cv.sp.key for cv in unit.binding.cvs)]
        references = unit.tags.references()
        limits = await operation_limits(self._client)
        self._book = await resolve(
            self._client,
            {key: references[key] for key in wanted if key in references},
            unit.tags.operator_methods(),
            limits,
        )
        nodes = dict(self._book.nodes)
        self._types = await value_types(self._client, nodes, limits)
        levels = await self._read(list(nodes.values()), ua.AttributeIds.UserAccessLevel)
        grants = {
            MODE if key == SELECTOR else f"{SETPOINT}/{key}"
            for key, level in zip(nodes, levels, strict=True)
            if isinstance(level, int) and level & ua.AccessLevel.CurrentWrite.mask
        }
        methods = [ACKNOWLEDGE_METHOD, *(method for _, method in self._book.methods.values())]
        alarms, *sheds = await self._read(methods, ua.AttributeIds.UserExecutable)
        if alarms is not False:  # a server that does not tell is asked by trying
            grants.add(ACKNOWLEDGE)
        if any(sheds):
            grants.add(SHED)
        self.grants = frozenset(grants)

    async def _read(self, nodes: list[ua.NodeId], attribute: ua.AttributeIds) -> list[Any]:
        if not nodes:
            return []
        answers = await self._client.uaclient.read_attributes(nodes, attribute)
        return [None if answer.Value is None else answer.Value.Value for answer in answers]

    def may_set(self, key: str) -> bool:
        """Whether the plant lets this user write this setpoint."""
        return f"{SETPOINT}/{key}" in self.grants

    @property
    def permits(self) -> list[str]:
        """What the plant permits: mode, setpoint, acknowledge, acknowledge_shed."""
        return sorted({grant.partition("/")[0] for grant in self.grants})

    async def write(self, key: str, value: float | str) -> None:
        """Write one tag, in the server's unit.  Raises PlantSaysNoError."""
        if self._book is None or key not in self._book.nodes:
            raise PlantSaysNoError("BadNodeIdUnknown", f"the plant has no {key}")
        try:
            data = ua.DataValue(encode(value, self._types[key]), StatusCode=None)
            async with time_limit(REQUEST_S):
                (status,) = await self._client.uaclient.session.write_attributes(
                    [self._book.nodes[key]], [data]
                )
            status.check()
        except FAULTS as error:
            raise self._refusal(error) from None

    async def acknowledge_shed(self) -> None:
        """Call the configured method.  Raises PlantSaysNoError."""
        if self._book is None or ACKNOWLEDGE_SHED not in self._book.methods:
            raise PlantSaysNoError("BadNodeIdUnknown", f"the plant has no {ACKNOWLEDGE_SHED}")
        target, method = self._book.methods[ACKNOWLEDGE_SHED]
        await self.call(ua.CallMethodRequest(ObjectId=target, MethodId=method, InputArguments=[]))

    async def call(self, request: ua.CallMethodRequest) -> None:
        """Call a method.  Raises PlantSaysNoError."""
        try:
            async with time_limit(REQUEST_S):
                (result,) = await self._client.uaclient.session.call([request])
            result.StatusCode.check()
        except FAULTS as error:
            raise self._refusal(error) from None

    async def close(self) -> None:
        """End the session."""
        self.lost = True
        await hang_up(self._client)

    def _refusal(self, error: BaseException) -> PlantSaysNoError:
        status = status_of(error)
        if status in SESSION_LOST:
            self.lost = True
            return PlantSaysNoError(status, "the session on the plant has ended: log in again")
        return PlantSaysNoError(status, said(error))


def said(error: BaseException) -> str:
    """What a server's refusal means, and its own word for it."""
    status = status_of(error)
    words = _WORDS.get(status)
    return placeless(detail_of(error)) if words is None else f"{words} ({status})"
