"""The listening side below the sessions: frames out of bytes, in bounded buffers.

asyncua buffers whatever length a frame announces. Here what a connection may keep in memory is
bounded in both directions, and no connection is served without pause.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from asyncua import Server, ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.ua.ua_binary import header_from_binary

from plant_sim.opcua import limits
from plant_sim.opcua.decoding import bound_decoder
from plant_sim.opcua.processor import ConnectionLimits, Processor

_log = structlog.get_logger("plant_sim.opcua.transport")

_HEADER_BYTES = 8


class _Protocol(OPCUAProtocol):
    """One connection: frames out of bytes."""

    processor: Processor | None
    _buffer: bytes
    _waiting_bytes = 0
    waiting_since_s: float | None = None
    """Since when nobody is logged in here [monotonic s], as far as the server has looked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        super().connection_made(transport)
        if self.processor is not None:
            self.processor = Processor(self.iserver, self.transport, self.limits)
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
        goes_on = bool(await super()._process_one_msg(header, buf))
        if not self.messages.empty():
            await asyncio.sleep(0)  # else one that sends without pause is served without pause
        return goes_on

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
        self.limits = ConnectionLimits(
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
