"""What a client's session may do: every write and call judged one by one, by role, type and range.

asyncua accepts NaN, out-of-range values and arrays, and an attribute setter that raises faults a
whole Write after earlier items were applied. So the session itself is replaced: each item of a
Write or a Call gets its own status code and the others go on. What holds for every client alike
(own subscriptions only, limits) is in `guarded_session.py`, what holds for all of them together in
`internal_server.py`; tokens cannot be guessed.
"""

import secrets
import time
from collections.abc import Sequence
from math import inf
from typing import Any, Protocol

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User
from asyncua.crypto.uacrypto import der_from_x509, x509_from_der

from plant_sim.opcua import limits
from plant_sim.opcua.address_space import AddressSpace
from plant_sim.opcua.checks import check_variant, check_write
from plant_sim.opcua.conditions import Conditions
from plant_sim.opcua.continuation import ContinuationPoints
from plant_sim.opcua.diagnostics import Counts
from plant_sim.opcua.guarded_session import GuardedSession
from plant_sim.opcua.history_read import Span, read_history
from plant_sim.opcua.history_recorder import HistoryRecorder
from plant_sim.opcua.node_items import access_level
from plant_sim.opcua.pki import application_uris
from plant_sim.opcua.users import PlantUser
from plant_sim.unit.reactor_unit import Refusal
from plant_sim.unit.tags import Method, Role, Tag
from plant_sim.unit.writes import Value

GOOD = ua.StatusCode(ua.StatusCodes.Good)

Outcome = Refusal | tuple[ua.Variant, ...]
"""Of a method: refused, or its output arguments."""


class Desk(Protocol):
    """The server behind the sessions."""

    nodes: AddressSpace
    conditions: Conditions
    history: HistoryRecorder

    def write(self, tag: Tag, value: Value, session: str) -> Refusal | None:
        """Let a checked value take effect."""

    def call(self, method: Method, arguments: Sequence[Value], session: str, role: Role) -> Outcome:
        """Run a method with checked arguments."""

    def session_closed(self, session: str) -> None:
        """Hear that a session has ended."""

    async def show(self) -> None:
        """Settle the unit and publish what changed."""


class Core(Protocol):
    """asyncua's server core, as far as the sessions of clients use it."""

    desk: Desk
    counts: Counts
    encrypted: bool

    def register_external_session(self, session: Any) -> None:
        """Know a session by its token."""

    def unregister_external_session(self, session: Any) -> None:
        """Forget a session."""

    def too_many_sessions_of(self, token: Any) -> bool:
        """Whether the user that this identity token names has all the sessions it may have."""


class PlantSession(GuardedSession):
    """One client's session."""

    iserver: Core
    user: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.iserver.unregister_external_session(self)
        self.made_s = time.monotonic()
        self.auth_token = ua.NodeId(secrets.token_bytes(32), 0, ua.NodeIdType.ByteString)
        self.iserver.register_external_session(self)
        self._certificate = b""
        self._history_points = ContinuationPoints[Span](limits.MAX_CONTINUATION_POINTS)

    @property
    def key(self) -> str:
        """What the hand-shake knows this session by."""
        return str(self.session_id.to_string())

    @property
    def plant_role(self) -> Role:
        """Role of the user; only an activated session gets far enough to be asked."""
        return self.user.plant_role if isinstance(self.user, PlantUser) else Role.OBSERVER

    async def create_session(
        self, params: ua.CreateSessionParameters, sockname: Any = None
    ) -> ua.CreateSessionResult:
        """Create; the certificate that the client shows must name the application it says it is."""
        if self.iserver.encrypted:
            certificate = x509_from_der(params.ClientCertificate)
            if certificate is None:
                raise ServiceError(ua.StatusCodes.BadCertificateInvalid)
            if params.ClientDescription.ApplicationUri not in application_uris(certificate):
                raise ServiceError(ua.StatusCodes.BadCertificateUriInvalid)
            self._certificate = der_from_x509(certificate)
        return await super().create_session(params, sockname)

    def activate_session(
        self, params: ua.ActivateSessionParameters, peer_certificate: bytes | None
    ) -> ua.ActivateSessionResult:
        """Activate, also again on a new connection, but for the same client and user only."""
        if self.iserver.encrypted and self._certificate != peer_certificate:
            raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        before = self.user if self.is_activated() else None
        if before is None and self.iserver.too_many_sessions_of(params.UserIdentityToken):
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        result = super().activate_session(params, peer_certificate)
        if before is None:
            self.iserver.counts.CumulatedSessionCount += 1
        elif before.name != self.user.name:
            self.user = before
            raise ServiceError(ua.StatusCodes.BadIdentityChangeNotSupported)
        return result

    async def close_session(self, delete_subs: bool = True) -> None:  # noqa: FBT001, FBT002
        """Close, and with the session its lease."""
        idle_s = time.monotonic() - self._last_activity
        if self.is_activated() and idle_s >= (self.session_timeout or inf):
            self.iserver.counts.SessionTimeoutCount += 1
        await super().close_session(delete_subs)
        self.iserver.desk.session_closed(self.key)

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        """Read; what this user may do to a node is answered for this user."""
        results: list[ua.DataValue] = await super().read(params)
        for place, item in enumerate(params.NodesToRead):
            if item.AttributeId == ua.AttributeIds.UserAccessLevel:
                tag = self.iserver.desk.nodes.tags.get(item.NodeId)
                if tag is not None:
                    mine = access_level(tag, may_write=tag.writer is self.plant_role)
                    results[place] = ua.DataValue(ua.Variant(mine, ua.VariantType.Byte))
            elif item.AttributeId == ua.AttributeIds.UserExecutable:
                method = self.iserver.desk.nodes.methods.get(item.NodeId)
                if method is not None:
                    results[place] = ua.DataValue(self.plant_role in method.callers)
        return results

    async def history_read(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        """Read history; everybody reads the history of what everybody reads."""
        desk = self.iserver.desk
        return await read_history(
            params, desk.nodes.tags, self.aspace, desk.history, self._history_points
        )

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        """Write item by item; a refused item leaves the others alone."""
        limits.refuse_too_many(params.NodesToWrite)
        results = [self._write(item) for item in params.NodesToWrite]
        await self.iserver.desk.show()
        return results

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Call item by item; methods that are not the plant's go to the base server."""
        limits.refuse_too_many(params)
        results = []
        for request in params:
            method = self.iserver.desk.nodes.methods.get(request.MethodId)
            if method is not None:
                results.append(self._call(method, request))
                continue
            result = await self.iserver.desk.conditions.call(request, self, self.plant_role)
            results += await super().call([request]) if result is None else [result]
        await self.iserver.desk.show()
        return results

    def _write(self, item: ua.WriteValue) -> ua.StatusCode:
        desk = self.iserver.desk
        tag = desk.nodes.tags.get(item.NodeId)
        if tag is None:
            known = item.NodeId in self.aspace
            return _status(Refusal.ACCESS_DENIED) if known else _unknown()
        checked = check_write(tag, self.plant_role, item)
        if isinstance(checked, Refusal):
            return _status(checked)
        refusal = desk.write(tag, checked, self.key)
        return GOOD if refusal is None else _status(refusal)

    def _call(self, method: Method, request: ua.CallMethodRequest) -> ua.CallMethodResult:
        desk = self.iserver.desk
        given = request.InputArguments or []
        fault = self._call_fault(method, request.ObjectId, request.MethodId, len(given))
        if fault is not None:
            return _result(fault)
        checked = [check_variant(*pair) for pair in zip(method.inputs, given, strict=True)]
        values = [value for value in checked if not isinstance(value, Refusal)]
        if len(values) < len(checked):
            codes = [_status(c) if isinstance(c, Refusal) else GOOD for c in checked]
            return _result(ua.StatusCodes.BadInvalidArgument, inputs=codes)
        outcome = desk.call(method, values, self.key, self.plant_role)
        if isinstance(outcome, Refusal):
            return _result(_status(outcome).value)
        return _result(ua.StatusCodes.Good, inputs=[GOOD] * len(given), outputs=list(outcome))

    def _call_fault(
        self, method: Method, object_id: ua.NodeId, method_id: ua.NodeId, given: int
    ) -> int | None:
        """Status code of a call that is wrong as a whole."""
        codes = ua.StatusCodes
        checks = (
            (
                object_id != self.iserver.desk.nodes.method_objects[method_id],
                codes.BadMethodInvalid,
            ),
            (self.plant_role not in method.callers, codes.BadUserAccessDenied),
            (given < len(method.inputs), codes.BadArgumentsMissing),
            (given > len(method.inputs), codes.BadTooManyArguments),
        )
        return next((code for wrong, code in checks if wrong), None)


def _status(refusal: Refusal) -> ua.StatusCode:
    return ua.StatusCode(getattr(ua.StatusCodes, refusal.value))


def _unknown() -> ua.StatusCode:
    return ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)


def _result(
    code: int,
    inputs: list[ua.StatusCode] | None = None,
    outputs: list[ua.Variant] | None = None,
) -> ua.CallMethodResult:
    return ua.CallMethodResult(
        StatusCode=ua.StatusCode(code),
        InputArgumentResults=inputs or [],
        OutputArguments=outputs or [],
    )
