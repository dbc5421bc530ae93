"""A soft plant with many more tags, each of which takes a new value ten times a second.

    python -m benchmarks.wide_plant --tags 500 --credentials FILE --ready-file FILE

A reactor has about ten tags that change in every tick. This is the same server, with the same
sessions, limits and reactor, and its own tags besides, below Objects: `WIDE_FIRST` and on. They are
written as the plant publishes its own, all of them every `PERIOD_S`. For the loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from asyncua import ua

from plant_sim.history import HistoryStore
from plant_sim.opcua.address_space import data_value
from plant_sim.opcua.area import PlantArea
from plant_sim.opcua.history_recorder import HistoryRecorder
from plant_sim.opcua.server import PlantServer
from plant_sim.opcua.users import load_users
from plant_sim.plant import PlantOptions
from plant_sim.unit.handshake import Handshake
from plant_sim.unit.reactor_unit import ReactorUnit
from plant_sim.unit.tags import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDE_FIRST = 50_001
"""Number of the first tag that the reactor does not have."""
PERIOD_S = 0.1
TICK_S = 0.05
SPEED = 3000.0


async def add_tags(server: PlantServer, count: int) -> list[ua.NodeId]:
    """`count` Doubles below Objects."""
    index = server.nodes.index
    items = []
    for number in range(WIDE_FIRST, WIDE_FIRST + count):
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = ua.NodeId(number, index)
        item.BrowseName = ua.QualifiedName(f"Wide{number}", index)
        item.ParentNodeId = ua.NodeId(ua.ObjectIds.ObjectsFolder)
        item.ReferenceTypeId = ua.NodeId(ua.ObjectIds.Organizes)
        item.NodeClass = ua.NodeClass.Variable
        item.TypeDefinition = ua.NodeId(ua.ObjectIds.BaseDataVariableType)
        item.NodeAttributes = ua.VariableAttributes(
            DisplayName=ua.LocalizedText(f"Wide{number}"),
            Value=ua.Variant(0.0, ua.VariantType.Double),
            DataType=ua.NodeId(ua.ObjectIds.Double),
            ValueRank=ua.ValueRank.Scalar,
            AccessLevel=ua.AccessLevel.CurrentRead.mask,
            UserAccessLevel=ua.AccessLevel.CurrentRead.mask,
        )
        items.append(item)
    core = server._core  # noqa: SLF001 - the plant's tags are a table, and these are not in it
    results = await core.isession.add_nodes(items)
    for result in results:
        result.StatusCode.check()
    return [result.AddedNodeId for result in results]


async def write_for_ever(server: PlantServer, nodes: Sequence[ua.NodeId]) -> None:
    """Every tag a new value every `PERIOD_S`, on a grid that does not drift."""
    space, begun_s = server._core.aspace, time.monotonic()  # noqa: SLF001
    for step in itertools.count(1):
        await asyncio.sleep(max(0.0, begun_s + step * PERIOD_S - time.monotonic()))
        utc = datetime.now(UTC)
        for node in nodes:
            data = data_value(Kind.DOUBLE, random.random(), utc, utc)  # noqa: S311
            await space.write_attribute_value(node, ua.AttributeIds.Value, data)


async def serve(tags: int, credentials: Path, ready: Path) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    unit = ReactorUnit(
        scenario="startup", seed=0, options=PlantOptions(noise=True), hand=Handshake(), speed=SPEED
    )
    store = HistoryStore(None, retention_s=3600.0, max_values=100_000)
    history = HistoryRecorder(store, interval_s=1.0)
    users = load_users(credentials)
    server = PlantServer(unit, users, host="127.0.0.1", port=0, history=history)
    area = PlantArea([server], tick_s=TICK_S)
    await area.start()
    nodes = await add_tags(server, tags)
    writing = asyncio.create_task(write_for_ever(server, nodes))
    gc.freeze()  # as the plant's own process does
    _announce(ready, area.endpoints[0])
    await asyncio.wait(
        [writing, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED
    )
    if writing.done():
        writing.result()
    writing.cancel()
    await area.stop()
    history.close()


def _announce(ready: Path, endpoint: str) -> None:
    ready.write_text(json.dumps({"endpoint": endpoint, "pid": os.getpid()}), encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wide_plant", description=__doc__)
    parser.add_argument("--tags", type=int, required=True)
    parser.add_argument("--credentials", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args(arguments)
    asyncio.run(serve(options.tags, options.credentials, options.ready_file))


if __name__ == "__main__":
    main(sys.argv[1:])
