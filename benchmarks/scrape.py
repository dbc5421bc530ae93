"""Rows of a scrape of /metrics: what Prometheus waits for, and what the scans feel of it.

A real controller in AUTO on a real plant, each in its own process; here is the scraper, which asks
as Prometheus does, for OpenMetrics and gzip. Spells with and without scrapes take turns in one run,
and the scans of the journal are told apart by them.
"""

from __future__ import annotations

import asyncio
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.in_command import PERIOD_S, Spell, controller, cpu_s, enter_auto, scans_in
from benchmarks.measure import Quantiles, Timing
from benchmarks.rows import UNITS, Row, compared, ratio_of
from benchmarks.soft_plant import soft_plant

if TYPE_CHECKING:
    import psutil

SCRAPE = "scrape of /metrics"
WAIT = "what the scraper waits; CPU time is the scraper's own"
LIMIT_MS = 20.0
"""p99 of a scrape to keep, on an idle machine."""
SPELL_S = 1.0
APART_S = 0.1
"""Between two scrapes of a spell; Prometheus leaves five seconds."""
ASKS = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """One scrape: wait and CPU time of the scraper [s], bytes."""

    wall_s: float
    cpu_s: float
    size: int


def rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """Scrapes for half of `seconds`, scans with and without them for all of it."""
    return asyncio.run(_measured(seconds, seed))


async def _measured(seconds: float, seed: int) -> list[Row]:
    async with soft_plant() as plant, plant.operator() as room, controller(plant) as running:
        await enter_auto(room, "grade_up", seed)
        scrapes, spells = await _spells(*running, seconds)
        scans = scans_in(plant, spells, "duration_s")
    return _rows(scrapes, spells, scans)


async def _spells(
    process: psutil.Process, url: str, seconds: float
) -> tuple[list[Scrape], list[Spell]]:
    """Spells with and without scrapes in turn, two at least, the first without."""
    scrapes: list[Scrape] = []
    spells: list[Spell] = []
    while len(spells) < 2 or time.time() < spells[0].began + seconds:
        scraped, began, used = len(spells) % 2 == 1, time.time(), cpu_s(process)
        while time.time() < began + SPELL_S:
            if scraped:
                scrapes.append(await asyncio.to_thread(_scrape, url))
            await asyncio.sleep(APART_S)
        spells.append(
            Spell(began=began, ended=time.time(), disturbed=scraped, cpu_s=cpu_s(process) - used)
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
        kind: sum(spell.cpu_s for spell in spells if spell.disturbed is kind)
        / sum(spell.ended - spell.began for spell in spells if spell.disturbed is kind)
        for kind in (True, False)
    }
    spent = sum(spell.ended - spell.began for spell in spells if spell.disturbed) / len(scrapes)
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


def _scrape(url: str) -> Scrape:
    request = urllib.request.Request(url, headers=ASKS)  # noqa: S310 - a loopback address
    cpu, wall = time.thread_time(), time.perf_counter()
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        size = len(answer.read())
    return Scrape(wall_s=time.perf_counter() - wall, cpu_s=time.thread_time() - cpu, size=size)
