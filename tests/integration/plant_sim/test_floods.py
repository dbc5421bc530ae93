"""Floods and malformed bytes: the server stays up, in time, and within its memory."""

import asyncio
import contextlib
import struct
import time
from pathlib import Path

import psutil
import pytest
from asyncua import Client, ua
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary

from plant_sim.opcua import limits

HEARTBEAT = "APC/HeartbeatOut"
MEGABYTE = 1 << 20
GROWTH = 96 * MEGABYTE
"""What the process may grow by under attack: every bound of `limits` at once is below it."""
HELLO = struct_to_binary(ua.Hello(EndpointUrl="opc.tcp://x"))


def frame(kind, body, size=None):
    return kind + struct.pack("<I", 8 + len(body) if size is None else size) + body


@pytest.fixture
def memory(secure_plant):
    """The plant's process; afterwards it has not grown much, and it still runs."""
    process = psutil.Process(secure_plant.process.pid)
    before = process.memory_info().rss
    yield process
    assert process.memory_info().rss - before < GROWTH
    assert secure_plant.process.poll() is None


async def dial(plant):
    host, port = plant.endpoint.removeprefix("opc.tcp://").split(":")
    return await asyncio.open_connection(host, int(port))


async def hang_up(writer):
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def sent_until_cut(plant, start, more, seconds=10.0):
    """Bytes that the server took of `start` and then `more` for ever before it hung up."""
    _, writer = await dial(plant)
    taken = 0
    try:
        async with asyncio.timeout(seconds):
            writer.write(start)
            while True:
                writer.write(more)
                await writer.drain()
                taken += len(more)
                await asyncio.sleep(0)
    except ConnectionError:
        return taken
    finally:
        await hang_up(writer)


async def in_time(plant, identity):
    """A user who is logged in is still answered."""
    async with plant.peer("observer", identity) as observer:
        begun = await observer.read(HEARTBEAT)
        await observer.until(HEARTBEAT, lambda value: value != begun)


@pytest.mark.parametrize("kind", [b"HELF", b"OPNF", b"MSGF", b"MSGC"])
async def test_a_length_that_is_announced_is_not_waited_for(secure_plant, identity, memory, kind):
    taken = await sent_until_cut(secure_plant, frame(kind, b"", 2**32 - 1), bytes(MEGABYTE))
    assert taken < 16 * MEGABYTE
    await in_time(secure_plant, identity)
    assert memory.is_running()


@pytest.mark.usefixtures("memory")
async def test_frames_without_end_before_a_login(secure_plant, identity):
    """Each is short enough by itself."""
    hello = frame(b"HELF", HELLO)
    taken = await sent_until_cut(secure_plant, hello, frame(b"MSGC", bytes(8000)) * 10)
    assert taken < 16 * MEGABYTE
    await in_time(secure_plant, identity)


@pytest.mark.usefixtures("memory")
async def test_many_that_never_finish_a_message(secure_plant, identity):
    half = frame(b"OPNF", bytes(limits.LOGIN_BYTES - 100), limits.LOGIN_BYTES)
    writers = []
    for _ in range(90):
        with contextlib.suppress(ConnectionError):
            _, writer = await dial(secure_plant)
            writers.append(writer)
            writer.write(half)
    await in_time(secure_plant, identity)
    for writer in writers:
        await hang_up(writer)


@contextlib.asynccontextmanager
async def asking(plant):
    """A channel in clear, as for discovery."""
    client = Client(plant.endpoint, timeout=5)
    await client.connect_socket()
    try:
        await client.send_hello()
        await client.open_secure_channel()
        yield client
    finally:
        client.disconnect_socket()


@pytest.mark.usefixtures("memory")
async def test_a_client_that_asks_and_does_not_read_is_let_go(secure_plant, identity):
    async with asking(secure_plant) as client:
        protocol = client.uaclient.protocol
        protocol.transport.pause_reading()
        request = ua.GetEndpointsRequest()
        request.Parameters.EndpointUrl = secure_plant.endpoint
        end_s = time.monotonic() + 20.0
        while protocol.transport is not None and not protocol.transport.is_closing():
            assert time.monotonic() < end_s
            with contextlib.suppress(ConnectionError):
                for _ in range(20):
                    protocol._send_request(request).cancel()
            await asyncio.sleep(0.01)
            if time.monotonic() > end_s - 18.0:
                protocol.transport.resume_reading()
    await in_time(secure_plant, identity)


def nested_variant(depth):
    """Arrays of one variant in arrays of one variant."""
    return b"\x98\x01\x00\x00\x00" * depth + b"\x00"


def request_with(value):
    """A GetEndpoints request whose additional header is an operand with this value inside."""
    operand = ua.NodeId(ua.ObjectIds.LiteralOperand_Encoding_DefaultBinary)
    header = struct_to_binary(ua.RequestHeader())
    assert header.endswith(b"\x00\x00\x00")  # no additional header
    extension = nodeid_to_binary(operand) + b"\x01" + struct.pack("<i", len(value)) + value
    kind = ua.NodeId(ua.ObjectIds.GetEndpointsRequest_Encoding_DefaultBinary)
    body = struct_to_binary(ua.GetEndpointsParameters())
    return nodeid_to_binary(kind) + header[:-3] + extension + body


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    "value",
    [
        b"\x80\xff\xff\xff\x7f",
        b"\xc6\x00\x00\x00\x00\x02\x00\x00\x00\x40\x42\x0f\x00\x01\x00\x00\x00",
        nested_variant(3000),
        b"\x86\xff\xff\xff\x7f",
        b"\x8c\xff\xff\xff\x7f",
    ],
    ids=["array of nothing", "dimensions", "nesting", "numbers", "texts"],
)
async def test_a_few_bytes_that_announce_much(secure_plant, identity, value):
    """No login is needed to send them."""
    async with asking(secure_plant) as client:
        connection = client.uaclient.protocol._connection
        message = connection.message_to_binary(request_with(value), request_id=77)
        client.uaclient.protocol.transport.write(message)
        await asyncio.sleep(0.1)
    await in_time(secure_plant, identity)


@pytest.mark.usefixtures("memory")
async def test_strangers_fill_neither_the_disk_nor_the_folder(
    secure_plant, identity, make_identity
):
    one = make_identity("urn:test:flood")
    rejected = secure_plant.pki / "rejected"
    for _ in range(110):
        other = make_identity("urn:test:flood", key=one.key)
        with contextlib.suppress(ua.UaError, ConnectionError):
            client = other.client(secure_plant)
            await client.connect_sessionless()
    assert 90 <= len(list(rejected.iterdir())) <= 100
    await in_time(secure_plant, identity)


@pytest.mark.usefixtures("memory")
async def test_a_flood_of_sessions_and_subscriptions_leaves_room(secure_plant, identity):
    class Sink:
        def datachange_notification(self, node, value, data):
            pass

    async with contextlib.AsyncExitStack() as stack:
        made = 0
        with contextlib.suppress(ua.uaerrors.BadTooManySessions):
            while True:
                peer = await stack.enter_async_context(secure_plant.peer("observer", identity))
                made += 1
                assert made <= limits.MAX_SESSIONS_PER_USER
                with contextlib.suppress(ua.uaerrors.BadTooManySubscriptions):
                    while True:
                        await peer.client.create_subscription(10, Sink())
        assert made == limits.MAX_SESSIONS_PER_USER
        apc = await stack.enter_async_context(secure_plant.peer("apc", identity))
        subscription = await apc.client.create_subscription(50, Sink())
        begun = await apc.read(HEARTBEAT)
        await apc.until(HEARTBEAT, lambda value: value != begun)
        await subscription.delete()


def test_the_log_of_all_this_is_lines_of_bounded_length(secure_plant):
    log = Path(secure_plant.log).read_text()
    assert "Traceback" not in log
    assert max(map(len, log.splitlines())) < 1000
