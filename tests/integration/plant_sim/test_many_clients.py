"""What one client can do to the others: nothing to their subscriptions, little to their share."""

import asyncio
import contextlib
import os
import time

import pytest
from asyncua import Client, ua

from plant_sim.opcua import limits

FOREIGN = "BadSubscriptionIdInvalid"
HEARTBEAT = "APC/HeartbeatOut"


class Sink:
    seen = 0

    def datachange_notification(self, node, value, data):  # noqa: ARG002
        self.seen += 1


def item_request(node_id):
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node_id, AttributeId=ua.AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(ClientHandle=77, QueueSize=1),
    )


async def publish_ack(peer, subscription, _):
    """Acknowledge all the notifications that the victim may still have to fetch."""
    own = await peer.client.create_subscription(50, Sink())
    await own.subscribe_data_change(peer.client.get_node(peer.ids[HEARTBEAT]))
    acks = [ua.SubscriptionAcknowledgement(subscription, n) for n in range(1, 5)]
    response = await peer.client.uaclient.publish(acks)
    await own.delete()
    return response.Parameters.Results


ATTACKS = {
    "delete": lambda peer, subscription, _: peer.client.uaclient.delete_subscriptions(
        [subscription]
    ),
    "publishing mode": lambda peer, subscription, _: peer.client.uaclient.set_publishing_mode(
        ua.SetPublishingModeParameters(PublishingEnabled=False, SubscriptionIds=[subscription])
    ),
    "modify": lambda peer, subscription, _: peer.client.uaclient.update_subscription(
        ua.ModifySubscriptionParameters(
            SubscriptionId=subscription,
            RequestedPublishingInterval=1e9,
            RequestedLifetimeCount=100,
            RequestedMaxKeepAliveCount=10,
        )
    ),
    "add items": lambda peer, subscription, _: peer.client.uaclient.create_monitored_items(
        ua.CreateMonitoredItemsParameters(
            SubscriptionId=subscription, ItemsToCreate=[item_request(peer.ids[HEARTBEAT])]
        )
    ),
    "modify items": lambda peer, subscription, item: peer.client.uaclient.modify_monitored_items(
        ua.ModifyMonitoredItemsParameters(
            SubscriptionId=subscription,
            ItemsToModify=[
                ua.MonitoredItemModifyRequest(
                    MonitoredItemId=item, RequestedParameters=ua.MonitoringParameters()
                )
            ],
        )
    ),
    "monitoring mode": lambda peer, subscription, item: peer.client.uaclient.set_monitoring_mode(
        ua.SetMonitoringModeParameters(
            SubscriptionId=subscription,
            MonitoringMode=ua.MonitoringMode.Disabled,
            MonitoredItemIds=[item],
        )
    ),
    "delete items": lambda peer, subscription, item: peer.client.uaclient.delete_monitored_items(
        ua.DeleteMonitoredItemsParameters(SubscriptionId=subscription, MonitoredItemIds=[item])
    ),
    "republish": lambda peer, subscription, _: peer.client.uaclient.session.republish(
        subscription, 1
    ),
    "acknowledge": publish_ack,
}


async def outcome(attack):
    """Names of the status codes that a request came to, whole or item by item."""
    try:
        answer = await attack
    except ua.UaStatusCodeError as error:
        return {type(error).__name__}
    results = answer if isinstance(answer, list) else [ua.StatusCode()]
    return {getattr(result, "StatusCode", result).name for result in results}


@pytest.mark.parametrize("name", list(ATTACKS))
@pytest.mark.parametrize("attacker", ["observer", "apc"])
async def test_anothers_subscription_does_not_exist_for_a_session(plant, name, attacker):
    async with plant.peer("apc") as apc, plant.peer(attacker) as other:
        sink = Sink()
        subscription = await apc.client.create_subscription(50, sink)
        item = await subscription.subscribe_data_change(apc.client.get_node(apc.ids[HEARTBEAT]))
        number = subscription.subscription_id
        assert await outcome(ATTACKS[name](other, number, item)) == {FOREIGN}
        before = sink.seen
        await apc.until(HEARTBEAT, lambda _: sink.seen > before + 3)
        await subscription.delete()


async def test_an_observer_cannot_take_over_anothers_subscription(plant):
    async with plant.peer("apc") as apc, plant.peer("observer") as observer:
        subscription = await apc.client.create_subscription(50, Sink())
        wanted = ua.TransferSubscriptionsParameters(
            SubscriptionIds=[subscription.subscription_id], SendInitialValues=False
        )
        (taken,) = await observer.client.uaclient.transfer_subscriptions(wanted)
        assert taken.StatusCode.name == "BadUserAccessDenied"
        await subscription.delete()


async def test_an_orphaned_subscription_still_belongs_to_its_user(plant):
    async with plant.peer("apc") as apc, plant.peer("observer") as observer:
        subscription = await apc.client.create_subscription(1000, Sink())
        wanted = ua.TransferSubscriptionsParameters(
            SubscriptionIds=[subscription.subscription_id], SendInitialValues=False
        )
        await apc.client.uaclient.close_session(delete_subscriptions=False)
        apc.client.disconnect_socket()
        (taken,) = await observer.client.uaclient.transfer_subscriptions(wanted)
        assert taken.StatusCode.name == "BadUserAccessDenied"


def too_many(peer):
    """Every service that takes a list, with one more than is allowed."""
    node, count = peer.ids[HEARTBEAT], limits.MAX_OPERATIONS + 1
    read = ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value)
    write = ua.WriteValue(NodeId=node, AttributeId=ua.AttributeIds.Value)
    step = ua.RelativePathElement(TargetName=ua.QualifiedName("X", 0))
    path = ua.BrowsePath(StartingNode=node, RelativePath=ua.RelativePath(Elements=[step]))
    client = peer.client.uaclient
    return {
        "read": lambda n=count: client.read(ua.ReadParameters(NodesToRead=[read] * n)),
        "write": lambda n=count: client.write(ua.WriteParameters(NodesToWrite=[write] * n)),
        "browse": lambda n=count: client.browse(
            ua.BrowseParameters(NodesToBrowse=[ua.BrowseDescription(NodeId=node)] * n)
        ),
        "translate": lambda n=count: client.translate_browsepaths_to_nodeids([path] * n),
        "call": lambda n=count: client.call([ua.CallMethodRequest()] * n),
    }


@pytest.mark.parametrize("service", ["read", "write", "browse", "translate", "call"])
async def test_a_request_for_too_many_nodes_is_refused_whole(plant, service):
    async with plant.peer("observer") as observer:
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await too_many(observer)[service]()
        assert caught.value.code == ua.StatusCodes.BadTooManyOperations
        assert len(await too_many(observer)[service](limits.MAX_OPERATIONS)) == 500


async def test_too_many_items_are_refused_at_once_and_in_sum(plant):
    async with plant.peer("observer") as observer:
        subscription = await observer.client.create_subscription(1000, Sink())
        heartbeat = item_request(observer.ids[HEARTBEAT])

        async def add(count):
            return await observer.client.uaclient.create_monitored_items(
                ua.CreateMonitoredItemsParameters(
                    SubscriptionId=subscription.subscription_id, ItemsToCreate=[heartbeat] * count
                )
            )

        assert await outcome(add(limits.MAX_OPERATIONS + 1)) == {"BadTooManyOperations"}
        for _ in range(limits.MAX_MONITORED_ITEMS_PER_USER // limits.MAX_OPERATIONS):
            assert await outcome(add(limits.MAX_OPERATIONS)) == {"Good"}
        assert await outcome(add(1)) == {"BadTooManyMonitoredItems"}
        await subscription.delete()


async def test_the_limit_is_published(plant):
    async with plant.peer("observer") as observer:
        for name in (
            "MaxNodesPerRead",
            "MaxNodesPerWrite",
            "MaxNodesPerBrowse",
            "MaxNodesPerMethodCall",
            "MaxNodesPerTranslateBrowsePathsToNodeIds",
            "MaxMonitoredItemsPerCall",
        ):
            number = getattr(ua.ObjectIds, f"Server_ServerCapabilities_OperationLimits_{name}")
            shown = await observer.client.get_node(ua.NodeId(number)).read_value()
            assert shown == limits.MAX_OPERATIONS


async def test_a_message_that_is_too_long_ends_its_connection_only(plant):
    async with plant.peer("engineer") as engineer:
        async with plant.peer("observer") as observer:
            read = ua.ReadValueId(NodeId=observer.ids[HEARTBEAT], AttributeId=13)
            with pytest.raises((ua.UaError, ConnectionError, asyncio.CancelledError)):
                await observer.client.uaclient.read(ua.ReadParameters(NodesToRead=[read] * 50_000))
            observer.client.disconnect_socket()
        assert await engineer.read(HEARTBEAT) >= 0


async def test_one_observer_leaves_subscriptions_to_the_others(plant):
    async with contextlib.AsyncExitStack() as stack:
        made = 0
        for _ in range(3):
            observer = await stack.enter_async_context(plant.peer("observer"))
            own = 0
            with contextlib.suppress(ua.uaerrors.BadTooManySubscriptions):
                while True:
                    await observer.client.create_subscription(1000, Sink())
                    own += 1
            assert own <= limits.MAX_SUBSCRIPTIONS_PER_SESSION
            made += own
        assert made == limits.MAX_SUBSCRIPTIONS_PER_USER
        apc = await stack.enter_async_context(plant.peer("apc"))
        await (await apc.client.create_subscription(100, Sink())).delete()


async def test_one_user_leaves_sessions_to_the_others(plant):
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(limits.MAX_SESSIONS_PER_USER):
            await stack.enter_async_context(plant.peer("observer"))
        with pytest.raises(ua.uaerrors.BadTooManySessions):
            await stack.enter_async_context(plant.peer("observer"))
        apc = await stack.enter_async_context(plant.peer("apc"))
        assert await apc.read(HEARTBEAT) >= 0


async def test_sockets_without_a_login_do_not_keep_users_out(plant):
    host, port = plant.endpoint.removeprefix("opc.tcp://").split(":")
    opened = [await asyncio.open_connection(host, int(port)) for _ in range(120)]
    try:
        await asyncio.sleep(0.2)
        async with plant.peer("operator") as operator:
            assert await operator.read(HEARTBEAT) >= 0
        ends = [asyncio.create_task(reader.read()) for reader, _ in opened]
        begun_s = time.monotonic()
        await asyncio.wait_for(asyncio.gather(*ends, return_exceptions=True), 8.0)
        assert time.monotonic() - begun_s < limits.LOGIN_LIMIT_S + 1.0
    finally:
        for _, writer in opened:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def stranger(endpoint):
    """A connection with an open channel and no session."""
    client = Client(endpoint, timeout=10)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    try:
        yield client
    finally:
        client.disconnect_socket()


async def test_a_stranger_cannot_register_a_server(plant):
    evil = ua.RegisteredServer(
        ServerUri="urn:trimtab:softplant:server",
        ProductUri="evil",
        ServerNames=[ua.LocalizedText("EVIL")],
        DiscoveryUrls=["opc.tcp://evil.example:4840"],
        IsOnline=True,
    )
    async with stranger(plant.endpoint) as client:
        assert await outcome(client.uaclient.register_server(evil)) == {"BadServiceUnsupported"}
        again = ua.RegisterServer2Parameters(Server=evil)
        assert await outcome(client.uaclient.register_server2(again)) == {"BadServiceUnsupported"}
        (known,) = await client.find_servers()
    assert known.ApplicationName.Text != "EVIL"
    assert known.DiscoveryUrls == [plant.endpoint]


async def test_a_stranger_gets_few_sessions(plant):
    async with stranger(plant.endpoint) as client:
        wanted = ua.CreateSessionParameters(
            ClientNonce=os.urandom(32),
            EndpointUrl=plant.endpoint,
            SessionName="x",
            RequestedSessionTimeout=1e9,
        )
        for _ in range(limits.MAX_SESSIONS_PER_CONNECTION):
            assert await outcome(client.uaclient.create_session(wanted)) == {"Good"}
        assert await outcome(client.uaclient.create_session(wanted)) == {"BadTooManySessions"}
