"""The reason for which a server refuses a secure channel.

Some servers (node-opcua among them) answer a refused OpenSecureChannel with a ServiceFault on the
channel itself (OPC 10000-4, 7.35).  asyncua 2.1 reads every answer there as a response that opens
the channel, fails on this one, and the status is lost in an AssertionError.
"""

from __future__ import annotations

from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

_FAULT = ua.ObjectIds.ServiceFault_Encoding_DefaultBinary


def refuse_fault(message: Any) -> None:
    """Raise UaStatusCodeError for an answer to OpenSecureChannel that is a fault."""
    if not isinstance(message, ua.Message):
        return
    header = message._chunks[0].MessageHeader  # noqa: SLF001 - the only place of the message's type
    if header.MessageType != ua.MessageType.SecureOpen:
        return
    if nodeid_from_binary(message.body()).Identifier == _FAULT:
        fault = struct_from_binary(ua.ServiceFault, message.body())
        fault.ResponseHeader.ServiceResult.check()
