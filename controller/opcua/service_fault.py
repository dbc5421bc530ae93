"""The reason for which a server refuses a secure channel.

Some servers (node-opcua among them) answer a refused OpenSecureChannel with a ServiceFault on the
channel itself (OPC 10000-4, 7.35).  asyncua 2.1 reads every answer there as a response that opens
the channel, fails on this one, and the status is lost in an AssertionError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

if TYPE_CHECKING:
    from asyncua import Client

_FAULT = ua.ObjectIds.ServiceFault_Encoding_DefaultBinary


def tell_service_faults(client: Client) -> None:
    """Have a client that is not connected raise UaStatusCodeError for a channel that is refused."""
    make = client.uaclient._make_protocol  # noqa: SLF001 - asyncua has no hook for it

    def made() -> Any:
        protocol = make()
        take = protocol._process_received_message  # noqa: SLF001

        def checked(message: Any) -> None:
            _check(message)
            take(message)

        protocol._process_received_message = checked  # noqa: SLF001
        return protocol

    client.uaclient._make_protocol = made  # noqa: SLF001


def _check(message: Any) -> None:
    """Raise UaStatusCodeError for an answer to OpenSecureChannel that is a fault."""
    if not isinstance(message, ua.Message):
        return
    header = message._chunks[0].MessageHeader  # noqa: SLF001 - the only place of the message's type
    if header.MessageType != ua.MessageType.SecureOpen:
        return
    if nodeid_from_binary(message.body()).Identifier == _FAULT:
        fault = struct_from_binary(ua.ServiceFault, message.body())
        fault.ResponseHeader.ServiceResult.check()
