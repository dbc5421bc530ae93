"""What is done with the messages of one connection: who may ask for what before and after a login.

asyncua serves requests on a channel that was never opened or a session that nobody logged into,
lets policy None pass where it is not offered, and goes on after a frame that it could not check.
Here a connection that breaks the protocol ends, with the reason.
"""

import time
from typing import Any

import structlog
from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary, uatcp_to_binary

from plant_sim.opcua import limits

_log = structlog.get_logger("plant_sim.opcua.transport")


def _types(*names: str) -> frozenset[ua.NodeId]:
    return frozenset(
        ua.NodeId(getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary")) for name in names
    )


DISCOVERY = _types("GetEndpoints", "FindServers", "CloseSecureChannel")
"""Requests that a client may make in clear, to learn how to make the others."""
BEFORE_LOGIN = DISCOVERY | _types(
    "CreateSession", "ActivateSession", "CloseSession", "RegisterServer", "RegisterServer2"
)

_OF_SESSIONS = _types("CreateSession", "ActivateSession")
_OF_ONE_SESSION = _types("ActivateSession", "CloseSession")
(_CREATE,) = _types("CreateSession")
(_ACTIVATE,) = _types("ActivateSession")
(_BROWSE_NEXT,) = _types("BrowseNext")


class ConnectionLimits(TransportLimits):
    """What a connection agrees on with its client, who cannot talk it into anything."""

    def create_acknowledge_and_set_limits(self, msg: ua.Hello) -> ua.Acknowledge:
        """Answer a Hello; raises ServiceError for buffers that OPC 10000-6 (7.1.2.3) rules out.

        Every chunk is signed and encrypted by itself: an answer in chunks of one byte takes the
        server thousands of times as long.
        """
        if min(msg.ReceiveBufferSize, msg.SendBufferSize) < limits.SMALLEST_BUFFER:
            raise ServiceError(ua.StatusCodes.BadTcpInternalError)
        return super().create_acknowledge_and_set_limits(msg)

    def update_client_limits(self, msg: ua.Acknowledge) -> None:  # noqa: ARG002
        """Refuse what only a server may send: a client would set the server's limits with it."""
        raise ServiceError(ua.StatusCodes.BadTcpMessageTypeInvalid)


class Processor(UaProcessor):
    """asyncua's processor of one connection, which trusts a connection with nothing."""

    session: Any
    _session_watchdog_task: Any

    async def process(self, header: Any, body: Any) -> bool:
        """Process one chunk; False ends the connection."""
        if header.MessageType in _ON_A_CHANNEL and not self._connection.is_open():
            self._end(ua.StatusCodes.BadSecureChannelIdInvalid, "no channel")
            return False
        if header.ChunkType != ua.ChunkType.Single and not self.logged_in:
            self._end(ua.StatusCodes.BadRequestTooLarge, "parts of a message before a login")
            return False
        try:
            return bool(await super().process(header, body))
        except Exception as error:  # noqa: BLE001  (whatever a stranger's bytes may raise)
            code = getattr(error, "code", None) or ua.StatusCodes.BadSecurityChecksFailed
            self._end(code, type(error).__name__)
            return False

    @property
    def logged_in(self) -> bool:
        """Whether a user is behind this connection."""
        return self.session is not None and self.session.is_activated()

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        try:
            return await self._answer(typeid, requesthdr, seqhdr, body)
        except (ServiceError, ua.UaStatusCodeError) as error:
            self.iserver.counts.refuse(error.code, session=typeid in _OF_SESSIONS)
            raise

    async def _answer(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        clear = self._connection.security_policy.Mode == ua.MessageSecurityMode.None_
        if clear and self.iserver.encrypted and typeid not in DISCOVERY:
            raise ServiceError(ua.StatusCodes.BadSecurityModeInsufficient)
        if typeid not in BEFORE_LOGIN and not self.logged_in:
            raise ServiceError(ua.StatusCodes.BadSessionNotActivated)
        own = self.session is None or requesthdr.AuthenticationToken == self.session.auth_token
        if not own and (typeid not in BEFORE_LOGIN or typeid in _OF_ONE_SESSION):
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        if typeid == _CREATE:
            self._forget_watchdog()  # asyncua would keep one for every session that was made here
        if typeid == _ACTIVATE and self.session is None:
            return await self._rejoin(typeid, requesthdr, seqhdr, body)
        if typeid == _BROWSE_NEXT:  # asyncua does not know it
            params = struct_from_binary(ua.BrowseNextParameters, body)
            response = ua.BrowseNextResponse()
            response.Parameters.Results = await self.session.browse_next(params)
            self.session.touch()
            self.session_last_activity = time.monotonic()
            self.send_response(requesthdr.RequestHandle, seqhdr, response)
            return True
        return await super()._process_message(typeid, requesthdr, seqhdr, body)

    async def _rejoin(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        """Activate, on a new connection, a session that was made on another.

        asyncua binds the session and its subscriptions to this connection before it asks who is
        there; whoever is refused would stay bound, logged in as the session's user.
        """
        present = self.iserver.subscription_service.subscriptions.values()
        before = [(one, one.pub_result_callback, one.pub_request_callback) for one in present]
        try:
            return await super()._process_message(typeid, requesthdr, seqhdr, body)
        except Exception:
            for one, result_callback, request_callback in before:
                one.pub_result_callback = result_callback
                one.pub_request_callback = request_callback
            self._forget_watchdog()
            self.session = None
            raise

    def _forget_watchdog(self) -> None:
        """End the task that waits for the session to fall silent; the session does so itself."""
        if self._session_watchdog_task is not None:
            self._session_watchdog_task.cancel()
            self._session_watchdog_task = None

    async def close(self) -> None:
        """End the connection; a session that is lost with it was aborted, not closed."""
        lost = self.session if self.logged_in and not self._closing else None
        timeouts = self.iserver.counts.SessionTimeoutCount
        await super().close()
        if lost is not None and not lost.is_activated():
            timed_out = self.iserver.counts.SessionTimeoutCount > timeouts
            self.iserver.counts.SessionAbortCount += not timed_out

    def send_response(self, *arguments: Any, **keywords: Any) -> None:
        """Send; a client that asks and does not read is let go of."""
        super().send_response(*arguments, **keywords)
        if self._transport.get_write_buffer_size() > limits.UNREAD_BYTES:
            _log.warning("connection ended", peer=str(self.name), reason="answers are not read")
            self._transport.abort()

    def _end(self, code: int, reason: str) -> None:
        status = ua.StatusCode(code)
        _log.warning("connection ended", peer=str(self.name), status=status.name, reason=reason)
        message = ua.ErrorMessage(status, "")
        self._transport.write(uatcp_to_binary(ua.MessageType.Error, message))


_ON_A_CHANNEL = (ua.MessageType.SecureMessage, ua.MessageType.SecureClose)
