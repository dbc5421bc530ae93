"""A disk that hangs and a plant that does not answer: trends and other units do not wait for it."""

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from controller.hmi import records
from controller.hmi.app import build
from controller.hmi.context import Context
from controller.hmi.history import History
from controller.hmi.hub import Hub
from controller.hmi.logins import Logins
from controller.hmi.questions import JOURNAL_AT_ONCE, PLANT_AT_ONCE, Questions
from controller.hmi.settings import LoginSettings, for_units
from controller.hmi.watch import Station

RANGE = "from=2026-01-01T00:00&to=2026-01-02T00:00"
MANY = 10


@pytest.fixture
async def context(unit):
    """Two units, watched by nobody."""
    units = {name: replace(unit, name=name) for name in ("R101", "R102")}
    hub = Hub(4, None)
    station = Station(units, hub)
    return Context(
        settings=for_units([Path("unused.toml")], None),
        hub=hub,
        station=station,
        logins=Logins(units, LoginSettings()),
        cookie="c",
        histories={name: History(w.unit, w.line) for name, w in station.watches.items()},
        trends=Questions(1, tells_apart=False),
        journals=Questions(JOURNAL_AT_ONCE, tells_apart=False),
        plants=Questions(PLANT_AT_ONCE, tells_apart=False),
    )


@asynccontextmanager
async def asking(context, paths):
    """A browser, while these paths of R101 are asked for."""
    transport = httpx.ASGITransport(app=build(context))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        work = [asyncio.create_task(client.get(f"/api/units/R101/{path}")) for path in paths]
        await asyncio.sleep(0.1)
        try:
            yield client
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)


async def status(client, path: str) -> int:
    async with asyncio.timeout(5):
        return (await client.get(f"/api/units/{path}")).status_code


async def test_a_journal_that_hangs(context, monkeypatch):
    free, page = threading.Event(), records.page

    def hanging(path, run, **how):
        if run < MANY:
            free.wait(30)
        return page(path, run, **how)

    monkeypatch.setattr(records, "page", hanging)
    paths = [f"runs/{number}/scans" for number in range(MANY)]
    try:
        async with asking(context, paths) as client:
            assert await status(client, "R101/trend") == 200
            assert await status(client, "R102/trend") == 200
            assert await status(client, "R102/runs") == 200
    finally:
        free.set()


async def test_a_plant_that_does_not_answer(context, monkeypatch):
    dead = asyncio.Event()

    async def silent(*_of):
        await dead.wait()
        return {}

    monkeypatch.setattr(context.histories["R101"], "read", silent)
    paths = [f"history?{RANGE}&points={10 + number}" for number in range(MANY)]
    async with asking(context, paths) as client:
        assert await status(client, "R101/trend") == 200
        assert await status(client, f"R102/history?{RANGE}") == 502  # nobody connects it here
        dead.set()
