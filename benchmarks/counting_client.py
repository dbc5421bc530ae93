"""A client that looks at every value and decodes nothing else: it must not be what is measured.

    python -m benchmarks.counting_client < JSON

JSON: {"urls": [...], "user": ..., "password": ..., "nodes": [[number, ...], ...], "queue": 1},
numbers of Double tags for each URL. asyncua's client logs in and keeps the line alive; publish
responses are taken from it before it decodes them, and read as one NumPy array each. Prints a line
of JSON when every subscription has begun, then one a second: {"at_s": monotonic time, "values":
how many came, "repeated": how many of them were the value before, "messages": ...}.
Ends when its input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_to_binary

from plant_sim.unit.tags import NAMESPACE

PERIOD_MS = 100.0
KEEP_ALIVES = 100
REQUESTS = 3
"""Publish requests that wait at the server, for each subscription."""
PUBLISH_RESPONSE = ua.ObjectIds.PublishResponse_Encoding_DefaultBinary
DATA_CHANGE = ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary
ITEM = np.dtype(
    [
        ("handle", "<u4"),
        ("mask", "u1"),
        ("kind", "u1"),
        ("value", "<f8"),
        ("status", "<u4"),
        ("source_time", "<i8"),
        ("server_time", "<i8"),
    ]
)
"""A MonitoredItemNotification with a Double, its status and both times (OPC 10000-6, 5.2.2.17)."""
MASK = 0x0F
KIND = ua.VariantType.Double.value
HEADERS = 24
"""Of a message: frame, channel, security, sequence (OPC 10000-6, 6.7.2)."""
SEQUENCE_AT = 16
RESULT_AT = HEADERS + 4 + 8 + 4
"""ServiceResult, after the type, the time and the handle (OPC 10000-4, 7.33)."""
SUBSCRIPTION_AT = RESULT_AT + 4 + 1 + 4 + 3
"""After the result, no diagnostics, no strings, no additional header."""


@dataclass(slots=True)
class Counted:
    """What came so far."""

    values: int = 0
    repeated: int = 0
    messages: int = 0


class Line:
    """One session, one subscription, publish requests that are answered at once."""

    def __init__(self, client: Client, items: int, counted: Counted) -> None:
        """Take the bytes over from the client's protocol.  client: connected."""
        self._protocol = client.uaclient.protocol
        self._counted = counted
        self._last = np.full(items, np.nan)
        self._held = b""
        self._asked: set[int] = set()
        self._refused = 0
        self._pass_on = self._protocol._process_received_data  # noqa: SLF001
        self._protocol.data_received = self.data_received
        request = ua.PublishRequest()
        request.RequestHeader.AuthenticationToken = self._protocol.authentication_token
        self._first = struct_to_binary(request)
        request.Parameters.SubscriptionAcknowledgements = [ua.SubscriptionAcknowledgement()]
        self._next = struct_to_binary(request)[:-8]
        self.heard = asyncio.Event()

    async def subscribe(self, nodes: list[ua.NodeId], queue: int) -> None:
        """Subscribe at 10 Hz and begin to ask."""
        wanted = ua.CreateSubscriptionRequest()
        wanted.Parameters.RequestedPublishingInterval = PERIOD_MS
        wanted.Parameters.RequestedLifetimeCount = 10 * KEEP_ALIVES
        wanted.Parameters.RequestedMaxKeepAliveCount = KEEP_ALIVES
        wanted.Parameters.PublishingEnabled = True
        answer = await self._protocol.send_request(wanted)
        created = ua.ua_binary.struct_from_binary(ua.CreateSubscriptionResponse, answer)
        created.ResponseHeader.ServiceResult.check()
        items = ua.CreateMonitoredItemsRequest()
        items.Parameters.SubscriptionId = created.Parameters.SubscriptionId
        items.Parameters.ItemsToCreate = [
            ua.MonitoredItemCreateRequest(
                ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value),
                MonitoringMode=ua.MonitoringMode.Reporting,
                RequestedParameters=ua.MonitoringParameters(
                    ClientHandle=place, SamplingInterval=PERIOD_MS, QueueSize=queue
                ),
            )
            for place, node in enumerate(nodes)
        ]
        answer = await self._protocol.send_request(items)
        made = ua.ua_binary.struct_from_binary(ua.CreateMonitoredItemsResponse, answer)
        for result in made.Results:
            result.StatusCode.check()
        for _ in range(REQUESTS):
            self._ask(self._first)

    def data_received(self, data: bytes) -> None:
        """Take publish responses out of the stream; the client gets the rest."""
        held, start = self._held + data, 0
        while len(held) - start >= HEADERS:
            size = int.from_bytes(held[start + 4 : start + 8], "little")
            if len(held) - start < size:
                break
            message = held[start : start + size]
            start += size
            sequence, request = struct.unpack_from("<II", message, SEQUENCE_AT)
            if request in self._asked:
                self._asked.remove(request)
                self._protocol._connection._peer_sequence_number = sequence  # noqa: SLF001
                self._answered(message)
            else:
                self._pass_on(message)
        self._held = held[start:]

    def check(self) -> None:
        """Raise RuntimeError where the connection is gone, or the plant has refused a request."""
        if self._protocol.transport is None:
            raise RuntimeError("the connection is gone")
        if self._refused:
            raise RuntimeError(
                f"a publish request was refused: {ua.StatusCode(self._refused).name}"
            )

    def _answered(self, message: bytes) -> None:
        (kind,) = struct.unpack_from("<H", message, HEADERS + 2)
        (result,) = struct.unpack_from("<I", message, RESULT_AT)
        if kind != PUBLISH_RESPONSE or result:
            self._refused = result
            return None
        subscription, available = struct.unpack_from("<Ii", message, SUBSCRIPTION_AT)
        at = SUBSCRIPTION_AT + 8 + 4 * max(available, 0) + 1
        number, _, parts = struct.unpack_from("<Iqi", message, at)
        at += 16
        if parts <= 0:  # it keeps alive, and is not to be acknowledged
            return self._ask(self._first)
        self._ask(self._next + struct.pack("<II", subscription, number))
        for _ in range(parts):
            kind, _, length, count = struct.unpack_from("<2xHBii", message, at)
            if kind != DATA_CHANGE:
                raise RuntimeError(f"a notification of type {kind}: only values are counted here")
            self._count(np.frombuffer(message, ITEM, count, at + 13))
            at += 9 + length
        self._counted.messages += 1
        self.heard.set()
        return None

    def _count(self, items: np.ndarray[Any, np.dtype[Any]]) -> None:
        if (items["mask"] != MASK).any() or (items["kind"] != KIND).any():
            raise RuntimeError("not a Double with status and times: nothing can be counted here")
        handles, values = items["handle"], items["value"]
        self._counted.values += len(items)
        self._counted.repeated += int((self._last[handles] == values).sum())
        self._last[handles] = values

    def _ask(self, body: bytes) -> None:
        protocol = self._protocol
        protocol._request_id += 1  # noqa: SLF001
        self._asked.add(protocol._request_id)  # noqa: SLF001
        protocol.transport.write(
            protocol._connection.message_to_binary(body, request_id=protocol._request_id)  # noqa: SLF001
        )


async def watch(wanted: dict[str, Any]) -> None:
    """Log in everywhere, subscribe, report once a second until the input ends."""
    counted = Counted()
    end = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    lines = []
    async with contextlib.AsyncExitStack() as stack:
        for url, numbers in zip(wanted["urls"], wanted["nodes"], strict=True):
            client = Client(url, timeout=60)
            client.set_user(wanted["user"])
            client.set_password(wanted["password"])
            await stack.enter_async_context(client)
            index = await client.get_namespace_index(NAMESPACE)
            line = Line(client, len(numbers), counted)
            await line.subscribe([ua.NodeId(n, index) for n in numbers], wanted["queue"])
            await line.heard.wait()
            lines.append(line)
        while not end.done():
            for line in lines:
                line.check()
            sys.stdout.write(json.dumps({"at_s": time.monotonic(), **asdict(counted)}) + "\n")
            sys.stdout.flush()
            await asyncio.wait([end], timeout=1.0)


if __name__ == "__main__":
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    asyncio.run(watch(json.loads(sys.stdin.readline())))
