"""A real controller in AUTO on a real plant, each in its own process, and spells of its life.

What may disturb it is done in some spells and left out in others, in turns in one run, and the
scans of the journal are told apart by them.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import psutil

from benchmarks.process import ROOT, START_S, configured
from benchmarks.soft_plant import SPEED, SoftPlant
from controller.demo.processes import MODULES
from controller.demo.room import ApcMode, ControlRoom
from controller.journal.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PERIOD_S = 300.0 / SPEED
SETTLED_S = 0.2
"""Left out at either end of a spell, so that every scan lies in one."""
READY = re.compile(rb"metrics at (http\S+)")
ENTRY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A time that is disturbed or not [Unix s], and the controller's CPU time in it [s]."""

    began: float
    ended: float
    disturbed: bool
    cpu_s: float = 0.0


class NoRunError(Exception):
    """The controller did not run in AUTO; the message says what it said."""


async def enter_auto(room: ControlRoom, scenario: str, seed: int) -> None:
    """A new episode in AUTO; raises NoRunError after `ENTRY_S`."""
    await room.reset(scenario, seed)
    end = time.monotonic() + ENTRY_S
    while not (await room.read()).active:
        await room.select(ApcMode.MANUAL)
        await asyncio.sleep(2.0 * PERIOD_S)
        await room.select(ApcMode.AUTO)
        await asyncio.sleep(10.0 * PERIOD_S)
        if time.monotonic() > end:
            raise NoRunError(f"not in AUTO within {ENTRY_S:g} s")


def cpu_s(process: psutil.Process) -> float:
    """CPU time of a process so far [s]."""
    times = process.cpu_times()
    return float(times.user + times.system)


def scans_in(plant: SoftPlant, spells: list[Spell], what: str) -> dict[bool, list[float]]:
    """A number of every scan that lies in a spell, of disturbed (True) and undisturbed ones."""
    found: dict[bool, list[float]] = {True: [], False: []}
    with Reader.open(plant.folder / "runs/journal.db") as reader:
        for scan in reader.scans():
            at = datetime.fromisoformat(scan["utc"]).timestamp()
            for spell in spells:
                if spell.began + SETTLED_S <= at <= spell.ended - SETTLED_S:
                    found[spell.disturbed].append(float(scan[what]))
    return found


@asynccontextmanager
async def controller(plant: SoftPlant) -> AsyncIterator[tuple[psutil.Process, str]]:
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
