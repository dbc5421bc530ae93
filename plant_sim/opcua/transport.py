"""The listening side below the sessions: bounded buffers, closed channels, no clear text.

asyncua buffers whatever length a frame announces, serves requests on a channel that was never
opened or a session that nobody logged into, lets policy None pass where it is not offered, and goes
on after a frame that it could not check. Here a connection that breaks the protocol ends, with the
reason, and what it may keep in memory is bounded in both directions.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from asyncua import Server, ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer, NotEnoughData, ServiceError
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import header_from_binary, struct_from_binary, uatcp_to_binary

from plant_sim.opcua import limits
from plant_sim.opcua.decoding import bound_decoder

_log = structlog.get_logger("plant_sim.opcua.transport")

_HEADER_BYTES = 8


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
(_BROWSE_NEXT,) = _types("BrowseNext")


class _Processor(UaProcessor):
    """asyncua's processor of one connection, which trusts a connection with nothing."""

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
        if typeid not in BEFORE_LOGIN:
            if not self.logged_in:
                raise ServiceError(ua.StatusCodes.BadSessionNotActivated)
            if requesthdr.AuthenticationToken != self.session.auth_token:
                raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        if typeid == _BROWSE_NEXT:  # asyncua does not know it
            params = struct_from_binary(ua.BrowseNextParameters, body)
            response = ua.BrowseNextResponse()
            response.Parameters.Results = await self.session.browse_next(params)
            self.session.touch()
            self.session_last_activity = time.monotonic()
            self.send_response(requesthdr.RequestHandle, seqhdr, response)
            return True
        return await super()._process_message(typeid, requesthdr, seqhdr, body)

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


class _Protocol(OPCUAProtocol):
    """One connection: frames out of bytes."""

    processor: _Processor | None
    _buffer: bytes
    _waiting_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        super().connection_made(transport)
        if self.processor is not None:
            self.processor = _Processor(self.iserver, self.transport, self.limits)
            self.processor.set_policies(self.policies)

    def data_received(self, data: bytes) -> None:
        """Queue every whole chunk; a chunk or a queue that is too long ends the connection."""
        held, start = self._buffer + data, 0
        known = self.processor is not None and self.processor.logged_in
        longest = limits.CHUNK_BYTES if known else limits.LOGIN_BYTES
        while len(held) - start >= _HEADER_BYTES:
            size = int.from_bytes(held[start + 4 : start + _HEADER_BYTES], "little")
            if not _HEADER_BYTES < size <= longest:
                return self._abort("length of a chunk")
            if len(held) - start < size:
                break
            if not self._queue(held[start : start + size]):
                return self._abort("too much at once, or no header")
            start += size
        self._buffer = held[start:]
        return None

    def _queue(self, chunk: bytes) -> bool:
        buffer = Buffer(chunk)
        try:
            header = header_from_binary(buffer)
            self._waiting_bytes += len(chunk)
            if header.body_size <= 0 or self._waiting_bytes > limits.WAITING_BYTES:
                return False
            self.messages.put_nowait((header, buffer))
        except (NotEnoughData, asyncio.QueueFull):
            return False
        return True

    async def _process_one_msg(self, header: Any, buf: Buffer) -> bool:
        self._waiting_bytes -= header.packet_size
        return bool(await super()._process_one_msg(header, buf))

    def _abort(self, reason: str) -> None:
        _log.warning("connection ended", peer=str(self.peer_name), reason=reason)
        self._buffer = b""
        if self.transport is not None:
            self.transport.abort()


class _Binary(BinaryServer):
    def stop_listening(self) -> None:
        """Take no more connections; those that are there stay."""
        if self._server is not None:
            self._server.close()

    def _make_protocol(self) -> OPCUAProtocol:
        return _Protocol(
            self.iserver, self._policies, self.clients, self.closing_tasks, self.limits
        )


class _Admitting:
    """A security policy that looks at the client's certificate before it spends a key on it."""

    def __init__(self, policy: Any, admit: Callable[[bytes | None], None]) -> None:
        self._policy = policy
        self._admit = admit

    def matches(self, uri: str, mode: ua.MessageSecurityMode | None = None) -> bool:
        return bool(self._policy.matches(uri, mode))

    def create(self, peer_certificate: bytes | None) -> Any:
        self._admit(peer_certificate)
        return self._policy.create(peer_certificate)


class PlantUaServer(Server):
    """asyncua's server on this transport."""

    bserver: _Binary | None

    def __init__(
        self, *, iserver: Any, name: str, admit: Callable[[bytes | None], None] | None
    ) -> None:
        """admit: raises ServiceError for a client's certificate; None: nothing is encrypted."""
        bound_decoder()
        super().__init__(iserver=iserver)
        self.name = name
        self.limits = TransportLimits(
            max_recv_buffer=limits.CHUNK_BYTES,
            max_send_buffer=limits.CHUNK_BYTES,
            max_chunk_count=limits.MESSAGE_BYTES // limits.CHUNK_BYTES + 1,
            max_message_size=limits.MESSAGE_BYTES,
        )
        self._admit = admit

    async def start(self) -> None:
        """Listen; raises OSError where that cannot be done."""
        await self._setup_server_nodes()
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = _Binary(self.iserver, host, port, self.limits)
        policies = self._policies
        if self._admit is not None:
            policies = [_Admitting(policy, self._admit) for policy in policies]
        self.bserver.set_policies(policies)
        try:
            await self.bserver.start()
        except OSError:
            self.bserver = None
            await self.iserver.stop()
            raise

    def stop_listening(self) -> None:
        """Take no more connections; those that are there stay."""
        if self.bserver is not None:
            self.bserver.stop_listening()
