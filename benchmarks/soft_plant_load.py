"""What many clients cost the soft plant: publishing, abrupt ends, memory.

    python -m benchmarks.soft_plant_load [--units 1 | --wide] [--tags 500] [--seconds 30]
                                         [--drops 200] [--minutes 10] [--out soft_plant_load.json]

publishing: two clients, `--tags` monitored items each at 10 Hz, on tags that change in every tick
of the plant; each client is a process that counts and looks at every value, and does no more. A
unit has ten such tags, so an item watches what others watch too; with `--wide` every item has a tag
of its own on one server, with `--units 50` as well, and 50 reactors are computed besides.
drops: clients that subscribe and vanish without a word; after 30 s every user must be able to have
all the subscriptions that a user may have, so none is left.
memory: clients subscribe and end as fast as the plant lets them, one user in order, three abruptly;
after a minute of that, resident memory every two seconds, which the JSON has in full.

CPU is the plant's own time, so it may be measured on a busy machine. A part with 0 is left out.
Exit codes: 0 every goal is met, 1 one is not, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncua import ua
from rich.console import Console

from benchmarks.churn import memory, vanish
from benchmarks.full_rate import publishing
from benchmarks.load_rows import Row, table
from benchmarks.soft_plant import SoftPlant, soft_plant
from benchmarks.watcher import Watcher, refused
from plant_sim.opcua import limits
from plant_sim.unit.tags import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

FREE_AFTER_S = 30.0
"""From the last drop to the moment at which no subscription may be left."""
EXIT_MISSED, EXIT_INTERRUPTED = 1, 130


async def left_behind(plant: SoftPlant, user: Role) -> int:
    """How many of the subscriptions that a user may have are taken by nobody that is there."""
    made = 0
    async with contextlib.AsyncExitStack() as stack:
        while made < limits.MAX_SUBSCRIPTIONS_PER_USER:
            try:
                watcher = await stack.enter_async_context(Watcher.session(plant, user, items=0))
                for _ in range(limits.MAX_SUBSCRIPTIONS_PER_SESSION):
                    await watcher.subscribe(0)
                    made += 1
            except ua.UaStatusCodeError as error:
                if not refused(error):
                    raise
                break
    return limits.MAX_SUBSCRIPTIONS_PER_USER - made


async def drops(plant: SoftPlant, count: int) -> list[Row]:
    """`count` clients vanish; what they leave."""
    users = list(Role)
    begun_s, refusals = time.monotonic(), 0
    for place in range(count):
        refusals += await vanish(plant, users[place % len(users)])
    taken_s = time.monotonic() - begun_s
    await asyncio.sleep(FREE_AFTER_S)
    left = sum([await left_behind(plant, user) for user in users])
    size, after = f"{count} abrupt ends", f"{FREE_AFTER_S:g} s"
    return [
        Row(name=f"subscriptions left after {after}", size=size, value=left, unit="", goal=0),
        Row(name="refused for want of room meanwhile", size=size, value=refusals, unit="attempts"),
        Row(name="time taken", size=size, value=taken_s, unit="s"),
    ]  # fmt: skip


async def measure(options: argparse.Namespace) -> tuple[list[Row], list[dict[str, Any]]]:
    """The parts that were asked for, each on a fresh plant; the samples of the memory."""
    found: list[Row] = []
    samples: list[dict[str, Any]] = []
    if options.seconds:
        wide = options.tags if options.wide else 0
        async with soft_plant(units=options.units, wide=wide) as plant:
            found += await publishing(
                plant, tags=options.tags, seconds=options.seconds, wide=options.wide
            )
    if options.drops:
        async with soft_plant() as plant:
            found += await drops(plant, options.drops)
    if options.minutes:
        async with soft_plant() as plant:
            rows, samples = await memory(plant, options.minutes)
            found += rows
    return found, samples


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soft_plant_load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    many = parser.add_mutually_exclusive_group()
    many.add_argument("--units", type=int, default=1, help="reactors for the publishing part")
    many.add_argument("--wide", action="store_true", help="one reactor, a tag for every item")
    parser.add_argument("--tags", type=int, default=500, help="monitored items of each client")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the publishing part")
    parser.add_argument("--drops", type=int, default=200, help="abrupt ends of clients")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the memory part")
    parser.add_argument("--out", type=Path, default=Path("soft_plant_load.json"))
    options = parser.parse_args(arguments)
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # a vanished client's own complaints
    try:
        rows, samples = asyncio.run(measure(options))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    Console(width=None if sys.stdout.isatty() else 160).print(table(rows))
    document = {
        "rows": [asdict(row) for row in rows],
        "memory": samples,
        "machine": platform.platform(),
    }
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return EXIT_MISSED if any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
