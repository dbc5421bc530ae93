"""A soft plant in a process of its own, and its operator, for the parts that need a whole plant."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.demo.processes import command, start, stop, wait_for_file
from controller.demo.room import ApcMode, ControlRoom, read_passwords

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SPEED = 3000.0
READY_S = 120.0
HEARTBEAT_TIMEOUT_S = 10.0

logging.getLogger("asyncua").setLevel(logging.ERROR)  # passwords go over loopback here, unencrypted


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftPlant:
    """Where it listens, who may log in, and a folder that goes away with it."""

    url: str
    passwords: dict[str, str]
    folder: Path

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[ControlRoom]:
        """The control room, logged in; back in Manual at the end."""
        async with ControlRoom(self.url, self.passwords) as room:
            yield room
            await room.select(ApcMode.MANUAL)


@asynccontextmanager
async def soft_plant(more: Sequence[str] = ()) -> AsyncIterator[SoftPlant]:
    """Serve a plant at `SPEED` with noise; `more` are arguments of `trimtab-plant serve`."""
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-") as name:
        folder = Path(name)
        ready, users = folder / "ready.json", folder / "users.toml"
        arguments = ["serve", "--port", "0", "--speed", f"{SPEED:g}", "--noise"]
        arguments += ["--heartbeat-timeout", f"{HEARTBEAT_TIMEOUT_S:g}"]
        arguments += ["--credentials", str(users), "--ready-file", str(ready), *more]
        child = start(
            "trimtab-plant", [*command("trimtab-plant"), *arguments], log=folder / "plant.log"
        )
        try:
            found = json.loads(await wait_for_file(ready, child, READY_S))
            yield SoftPlant(url=found["endpoint"], passwords=read_passwords(users), folder=folder)
        finally:
            await asyncio.shield(stop(child, signal.SIGTERM))
