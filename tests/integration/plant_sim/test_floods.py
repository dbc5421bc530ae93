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
from tests.support.channels import channel

HEARTBEAT = "APC/HeartbeatOut"
MEGABYTE = 1 << 20
GROWTH = 96 * MEGABYTE
"""What the process may grow by under attack: every bound of `limits` at once is below it."""
HELLO = struct_to_binary(ua.Hello(EndpointUrl="opc.tcp://x"))


def frame(kind, body, size=None):
    return kind + struct.pack("<I", 8 + len(body) if size is None else size) + body


HELLO_FRAME = frame(b"HELF", HELLO)


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


def asking(plant):
    """A channel in clear, as for discovery."""
    return channel(Client(plant.endpoint, timeout=5))


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
            if time.monotonic() > end_s - 18.0 and protocol.transport is not None:
                protocol.transport.resume_reading()
    await in_time(secure_plant, identity)


def hello(**sizes):
    return frame(b"HELF", struct_to_binary(ua.Hello(EndpointUrl="opc.tcp://x", **sizes)))


async def answer(plant, *frames):
    """Everything that the server says to these bytes before it hangs up."""
    reader, writer = await dial(plant)
    try:
        for one in frames:
            writer.write(one)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10.0)
    except ConnectionError:
        return b""
    finally:
        await hang_up(writer)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    "frames",
    [
        [hello(ReceiveBufferSize=50)],
        [hello(SendBufferSize=0)],
        [hello(ReceiveBufferSize=8191)],
        [HELLO_FRAME, frame(b"ACKF", struct_to_binary(ua.Acknowledge(SendBufferSize=1)))],
        [HELLO_FRAME, frame(b"ACKF", struct_to_binary(ua.Acknowledge(MaxMessageSize=0)))],
    ],
    ids=["answers in small chunks", "no chunks", "one byte less", "a server's words", "no limit"],
)
async def test_a_client_sets_no_limits_of_the_server(secure_plant, identity, frames):
    """Chunks of a byte each would be signed one by one; an Acknowledge is for a server to send."""
    said = await answer(secure_plant, *frames)
    assert said.rpartition(b"ERRF")[1] == b"ERRF"
    await in_time(secure_plant, identity)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("kind", [b"OPNC", b"OPNA", b"CLOF", b"RHEF", b"XXXF", b"HELC", b"ERRF"])
async def test_frames_that_have_no_place_end_their_connection_only(secure_plant, identity, kind):
    reader, writer = await dial(secure_plant)
    writer.write(HELLO_FRAME + frame(kind, bytes(60)))
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 2 * limits.LOGIN_LIMIT_S)
    await hang_up(writer)
    await in_time(secure_plant, identity)


async def test_a_client_that_says_nothing_for_long_is_let_go(secure_plant, identity):
    """Byte by byte before a channel; and with a channel, but without a login."""
    reader, writer = await dial(secure_plant)
    lost = asyncio.create_task(reader.read())
    async with asking(secure_plant) as client:
        transport = client.uaclient.protocol.transport
        begun_s = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in HELLO_FRAME[:-1]:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.4)
                if lost.done():
                    break
        await asyncio.wait({lost}, timeout=2 * limits.LOGIN_LIMIT_S)
        assert lost.done()
        while not transport.is_closing():
            assert time.monotonic() - begun_s < 3 * limits.LOGIN_LIMIT_S
            await asyncio.sleep(0.1)
    await hang_up(writer)
    await in_time(secure_plant, identity)


async def test_who_has_logged_out_does_not_stay(secure_plant, identity):
    async with secure_plant.peer("observer", identity) as observer:
        transport = observer.client.uaclient.protocol.transport
        await observer.client.uaclient.close_session(delete_subscriptions=True)
        begun_s = time.monotonic()
        while not transport.is_closing():
            assert time.monotonic() - begun_s < 3 * limits.LOGIN_LIMIT_S
            await asyncio.sleep(0.1)


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
        b"\x17\x01" * 5000 + b"\x00",
        b"\x19" + b"\x40" * 10_000,
        b"\x86\xff\xff\xff\x7f",
        b"\x8c\xff\xff\xff\x7f",
    ],
    ids=["nothings", "dimensions", "variants", "data values", "diagnostics", "numbers", "texts"],
)
async def test_a_few_bytes_that_announce_much(secure_plant, identity, value):
    """No login is needed to send them."""
    async with asking(secure_plant) as client:
        connection = client.uaclient.protocol._connection
        message = connection.message_to_binary(request_with(value), request_id=77)
        client.uaclient.protocol.transport.write(message)
        await asyncio.sleep(0.1)
    await in_time(secure_plant, identity)


HEAVY = ua.NodeId(7617)  # one of the standard's two type dictionaries, 211 kB
BUSIEST = ua.NodeId(ua.ObjectIds.Structure)


@pytest.mark.usefixtures("memory")
async def test_a_short_request_for_a_long_answer_is_refused(secure_plant, identity):
    """500 times this value would be 106 MB."""
    async with secure_plant.peer("observer", identity) as observer:
        item = ua.ReadValueId(NodeId=HEAVY, AttributeId=ua.AttributeIds.Value)
        (one,) = await observer.client.uaclient.read(ua.ReadParameters(NodesToRead=[item]))
        assert len(one.Value.Value) > 200_000
        with pytest.raises(ua.uaerrors.BadResponseTooLarge):
            await observer.client.uaclient.read(ua.ReadParameters(NodesToRead=[item] * 500))
        await in_time(secure_plant, identity)


@pytest.mark.usefixtures("memory")
async def test_a_long_value_is_not_monitored(secure_plant, identity):
    async with secure_plant.peer("observer", identity) as observer:
        subscription = await observer.client.create_subscription(50, Silent())
        (made,) = await monitor(observer, subscription, HEAVY, None)
        assert made.StatusCode.name == "BadEncodingLimitsExceeded"
        await subscription.delete()


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("kind", [ua.ObjectIds.BaseDataType, ua.ObjectIds.References])
async def test_a_browse_of_what_has_many_references_keeps_nobody_waiting(
    secure_plant, identity, kind
):
    """Whatever is named as reference type; asyncua took minutes for this request."""
    wanted = ua.BrowseDescription(
        NodeId=BUSIEST,
        BrowseDirection=ua.BrowseDirection.Both,
        ReferenceTypeId=ua.NodeId(kind),
        IncludeSubtypes=True,
        ResultMask=ua.BrowseResultMask.All,
    )
    async with secure_plant.peer("observer", identity) as observer:
        results = await observer.client.uaclient.browse(
            ua.BrowseParameters(NodesToBrowse=[wanted] * limits.MAX_OPERATIONS)
        )
        assert sum(len(result.References) for result in results) <= limits.MAX_REFERENCES
        await in_time(secure_plant, identity)


@pytest.mark.usefixtures("memory")
async def test_browse_paths_through_everything_are_refused(secure_plant, identity):
    step = ua.RelativePathElement(TargetName=ua.QualifiedName("Structure", 0))
    path = ua.BrowsePath(StartingNode=BUSIEST, RelativePath=ua.RelativePath(Elements=[step]))
    empty = ua.BrowsePath(StartingNode=BUSIEST)
    async with secure_plant.peer("observer", identity) as observer:
        follow = observer.client.uaclient.translate_browsepaths_to_nodeids
        with pytest.raises(ua.uaerrors.BadTooManyOperations):
            await follow([path] * limits.MAX_OPERATIONS)
        assert [one.StatusCode.name for one in await follow([empty, path])] == [
            "BadNothingToDo",
            "BadNoMatch",
        ]
        await in_time(secure_plant, identity)


class Silent:
    def datachange_notification(self, node, value, data):
        pass


async def monitor(peer, subscription, node, wanted):
    """Create one item with this filter."""
    item = ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(ClientHandle=7, QueueSize=1, Filter=wanted),
    )
    return await peer.client.uaclient.create_monitored_items(
        ua.CreateMonitoredItemsParameters(
            SubscriptionId=subscription.subscription_id, ItemsToCreate=[item]
        )
    )


def deadband(kind, value):
    return ua.DataChangeFilter(
        Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=kind, DeadbandValue=value
    )


@pytest.mark.parametrize(
    ("path", "wanted", "status"),
    [
        (HEARTBEAT, ua.EventFilter(), "BadMonitoredItemFilterUnsupported"),
        (HEARTBEAT, ua.AggregateFilter(), "BadMonitoredItemFilterUnsupported"),
        (HEARTBEAT, deadband(2, 5.0), "BadMonitoredItemFilterUnsupported"),
        (HEARTBEAT, deadband(9, 5.0), "BadMonitoredItemFilterUnsupported"),
        (HEARTBEAT, deadband(1, float("nan")), "BadDeadbandFilterInvalid"),
        (HEARTBEAT, deadband(1, -1.0), "BadDeadbandFilterInvalid"),
        ("APC/LeaseOwner", deadband(1, 1.0), "BadFilterNotAllowed"),
        ("APC/Permit", deadband(1, 1.0), "BadFilterNotAllowed"),
        (HEARTBEAT, deadband(1, 1.0), "Good"),
        ("APC/LeaseOwner", deadband(0, 0.0), "Good"),
    ],
)
async def test_a_filter_that_does_not_suit_is_refused(secure_plant, identity, path, wanted, status):
    """Each would raise at every change of the value, in the plant's tick, and log it."""
    async with secure_plant.peer("observer", identity) as observer:
        subscription = await observer.client.create_subscription(50, Silent())
        (made,) = await monitor(observer, subscription, observer.ids[path], wanted)
        assert made.StatusCode.name == status
        if status == "Good":
            changed = ua.MonitoredItemModifyRequest(
                MonitoredItemId=made.MonitoredItemId,
                RequestedParameters=ua.MonitoringParameters(Filter=ua.EventFilter()),
            )
            (result,) = await observer.client.uaclient.modify_monitored_items(
                ua.ModifyMonitoredItemsParameters(
                    SubscriptionId=subscription.subscription_id, ItemsToModify=[changed]
                )
            )
            assert result.StatusCode.name == "BadMonitoredItemFilterUnsupported"
        await subscription.delete()
    assert "Error calling datachange callback" not in secure_plant.log.read_text()


async def test_a_value_that_goes_bad_is_told_whatever_the_deadband(secure_plant, identity):
    """asyncua raised on the nulled value, and the client went on believing the last good one."""

    class Statuses:
        def __init__(self):
            self.heard = []

        def datachange_notification(self, node, value, data):  # noqa: ARG002
            self.heard.append(data.monitored_item.Value.StatusCode.name)

    async with (
        secure_plant.peer("engineer", identity) as engineer,
        secure_plant.peer("observer", identity) as observer,
    ):
        sink = Statuses()
        subscription = await observer.client.create_subscription(20, sink)
        node = observer.client.get_node(observer.ids["R101/PV/Temperature"])
        await subscription.deadband_monitor(node, 1e6)
        await engineer.do("Sim/InjectFault", "Temperature", "bad_quality", 0.0, 1e6)
        await observer.until(HEARTBEAT, lambda _: sink.heard[-1:] == ["BadSensorFailure"])
        await engineer.do("Sim/InjectFault", "Temperature", "clear", 0.0, 0.0)
        await observer.until(HEARTBEAT, lambda _: sink.heard[-1:] == ["Good"])
        await subscription.delete()


@pytest.mark.usefixtures("memory")
async def test_who_never_acknowledges_is_kept_few_notifications(secure_plant, identity):
    async with (
        secure_plant.peer("engineer", identity) as engineer,
        secure_plant.peer("observer", identity) as observer,
    ):
        session = observer.client.uaclient.session
        kept = []
        made = await session.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=10.0,
                RequestedLifetimeCount=300,
                RequestedMaxKeepAliveCount=10,
                PublishingEnabled=True,
            ),
            callback=lambda result: kept.append(len(result.AvailableSequenceNumbers)),
        )
        session._publish_task.cancel()  # it acknowledges
        wanted = type("Made", (), {"subscription_id": made.SubscriptionId})
        await monitor(observer, wanted, observer.ids[HEARTBEAT], None)
        for _ in range(limits.MAX_UNACKNOWLEDGED + 10):
            response = await session.publish([])
            kept.append(len(response.Parameters.AvailableSequenceNumbers))
        assert max(kept) == limits.MAX_UNACKNOWLEDGED
        await session.delete_subscriptions([made.SubscriptionId])
        assert await engineer.read(HEARTBEAT) >= 0


async def test_an_orphan_does_not_live_for_ever(secure_plant, identity):
    """A subscription lives for a number of intervals, which the client chooses."""
    async with secure_plant.peer("observer", identity) as observer:
        for interval in (1e9, 1e308, float("inf"), float("nan"), -1.0, 0.0):
            made = await observer.client.uaclient.session.create_subscription(
                ua.CreateSubscriptionParameters(
                    RequestedPublishingInterval=interval, RequestedLifetimeCount=2**32 - 1
                ),
                callback=lambda _: None,
            )
            shortest, longest = limits.SHORTEST_PUBLISHING_MS, limits.LONGEST_PUBLISHING_MS
            assert shortest <= made.RevisedPublishingInterval <= longest
            assert made.RevisedLifetimeCount <= limits.MAX_LIFETIME_COUNT
            await observer.client.uaclient.session.delete_subscriptions([made.SubscriptionId])


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
