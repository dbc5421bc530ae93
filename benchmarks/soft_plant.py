"""A soft plant in a process of its own, and its operator, for the parts that need a whole plant."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.configuration.security import SecuritySettings
from controller.demo.processes import command, start, stop, wait_for_file
from controller.demo.room import ApcMode, ControlRoom, read_passwords
from controller.opcua.pki import Folder, wish
from controller.opcua.security import load_security

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SPEED = 3000.0
READY_S = 120.0
HEARTBEAT_TIMEOUT_S = 10.0

HERE = f"PYTHONPATH={Path(__file__).resolve().parents[1]}"
"""These benchmarks are not installed: a child finds them by it."""

CERTIFICATE_DAYS, KEY_BITS = 1, 2048

logging.getLogger("asyncua").setLevel(logging.ERROR)  # passwords may go over loopback in clear here


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftPlant:
    """Where it listens, who may log in, and a folder that goes away with it."""

    url: str
    passwords: dict[str, str]
    folder: Path
    security: SecuritySettings
    endpoints: list[str]
    pid: int

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[ControlRoom]:
        """The control room, logged in; back in Manual at the end."""
        async with ControlRoom(self.url, self.passwords, load_security(self.security)) as room:
            yield room
            await room.select(ApcMode.MANUAL)


@asynccontextmanager
async def soft_plant(
    *, secure: bool = False, units: int = 1, wide: int = 0
) -> AsyncIterator[SoftPlant]:
    """Serve a plant at `SPEED` with noise; secure: encrypted, each side trusting the other.

    units: reactors in it, an endpoint each.  wide: tags that `benchmarks.wide_plant` adds to the
    one reactor that it has.
    """
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-") as name:
        folder = Path(name)
        ready, users = folder / "ready.json", folder / "users.toml"
        arguments = ["serve", "--port", "0", "--speed", f"{SPEED:g}", "--noise"]
        arguments += ["--heartbeat-timeout", f"{HEARTBEAT_TIMEOUT_S:g}"]
        arguments += ["--units", str(units)]
        arguments += ["--credentials", str(users), "--ready-file", str(ready)]
        arguments += ["--pki", str(folder / "plant-pki")] if secure else ["--insecure"]
        argv = [*command("trimtab-plant"), *arguments]
        if wide:
            argv = ["/usr/bin/env", HERE, sys.executable, "-m", "benchmarks.wide_plant"]
            argv += ["--tags", str(wide)]
            argv += ["--credentials", str(users), "--ready-file", str(ready)]
        child = start("trimtab-plant", argv, log=folder / "plant.log")
        try:
            found = json.loads(await wait_for_file(ready, child, READY_S))
            security = SecuritySettings(policy="None", insecure=True)
            if secure:
                security = _trusting(folder / "pki", folder / "plant-pki")
            yield SoftPlant(
                url=found["endpoint"],
                passwords=read_passwords(users),
                folder=folder,
                security=security,
                endpoints=found.get("endpoints", [found["endpoint"]]),
                pid=found["pid"],
            )
        finally:
            await asyncio.shield(stop(child, signal.SIGTERM))


def _trusting(ours: Path, plants: Path) -> SecuritySettings:
    """A certificate for us, and each side's in the other's folder."""
    mine, others = Folder(ours), Folder(plants)
    own = mine.init(wish(uri=None, given=(), days=CERTIFICATE_DAYS), KEY_BITS)
    mine.trust(others.own())
    others.trust(own)
    return SecuritySettings(pki=ours)
