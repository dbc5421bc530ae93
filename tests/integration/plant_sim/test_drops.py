"""Clients that vanish without a word: what they had is given back."""

import asyncio
import contextlib

from asyncua import ua

from benchmarks.watcher import MOVING
from plant_sim.opcua import limits

AWAY_S = 30.0
SUBSCRIPTIONS = (
    ua.ObjectIds.Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount
)


class Sink:
    def __init__(self):
        self.heard = asyncio.Event()

    def datachange_notification(self, node, value, data):  # noqa: ARG002
        self.heard.set()


async def vanish(stack, plant):
    """Subscribe, hear something, and be gone like a process that is killed."""
    peer = await stack.enter_async_context(plant.peer("observer"))
    sink = Sink()
    subscription = await peer.client.create_subscription(100, sink)
    items = [peer.client.get_node(ua.NodeId(number, peer.index)) for number in MOVING]
    await subscription.subscribe_data_change(items)
    await asyncio.wait_for(sink.heard.wait(), 10.0)
    peer.client.uaclient.protocol.transport.abort()


async def subscriptions_to_be_had(plant):
    """How many of its subscriptions a user can still make."""
    made = 0
    async with contextlib.AsyncExitStack() as stack:
        with contextlib.suppress(
            ua.uaerrors.BadTooManySubscriptions, ua.uaerrors.BadTooManySessions
        ):
            while made < limits.MAX_SUBSCRIPTIONS_PER_USER:
                peer = await stack.enter_async_context(plant.peer("observer"))
                for _ in range(limits.MAX_SUBSCRIPTIONS_PER_SESSION):
                    await peer.client.create_subscription(1000, Sink())
                    made += 1
    return made


async def test_a_subscription_that_is_left_behind_ends_whatever_lifetime_was_asked_for(start_plant):
    plant = start_plant()
    async with plant.peer("observer") as peer:
        session = peer.client.uaclient.session
        made = await session.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=10.0,
                RequestedLifetimeCount=1_000_000,
                RequestedMaxKeepAliveCount=10,
                PublishingEnabled=True,
            ),
            callback=lambda result: None,  # noqa: ARG005
        )
        assert made.RevisedLifetimeCount == limits.MAX_LIFETIME_COUNT
        await subscriptions(peer, 1)
        await peer.client.uaclient.close_session(delete_subscriptions=False)
        peer.client.disconnect_socket()
    async with plant.peer("engineer") as peer:
        await subscriptions(peer, 0)


async def subscriptions(peer, wanted):
    """Wait until the server counts so many."""
    count = peer.client.get_node(ua.NodeId(SUBSCRIPTIONS))
    async with asyncio.timeout(20.0):
        while await count.read_value() != wanted:  # noqa: ASYNC110  (it counts once a second)
            await asyncio.sleep(0.1)


async def test_twenty_vanished_clients_leave_no_subscription(start_plant):
    plant = start_plant("--speed", "3000", "--noise")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(limits.MAX_SUBSCRIPTIONS_PER_USER):
            await vanish(stack, plant)
        assert await subscriptions_to_be_had(plant) == 0, "nobody vanished"
        await asyncio.sleep(AWAY_S)
        assert await subscriptions_to_be_had(plant) == limits.MAX_SUBSCRIPTIONS_PER_USER
