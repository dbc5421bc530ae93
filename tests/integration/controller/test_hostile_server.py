"""A server that means harm: broken frames, endless answers, nonsense.  Each is a fault of the line.

Nothing is raised into a scan, nothing is written, and memory stays within bounds.
"""

import asyncio
import contextlib
import os
import resource
import struct

import pytest
from asyncua import ua
from asyncua.server import binary_server_asyncio
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_to_binary, uatcp_to_binary

from controller.opcua import bounded
from tests.support.lines import no_fault
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEGABYTE = 1 << 20
GROWTH = 160 * MEGABYTE
"""What the process may grow by: the longest message, its parts, and what is made of them."""
HEADER = 24
"""Length of a ResponseHeader that says nothing, after the four bytes of its type."""


@pytest.fixture
def memory():
    """The most that this process has ever had does not grow by much: a list is soon gone again."""
    before = highest()
    yield
    assert highest() - before < GROWTH


def highest():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def frame(kind, body, size=None):
    return kind + struct.pack("<I", 8 + len(body) if size is None else size) + body


def acknowledge(**changes):
    return uatcp_to_binary(ua.MessageType.Acknowledge, ua.Acknowledge(**changes))


SOUND = {"ReceiveBufferSize": 65535, "SendBufferSize": 65535}
BABBLE = {
    "a chunk of 4 GB": (frame(b"ACKF", b"", 2**32 - 1), bytes(MEGABYTE)),
    "a chunk of 4 GB after a good one": (
        acknowledge(**SOUND) + frame(b"OPNF", b"", 2**32 - 1),
        bytes(MEGABYTE),
    ),
    "parts without end": (acknowledge(**SOUND), frame(b"MSGC", bytes(60_000))),
    "a length of nothing": (frame(b"ACKF", b"", 0), b"\0"),
    "buffers of a byte": (acknowledge(ReceiveBufferSize=1, SendBufferSize=1), b""),
    "no buffers": (acknowledge(ReceiveBufferSize=0, SendBufferSize=0), b""),
    "noise": (os.urandom(4096), os.urandom(4096)),
    "an error": (uatcp_to_binary(ua.MessageType.Error, ua.ErrorMessage(Reason="x" * 60_000)), b""),
    "another protocol": (b"HTTP/1.1 200 OK\r\n\r\n", b""),
    "nothing": (b"", b""),
}


@contextlib.asynccontextmanager
async def babbling(first, more):
    """A server that says this to whoever connects, and goes on with `more` until it is cut off."""
    sent = [0]

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError):
            await reader.read(8)
            writer.write(first)
            while more and sent[0] < 300 * MEGABYTE:
                writer.write(more)
                await writer.drain()
                sent[0] += len(more)
                await asyncio.sleep(0)
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", sent
    finally:
        server.close()


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("name", list(BABBLE))
async def test_what_is_no_answer_is_a_failed_connect(make_link, name):
    async with babbling(*BABBLE[name]) as (url, sent):
        link = make_link(url=url)
        failure = await link.open(no_fault)
        assert failure is not None
        assert failure.service == "connect"
        assert len(failure.detail) < 2000
        assert not link.connected
        await link.close()
        assert sent[0] < 64 * MEGABYTE


def answer(values):
    """The body of a ReadResponse with these bytes in the place of its results."""
    whole = struct_to_binary(ua.ReadResponse())
    return whole[: 4 + HEADER] + values


def results(*values, count=None):
    number = struct.pack("<i", len(values) if count is None else count)
    return answer(number + b"".join(values) + struct.pack("<i", 0))


def data_value(variant):
    return b"\x01" + variant


def deep(depth):
    return b"\x98\x01\x00\x00\x00" * depth + b"\x00"


ANSWERS = {
    "variants in variants": results(data_value(deep(5000))),
    "data values in data values": results(data_value(b"\x17\x01" * 20_000 + b"\x00")),
    "diagnostics in diagnostics": answer(struct.pack("<ii", 0, 1) + b"\x40" * 50_000 + b"\x00"),
    "an array of nothing": results(data_value(b"\x80\xff\xff\xff\x7f")),
    "an array without end": results(data_value(b"\x8b\xff\xff\xff\x7f")),
    "dimensions": results(
        *[data_value(b"\xc6\0\0\0\0\x02\0\0\0\x40\x42\x0f\0\x01\0\0\0")] * 100_000, count=100_000
    ),
    "too few results": results(data_value(b"\x01\x01")),
    "no results": results(),
    "results without end": results(count=2**31 - 1),
    "cut short": results(data_value(b"\x0b\x00\x00")),
    "an unknown type": results(data_value(b"\x3f")),
    "nothing at all": b"",
    "another answer": struct_to_binary(ua.WriteResponse()),
    "a fault": struct_to_binary(
        ua.ServiceFault(ResponseHeader=ua.ResponseHeader(ServiceResult=ua.StatusCode(0x80FF_FFFF)))
    ),
    "a date before time": results(data_value(b"\x0d" + struct.pack("<q", -(2**63)))),
    "a date after time": results(data_value(b"\x0d" + struct.pack("<q", 2**63 - 1))),
}


class Hostile(UaProcessor):
    """asyncua's server, whose answers to Read are replaced while `says` is set."""

    says = None
    endless = False

    def send_response(self, requesthandle, seqhdr, response, *more):
        if not isinstance(response, ua.ReadResponse) or (self.says is None and not self.endless):
            super().send_response(requesthandle, seqhdr, response, *more)
        elif self.endless:
            body = bytes(bounded.LONGEST_MESSAGE + MEGABYTE)
            self._transport.write(
                self._connection.message_to_binary(body, request_id=seqhdr.RequestId)
            )
        else:
            self._transport.write(
                self._connection.message_to_binary(self.says, request_id=seqhdr.RequestId)
            )


@pytest.fixture
def hostile(monkeypatch):
    """Servers whose connections from now on are served by `Hostile`."""
    monkeypatch.setattr(binary_server_asyncio, "UaProcessor", Hostile)
    monkeypatch.setattr(Hostile, "says", None)
    monkeypatch.setattr(Hostile, "endless", False)
    return Hostile


async def recovered(link):
    """Wait until a poll succeeds again."""

    async def polled():
        return await link.poll() is None

    await until(polled, 30.0, "the link is back")


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("name", list(ANSWERS))
async def test_a_malformed_answer_is_a_failed_poll_and_the_link_comes_back(
    make_link, hostile, monkeypatch, name
):
    link = make_link()
    assert await link.open(no_fault) is None
    before = dict(link.image())
    monkeypatch.setattr(hostile, "says", ANSWERS[name])
    failure = await link.poll()
    assert failure is not None
    assert failure.service == "read" or not link.connected
    for key, held in link.image().items():
        assert held.value is None or key in before
    monkeypatch.setattr(hostile, "says", None)
    await recovered(link)
    assert link.image()["cv.Temperature.pv"].value == before["cv.Temperature.pv"].value
    await link.close()


@pytest.mark.usefixtures("memory")
async def test_an_answer_without_end_ends_the_connection(make_link, hostile, monkeypatch):
    link = make_link()
    link._requests.timeout_s = 10.0
    assert await link.open(no_fault) is None
    monkeypatch.setattr(hostile, "endless", True)
    failure = await link.poll()
    assert failure is not None
    assert failure.status in {"BadRequestTooLarge", "connection"}
    monkeypatch.setattr(hostile, "endless", False)
    await recovered(link)
    await link.close()


class Notifying(UaProcessor):
    """A server that tells of items nobody asked for."""

    async def forward_publish_response(self, result, requestdata):
        for notification in result.NotificationMessage.NotificationData:
            if isinstance(notification, ua.DataChangeNotification):
                stranger = ua.MonitoredItemNotification(
                    ClientHandle=2**32 - 1, Value=ua.DataValue(ua.Variant(1e6))
                )
                notification.MonitoredItems.insert(0, stranger)
                notification.MonitoredItems += [stranger] * 20_000
        await super().forward_publish_response(result, requestdata)


@pytest.mark.usefixtures("memory")
async def test_notifications_of_unknown_items_do_not_hide_the_known_ones(
    make_link, plant, monkeypatch
):
    monkeypatch.setattr(binary_server_asyncio, "UaProcessor", Notifying)
    link = make_link()
    assert await link.open(no_fault) is None
    await plant.put("TI_101.PV", 88.25)
    await until(lambda: link.image()["cv.Temperature.pv"].value == 88.25)
    assert all(held.value != 1e6 for held in link.image().values())
    await link.close()


@pytest.mark.usefixtures("memory")
async def test_a_text_of_ten_megabytes_is_kept_in_part(make_link, plant):
    block = {"shed_reason": "plc:s=APC.NOTE"}
    await plant.put("APC.NOTE", "\x1b[2J" + "x" * 10 * MEGABYTE)
    link = make_link(block=False, handshake=block)
    link._requests.timeout_s = 10.0
    assert await link.open(no_fault) is None
    assert await link.poll() is None
    held = link.image()["handshake.shed_reason"].value
    assert held.startswith("\x1b[2Jxxx")
    assert len(held) == 1000
    await link.close()
    await plant.put("APC.NOTE", "")
