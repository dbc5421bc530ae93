"""Rows of a scrape of /metrics: what Prometheus waits for, and what the scans feel of it.

A real controller in AUTO on a real plant, each in its own process; here is the scraper, which asks
as Prometheus does, for OpenMetrics and gzip. Spells with and without scrapes take turns in one run,
and the scans of the journal are told apart by them.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import psutil

from benchmarks.measure import Quantiles, Timing
from benchmarks.process import ROOT, START_S, configured
from benchmarks.rows import UNITS, Row, compared, ratio_of
from benchmarks.soft_plant import SPEED, SoftPlant, soft_plant
from controller.demo.processes import MODULES
from controller.demo.room import ApcMode
from controller.journal.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SCRAPE = "scrape of /metrics"
WAIT = "what the scraper waits; CPU time is the scraper's own"
LIMIT_MS = 20.0
"""p99 of a scrape to keep, on an idle machine."""
SPELL_S = 1.0
APART_S = 0.1
"""Between two scrapes of a spell; Prometheus leaves five seconds."""
SETTLED_S = 0.2
"""Left out at either end of a spell, so that every scan lies in one."""
PERIOD_S = 300.0 / SPEED
ASKS = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
READY = re.compile(rb"metrics at (http\S+)")
ENTRY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """One scrape: wait and CPU time of the scraper [s], bytes."""

    wall_s: float
    cpu_s: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A time with scrapes or without [Unix s], and the controller's CPU time in it [s]."""

    began: float
    ended: float
    scraped: bool
    cpu_s: float


class NoRunError(Exception):
    """The controller did not run in AUTO; the message says what it said."""


def rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """Scrapes for half of `seconds`, scans with and without them for all of it."""
    return asyncio.run(_measured(seconds, seed))


async def _measured(seconds: float, seed: int) -> list[Row]:
    async with soft_plant() as plant, plant.operator() as room, _controller(plant) as running:
        await room.reset("grade_up", seed)
        end = time.monotonic() + ENTRY_S
        while not (await room.read()).active:
            await room.select(ApcMode.MANUAL)
            await asyncio.sleep(2.0 * PERIOD_S)
            await room.select(ApcMode.AUTO)
            await asyncio.sleep(10.0 * PERIOD_S)
            if time.monotonic() > end:
                raise NoRunError(f"not in AUTO within {ENTRY_S:g} s")
        scrapes, spells = await _spells(*running, seconds)
        scans = _scans(plant.folder / "runs/journal.db", spells)
    return _rows(scrapes, spells, scans)


async def _spells(
    process: psutil.Process, url: str, seconds: float
) -> tuple[list[Scrape], list[Spell]]:
    """Spells with and without scrapes in turn, two at least, the first without."""
    scrapes: list[Scrape] = []
    spells: list[Spell] = []
    while len(spells) < 2 or time.time() < spells[0].began + seconds:
        scraped, began, used = len(spells) % 2 == 1, time.time(), _cpu(process)
        while time.time() < began + SPELL_S:
            if scraped:
                scrapes.append(await asyncio.to_thread(_scrape, url))
            await asyncio.sleep(APART_S)
        spells.append(
            Spell(began=began, ended=time.time(), scraped=scraped, cpu_s=_cpu(process) - used)
        )
    return scrapes, spells


def _rows(scrapes: list[Scrape], spells: list[Spell], scans: dict[bool, list[float]]) -> list[Row]:
    each = f"{max(one.size for one in scrapes) / 1000:.0f} kB of gzip, one a {APART_S:g} s"
    wait = Timing(
        name=SCRAPE,
        wall=Quantiles.of([one.wall_s for one in scrapes]),
        cpu=Quantiles.of([one.cpu_s for one in scrapes]),
        repetitions=len(scrapes),
    )
    rate = {
        kind: sum(spell.cpu_s for spell in spells if spell.scraped is kind)
        / sum(spell.ended - spell.began for spell in spells if spell.scraped is kind)
        for kind in (True, False)
    }
    spent = sum(spell.ended - spell.began for spell in spells if spell.scraped) / len(scrapes)
    cost = UNITS["ms"] * (rate[True] - rate[False]) * spent
    with_, alone = (Quantiles.of(scans[kind]).scaled(UNITS["ms"]) for kind in (True, False))
    return [
        compared(SCRAPE, wait, size=each, unit="ms", note=WAIT, limits={"p99": LIMIT_MS}),
        Row(
            name="CPU of the controller for a scrape",
            size=each,
            ours=cost,
            p50=cost,
            unit="ms",
            repetitions=len(scrapes),
            note="CPU time of its process, spells with scrapes less spells without",
        ),
        Row(
            name="scan while scraped",
            size=f"a scan each {PERIOD_S:g} s, a scrape each {APART_S:g} s",
            against="scan",
            ours=with_.p50,
            theirs=alone.p50,
            ratio=ratio_of(with_.p50, alone.p50),
            p50=with_.p50,
            p99=with_.p99,
            theirs_p99=alone.p99,
            unit="ms",
            repetitions=len(scans[True]),
            note="wall time of the journal's scans, start to commit",
        ),
    ]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _scrape(url: str) -> Scrape:
    request = urllib.request.Request(url, headers=ASKS)  # noqa: S310 - a loopback address
    cpu, wall = time.thread_time(), time.perf_counter()
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        size = len(answer.read())
    return Scrape(wall_s=time.perf_counter() - wall, cpu_s=time.thread_time() - cpu, size=size)


def _scans(journal: Path, spells: list[Spell]) -> dict[bool, list[float]]:
    """Durations [s] of the scans that lie in spells with (True) and without scrapes."""
    found: dict[bool, list[float]] = {True: [], False: []}
    with Reader.open(journal) as reader:
        for scan in reader.scans():
            at = datetime.fromisoformat(scan["utc"]).timestamp()
            for spell in spells:
                if spell.began + SETTLED_S <= at <= spell.ended - SETTLED_S:
                    found[spell.scraped].append(float(scan["duration_s"]))
    return found


@asynccontextmanager
async def _controller(plant: SoftPlant) -> AsyncIterator[tuple[psutil.Process, str]]:
    """A running controller of the plant; the address of its metrics."""
    config = configured(plant)
    argv = [sys.executable, "-m", MODULES["trimtab"], "run", "--config", str(config)]
    with (plant.folder / "controller.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
            argv,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=plant.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    try:
        url = await asyncio.wait_for(asyncio.to_thread(_ready, process), START_S)
        yield psutil.Process(process.pid), url
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.communicate)


def _ready(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    for line in process.stdout:
        if found := READY.search(line):
            return found[1].decode()
    raise NoRunError("the controller ended before its first scan")
