"""A relay on loopback that writes down what two OPC UA peers say to each other, chunk by chunk.

Only what stands in clear can be told: of an encrypted line that is the policy and the sizes, of a
line in clear the name of each service too (OPC 10000-6, chapter 6.7.2 and 7.1.2).
"""

import asyncio
import contextlib
import struct
import time
from urllib.parse import urlsplit

from asyncua import ua

_HEADER = struct.Struct("<3scI")
_SEQUENCE_END = 24
"""Of a chunk in clear: header, channel, token, sequence number, request id; then the type id."""
_POLICY_AT = 12
CLEAR_BYTES = 80
"""Of an OPN chunk, in which the URI of the policy stands."""
_FOUR_BYTE_ID = 1
_ENDING = "_Encoding_DefaultBinary"
_NAMES = {number: name for number, name in ua.ObjectIdNames.items() if name.endswith(_ENDING)}


class Capture:
    """Relays connections to an endpoint, and appends a line to `file` for every chunk."""

    def __init__(self, endpoint, file):
        target = urlsplit(endpoint)
        self._target = (target.hostname, target.port)
        self._file = file
        self._begun_s = time.monotonic()
        self._connections = 0
        self._clear = set()
        self._server = None
        self._tasks = set()
        self.url = ""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"opc.tcp://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_error):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self._connections += 1
        number = self._connections
        to_server = None
        try:
            from_server, to_server = await asyncio.open_connection(*self._target)
            ways = [
                asyncio.create_task(self._pass_on(reader, to_server, number, ">")),
                asyncio.create_task(self._pass_on(from_server, writer, number, "<")),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # nobody there, or the end of the capture: this connection ends
        finally:
            for end in (writer, to_server):
                if end is not None:
                    end.close()
                    with contextlib.suppress(OSError, asyncio.CancelledError):
                        await end.wait_closed()

    async def _pass_on(self, reader, writer, number, way):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await reader.readexactly(_HEADER.size)
                size = _HEADER.unpack(header)[2]
                chunk = header + await reader.readexactly(size - _HEADER.size)
                self._note(number, way, chunk)
                writer.write(chunk)
                await writer.drain()

    def _note(self, number, way, chunk):
        if b"SecurityPolicy#None" in chunk[:CLEAR_BYTES] and chunk[:3] == b"OPN":
            self._clear.add(number)
        told = describe(chunk, clear=number in self._clear)
        seconds = time.monotonic() - self._begun_s
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{seconds:8.3f} {number} {way} {told}\n")


def describe(chunk, *, clear):
    """Type of the chunk, F, C or A, length in bytes, and what else stands in clear."""
    kind, part, size = _HEADER.unpack_from(chunk)
    told = f"{kind.decode('ascii')} {part.decode('ascii')} {size:6d}"
    if kind == b"OPN":
        (length,) = struct.unpack_from("<i", chunk, _POLICY_AT)
        policy = chunk[_POLICY_AT + 4 : _POLICY_AT + 4 + length].decode("ascii")
        return f"{told} {policy.rpartition('#')[2]}"
    if kind == b"MSG" and clear:
        return f"{told} {_service(chunk)}".rstrip()
    return told


def _service(chunk):
    if len(chunk) < _SEQUENCE_END + 4 or chunk[_SEQUENCE_END] != _FOUR_BYTE_ID:
        return ""
    (number,) = struct.unpack_from("<H", chunk, _SEQUENCE_END + 2)
    return _NAMES.get(number, "").removesuffix(_ENDING)
