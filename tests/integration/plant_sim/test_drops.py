"""Clients that vanish without a word: what they had is given back."""

import asyncio
import contextlib

from asyncua import ua

from benchmarks.watcher import MOVING
from plant_sim.opcua import limits

AWAY_S = 30.0


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


async def test_twenty_vanished_clients_leave_no_subscription(start_plant):
    plant = start_plant("--speed", "3000", "--noise")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(limits.MAX_SUBSCRIPTIONS_PER_USER):
            await vanish(stack, plant)
        assert await subscriptions_to_be_had(plant) == 0, "nobody vanished"
        await asyncio.sleep(AWAY_S)
        assert await subscriptions_to_be_had(plant) == limits.MAX_SUBSCRIPTIONS_PER_USER
