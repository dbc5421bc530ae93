"""Rows of a scan while many watch it: the HMI with twenty viewers beside the HMI with none.

A real controller in AUTO on a real plant and a real HMI, each in its own process; here are the
viewers, each with a stream of its own that it reads as fast as it comes. Spells with and without
viewers take turns in one run, and the scans of the journal are told apart by them.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import psutil

from benchmarks.in_command import PERIOD_S, Spell, controller, cpu_s, enter_auto, scans_in
from benchmarks.measure import Quantiles
from benchmarks.process import START_S
from benchmarks.rows import UNITS, Row, ratio_of
from benchmarks.soft_plant import SoftPlant, soft_plant
from controller.demo.processes import MODULES, start, stop, wait_for_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

VIEWERS = 20
SPELL_S = 5.0
UNIT = "R101"


class NobodyWatchedError(Exception):
    """The viewers received nothing in their spells."""


def rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """Scans with and without viewers, for about `seconds`, two spells of each at least."""
    return asyncio.run(_measured(max(seconds, 4.0 * SPELL_S), seed))


async def _measured(seconds: float, seed: int) -> list[Row]:
    async with (
        soft_plant() as plant,
        plant.operator() as room,
        controller(plant),
        _hmi(plant) as (screens, url),
    ):
        await enter_auto(room, "grade_up", seed)
        spells: list[Spell] = []
        received = 0
        rates: dict[bool, list[float]] = {True: [], False: []}
        began = time.time()
        while time.time() < began + seconds or len(spells) % 2:
            watched = len(spells) % 2 == 1
            async with _watching(url, VIEWERS if watched else 0) as heard:
                from_s, used = time.time(), cpu_s(screens)
                await asyncio.sleep(SPELL_S)
                spells.append(Spell(began=from_s, ended=time.time(), disturbed=watched))
                rates[watched].append((cpu_s(screens) - used) / SPELL_S)
            received += heard.events
        if not received:
            raise NobodyWatchedError(f"{VIEWERS} viewers heard nothing")
        found = {what: scans_in(plant, spells, what) for what in ("lateness_s", "duration_s")}
    return [
        _row("scan begins late while watched", "scan begins late", found["lateness_s"], received),
        _row("scan while watched", "scan", found["duration_s"], received),
        _cost(rates),
    ]


class _Heard:
    """What the viewers of a spell have received."""

    def __init__(self) -> None:
        self.events = 0


@asynccontextmanager
async def _watching(url: str, count: int) -> AsyncIterator[_Heard]:
    heard = _Heard()
    limits = httpx.Limits(max_connections=VIEWERS + 1)
    async with httpx.AsyncClient(limits=limits, timeout=30.0) as client:
        viewers = [asyncio.create_task(_view(client, url, heard)) for _ in range(count)]
        await asyncio.sleep(0.5)
        try:
            yield heard
        finally:
            for viewer in viewers:
                viewer.cancel()
            ended = await asyncio.gather(*viewers, return_exceptions=True)
    for one in ended:
        if not isinstance(one, asyncio.CancelledError):
            raise NobodyWatchedError(f"a viewer ended early: {one!r}")


async def _view(client: httpx.AsyncClient, url: str, heard: _Heard) -> None:
    async with client.stream("GET", f"{url}/api/stream", params={"unit": UNIT}) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            heard.events += line.startswith("data:")


@asynccontextmanager
async def _hmi(plant: SoftPlant) -> AsyncIterator[tuple[psutil.Process, str]]:
    ready = plant.folder / "hmi.json"
    settings = _settings(plant)
    argv = [sys.executable, "-m", MODULES["trimtab"], "hmi", "--hmi", str(settings)]
    child = start("trimtab hmi", [*argv, "--ready-file", str(ready)], log=plant.folder / "hmi.log")
    try:
        found = json.loads(await wait_for_file(ready, child, START_S))
        yield psutil.Process(found["pid"]), found["url"].rstrip("/")
    finally:
        await asyncio.shield(stop(child, signal.SIGTERM))


def _settings(plant: SoftPlant) -> Path:
    secret = plant.folder / "observer.password"
    secret.touch(mode=0o600)
    secret.write_text(plant.passwords["observer"], encoding="utf-8")
    settings = plant.folder / "hmi.toml"
    journal = plant.folder / "runs/journal.db"
    settings.write_text(
        f'[web]\nport = 0\n[account]\nuser = "observer"\npassword_file = "{secret}"\n'
        f'[[units]]\nname = "{UNIT}"\nconfig = "{plant.folder / "controller.toml"}"\n'
        f'journal = "{journal}"\n',
        encoding="utf-8",
    )
    return settings


def _row(name: str, against: str, found: dict[bool, list[float]], received: int) -> Row:
    with_, alone = (Quantiles.of(found[kind]).scaled(UNITS["ms"]) for kind in (True, False))
    return Row(
        name=name,
        size=f"a scan each {PERIOD_S:g} s, {VIEWERS} viewers",
        against=against,
        ours=with_.p50,
        theirs=alone.p50,
        ratio=ratio_of(with_.p50, alone.p50),
        p50=with_.p50,
        p99=with_.p99,
        theirs_p99=alone.p99,
        unit="ms",
        repetitions=len(found[True]),
        note=f"of the journal's scans; {received} events were received",
    )


def _cost(rates: dict[bool, list[float]]) -> Row:
    """CPU time of the HMI's process, as percent of a core."""
    with_, alone = (100.0 * sum(rates[kind]) / len(rates[kind]) for kind in (True, False))
    return Row(
        name="CPU of the HMI while watched",
        size=f"{VIEWERS} viewers of one unit",
        against="CPU of the HMI",
        ours=with_,
        theirs=alone,
        p50=with_,
        unit="% of a core",
        repetitions=len(rates[True]),
    )
