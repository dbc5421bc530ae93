"""One soft plant with two reactors, encrypted, and who is logged in there."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import pytest
from asyncua import Client

from controller.configuration.security import SecuritySettings
from controller.opcua.pki import Folder, wish
from controller.opcua.security import load_security
from tests.support.processes import PipedProcess, free_pair
from tests.support.soft_plant import NAMESPACE, SPEED, Session, password_of

ROOT = Path(__file__).parents[3]
LONG_DAYS, SHORT_DAYS, KEY_BITS = 365, 2, 2048


class InCharge(Session):
    """A logged-in user who takes a busy machine as it is."""

    async def auto(self) -> None:
        """Manual, then Auto, until the controller has the MVs."""
        for _ in range(5):
            await self.select(0)
            await asyncio.sleep(0.5)
            await self.select(2)
            for _ in range(40):
                if await self.get("APC/Active"):
                    return
                await asyncio.sleep(0.05)
        pytest.fail("the controller did not take the MVs")


class Plant:
    """One `trimtab-plant serve` with two reactors, encrypted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_pair()
        self.pki = folder / "plant-pki"
        self.endpoints: list[str] = []
        self.process = None
        self.security = None

    async def start(self) -> None:
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "plant_sim.cli", "serve"]
        argv += ["--port", str(self.port), "--units", "2", "--speed", f"{SPEED:g}", "--noise"]
        argv += ["--heartbeat-timeout", "1", "--pki", str(self.pki)]
        argv += ["--credentials", str(self.folder / "users.toml"), "--ready-file", str(ready)]
        self.process = PipedProcess(argv, self.folder, PYTHONPATH=str(ROOT))
        await self.process.ready(ready.is_file, "the plant")
        self.endpoints = json.loads(ready.read_text())["endpoints"]
        if self.security is None:
            pki = certified(self, self.folder / "room-pki", LONG_DAYS)
            self.security = load_security(SecuritySettings(pki=pki))

    def password(self, user: str) -> str:
        return password_of(self.folder, user)

    @contextlib.asynccontextmanager
    async def login(self, user: str, place: int = 0):
        client = Client(self.endpoints[place])
        client.set_user(user)
        client.set_password(self.password(user))
        await self.security.secure(client)
        async with client:
            yield InCharge(client, await client.get_namespace_index(NAMESPACE))


def certified(plant: Plant, pki: Path, days: int) -> Path:
    """A folder of certificates, valid for so long and trusted by the plant as it trusts it."""
    ours, plants = Folder(pki), Folder(plant.pki)
    own = ours.init(wish(uri=None, given=(), days=days), KEY_BITS)
    ours.trust(plants.own())
    plants.trust(own)
    return pki
