"""Clients that come and go: nothing that was made for them stays in the plant's memory."""

import asyncio
import collections
import gc
import logging
import time

import pytest
from asyncua import Client, ua

from benchmarks.watcher import MOVING
from plant_sim.history import HistoryStore
from plant_sim.opcua.area import PlantArea
from plant_sim.opcua.history_recorder import HistoryRecorder
from plant_sim.opcua.server import PlantServer
from plant_sim.opcua.users import RoleUsers
from plant_sim.plant import PlantOptions
from plant_sim.unit.handshake import Handshake
from plant_sim.unit.reactor_unit import ReactorUnit
from plant_sim.unit.tags import NAMESPACE, Role

WORD = "a word to log in with"
ROUND = 24
ABRUPT = 3
"""Every so many clients one vanishes without a word."""
KEPT = ROUND // 2
"""A kind of object of which so many more are there after a round is kept a client or a few."""
SERVERS_OWN = (
    "asyncua.server.",
    "asyncua.common.connection.",
    "logging.Logger",
    "plant_sim.",
    "structlog.",
)
SHORTEST_TIMEOUT_MS = 5000.0
GONE_S = 30.0


class Sink:
    def __init__(self):
        self.heard = asyncio.Event()

    def datachange_notification(self, node, value, data):  # noqa: ARG002
        self.heard.set()


@pytest.fixture
async def inside():
    """A plant in this process, where what it keeps can be counted: (its URL, the server)."""
    unit = ReactorUnit(
        scenario="startup",
        seed=0,
        options=PlantOptions(noise=True),
        hand=Handshake(),
        speed=3000.0,
    )
    history = HistoryRecorder(
        HistoryStore(None, retention_s=3600.0, max_values=1000), interval_s=3600.0
    )
    users = RoleUsers({"observer": (Role.OBSERVER, WORD)})
    server = PlantServer(unit, users, host="127.0.0.1", port=0, history=history)
    area = PlantArea([server], tick_s=0.05)
    await area.start()
    try:
        yield area.endpoints[0], server
    finally:
        await area.stop()
        history.close()


async def come_and_go(url, *, vanishing):
    client = Client(url, timeout=10)
    client.session_timeout = SHORTEST_TIMEOUT_MS
    client.set_user("observer")
    client.set_password(WORD)
    async with client:
        index = await client.get_namespace_index(NAMESPACE)
        sink = Sink()
        subscription = await client.create_subscription(50, sink)
        items = [client.get_node(ua.NodeId(number, index)) for number in MOVING]
        await subscription.subscribe_data_change(items)
        await asyncio.wait_for(sink.heard.wait(), 10.0)
        if vanishing:
            client.uaclient.protocol.transport.abort()


async def one_round(url, server):
    """`ROUND` clients; returns when the plant has ended what they left."""
    for place in range(ROUND):
        await come_and_go(url, vanishing=place % ABRUPT == 0)
    core, end_s = server._core, time.monotonic() + GONE_S
    while core._external_sessions or server._server.bserver.closing_tasks:
        assert time.monotonic() < end_s
        await asyncio.sleep(0.2)


def objects():
    """How many objects of each kind that a server makes there are; the clients are here, too."""
    gc.collect()
    kinds = [f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects()]
    mine = [kind for kind in kinds if kind.startswith(SERVERS_OWN)]
    # Samples wait for the history's next second; they come with time, whoever is connected.
    return collections.Counter(kind for kind in mine if kind != "plant_sim.history.Sample")


def tables(server):
    """Entries of what outlives a session."""
    core, listening = server._core, server._server.bserver
    return {
        "sessions": len(core._external_sessions),
        "subscriptions": len(core.subscription_service.subscriptions),
        "subscribers that count": sum(
            number in core.subscription_service.subscriptions for number in core.subscribers
        ),
        "data change callbacks": len(core.aspace._handle_to_attribute_map),
        "transports": len(core.asyncio_transports),
        "connections": len(listening.clients),
        "ends under way": len(listening.closing_tasks),
        "loggers": len(logging.Logger.manager.loggerDict),
        "tasks": len(asyncio.all_tasks()),
    }


async def test_of_clients_that_came_and_went_nothing_stays(inside):
    url, server = inside
    await one_round(url, server)
    held, before = tables(server), objects()
    await one_round(url, server)
    grown = {kind: count for kind, count in (objects() - before).items() if count >= KEPT}
    assert tables(server) == held
    assert grown == {}
