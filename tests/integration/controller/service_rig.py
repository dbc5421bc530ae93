"""The service in process, on the foreign plant with a small interface block."""

import asyncio
import json
import os
import signal

from controller.configuration.settings import load_settings
from controller.journal.reader import Reader
from controller.service import Service
from controller.startup import prepare
from tests.integration.controller.foreign_plant import FOREIGN_TAGS
from tests.support.waiting import until

HANDSHAKE = """
[handshake]
heartbeat_in = "plc:s=APC.HB_IN"
request = "plc:s=APC.REQUEST"
mode = "plc:s=APC.MODE"
"""
CLOCK = """
[clock]
speed = "plc:s=SIM.SPEED"
"""
TAGS = FOREIGN_TAGS + HANDSHAKE + CLOCK
UNHURRIED = {"scan": {"deadline_fraction": 0.9}}
"""For a test that does not ask how fast a scan is."""
CONFIG = """
[server]
url = {url}
[security]
policy = "None"
insecure = true
[scan]
period_s = {period_s}
[tags]
path = "tags.toml"
[journal]
path = {journal}
[metrics]
port = 0
"""


def configure(folder, plant, tags=TAGS, *, period_s=0.1, journal="journal.db"):
    """Write tags.toml and controller.toml; the path of the latter."""
    (folder / "tags.toml").write_text(tags, encoding="utf-8")
    config = folder / "controller.toml"
    url, journal = json.dumps(plant.url), json.dumps(str(folder / journal))
    text = CONFIG.format(url=url, journal=journal, period_s=period_s)
    config.write_text(text, encoding="utf-8")
    return config


class Rig:
    """One service; ends at SIGTERM as it would alone."""

    def __init__(self, folder, plant) -> None:
        self.folder = folder
        self.plant = plant
        self.journal = folder / "journal.db"
        self.config = configure(folder, plant)
        self.task: asyncio.Task[int] | None = None
        self.service: Service | None = None

    def start(self, **overrides) -> asyncio.Task[int]:
        prepared = prepare(load_settings(self.config, overrides))
        self.service = Service(prepared, self.config)
        self.task = asyncio.create_task(self.service.run())
        return self.task

    async def beating(self) -> bool:
        return await self.plant.get("APC.HB_IN") > 2

    async def following(self) -> bool:
        return await self.plant.get("APC.REQUEST")

    async def into_auto(self) -> None:
        self.start()
        await until(self.beating, 30.0)
        await self.plant.put("APC.MODE", 2)
        await until(self.following)

    async def auto_anew(self) -> None:
        """Manual, until a scan has seen it, then Auto, until the controller asks for the MVs.

        Selected again where it does not: a busy machine may be late and shed at once.
        """
        async with asyncio.timeout(60.0):
            while True:
                await self.plant.put("APC.MODE", 0)
                await until(self._released, 30.0)
                await self.plant.put("APC.MODE", 2)
                for _ in range(100):
                    if await self.following():
                        return
                    await asyncio.sleep(0.02)

    async def _released(self) -> bool:
        with Reader.open(self.journal) as reader:
            last = reader.tail(1)
        return bool(last) and last[0]["mode_after"] == "MANUAL" and not await self.following()

    async def stop(self) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(30.0):
            return await self.task

    def read(self):
        with Reader.open(self.journal) as reader:
            return list(reader.scans()), reader.events()
