"""An asyncua client that a server cannot make fill the memory of this machine.

asyncua waits for whatever length a chunk announces, puts parts together without end, lets the
server's Acknowledge lift its limits, and makes lists of whatever length an array without content
announces.  Here such a server loses the connection, which the link treats as any other loss.  And a
refused channel is told with its status.
"""

from __future__ import annotations

from typing import Any

from asyncua import Client, ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.ua import ua_binary

from controller.opcua.service_fault import refuse_fault

LONGEST_CHUNK = 65536
"""What our Hello allows a server to send at once [bytes]."""

LONGEST_MESSAGE = 32 * 1024 * 1024
"""Of one answer [bytes]; 200 nodes with 100 references each take two million."""

SMALLEST_BUFFER = 8192
"""Every server takes chunks of this length (OPC 10000-6, 7.1.2.4) [bytes]."""

_HEADER = 8
_unpack_array = ua_binary.unpack_uatype_array


class _Limits(TransportLimits):
    """Limits of ours, which an Acknowledge may lower for what we send and never lift."""

    max_send_buffer: int

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """Take the server's; raises UaError for buffers that the standard rules out."""
        if min(msg.ReceiveBufferSize, msg.SendBufferSize) < SMALLEST_BUFFER:
            raise ua.UaError(f"the server takes chunks of {msg.ReceiveBufferSize} bytes only")
        self.max_send_buffer = min(self.max_send_buffer, msg.ReceiveBufferSize)


class _Protocol(UASocketProtocol):
    def data_received(self, data: bytes) -> None:
        """Take bytes, unless they announce a chunk that is too long."""
        held = self.receive_buffer or b""
        head = (held[:_HEADER] + data[:_HEADER])[:_HEADER]
        if len(head) == _HEADER and int.from_bytes(head[4:], "little") > LONGEST_CHUNK:
            self._fail_all_pending(ua.uaerrors.BadTcpMessageTooLarge())
            self.disconnect_socket()
            return
        super().data_received(data)

    def _process_received_message(self, msg: Any) -> None:
        refuse_fault(msg)
        super()._process_received_message(msg)


class _UaClient(UaClient):
    def _make_protocol(self) -> UASocketProtocol:
        made = _Protocol(
            self._timeout,
            security_policy=self.security_policy,
            limits=_Limits(
                max_recv_buffer=LONGEST_CHUNK,
                max_chunk_count=LONGEST_MESSAGE // SMALLEST_BUFFER,
                max_message_size=LONGEST_MESSAGE,
            ),
        )
        made.pre_request_hook = self._pre_request_hook
        made.on_connection_lost = self._on_transport_lost
        made.is_session_closing = self._is_session_closing
        self.protocol = made
        return made


def bounded_client(url: str, *, timeout_s: float, **options: Any) -> Client:
    """Return a client that is not connected yet; options: those of asyncua's Client."""
    _bound_decoder()
    client = Client(url, timeout=timeout_s, **options)
    client.uaclient.__class__ = _UaClient  # asyncua makes its own, and wires it up
    return client


def _bound_decoder() -> None:
    """Put the bounds into asyncua's decoder, for the whole process; done twice it is done once."""
    ua_binary.unpack_uatype_array = _bounded_array
    ua_binary._reshape = _flat  # noqa: SLF001


def _bounded_array(vtype: ua.VariantType, data: Any) -> Any:
    """An array; of nothing it may announce two thousand million elements in five bytes."""
    if vtype is ua.VariantType.Null:
        raise ua.UaError("an array of nothing")
    return _unpack_array(vtype, data)


def _flat(elements: list[Any], dimensions: list[int]) -> list[Any]:  # noqa: ARG001
    """Arrays are not used here, so their dimensions, which may announce anything, do not count."""
    return elements
