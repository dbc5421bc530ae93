"""Rows of the controller's process: imports, start to the first scan, memory; real processes all.

The first start has an empty folder for what is compiled, later ones find it filled.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from benchmarks.measure import Quantiles, Timing
from benchmarks.rows import Row, compared
from benchmarks.soft_plant import SPEED, SoftPlant, soft_plant
from controller.configuration.settings import default_config_dir
from controller.demo.processes import MODULES

if TYPE_CHECKING:
    from collections.abc import Sequence

IMPORTS = {
    "bare Python": "pass",
    "import models.runtime": "import models.runtime",
    "import controller.cli (what --help waits for)": "import controller.cli",
    "import controller.service (what a start waits for)": "import controller.service",
}
CHILD = "CPU time is that of the process that was started"
ROOT = Path(__file__).resolve().parents[1]
READY = re.compile(rb"trimtab ready")
START_S = 120.0
RUNNING_S = 5.0
"""How long a controller runs until its memory is read."""
MB = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start: from the command to the line that follows the first scan [s], memory [bytes]."""

    wall_s: float
    cpu_s: float
    rss: int


def rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """Imports, interleaved, for about `seconds`; then starts for about as long, two at least."""
    found = [
        compared(timing.name, timing, size="fresh process, disk cache warm", unit="ms", note=CHILD)
        for timing in import_timings(seconds, seed)
    ]
    return [*found, *asyncio.run(_starts(seconds))]


def import_timings(seconds: float, seed: int) -> list[Timing]:
    """A fresh interpreter each time, in random order; at least two of each."""
    rng = np.random.default_rng(seed)
    names = list(IMPORTS)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    end = time.monotonic() + seconds
    while len(times[names[0]]) < 2 or time.monotonic() < end:
        for i in rng.permutation(len(names)):
            times[names[i]].append(_python(IMPORTS[names[i]]))
    return [_timing(name, [*zip(*found, strict=True)]) for name, found in times.items()]


def _python(code: str) -> tuple[float, float]:
    """Run code in a fresh interpreter: seconds on the wall clock, and of CPU time of the child."""
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # it was waited for: no one else must
    wall = time.monotonic() - began
    if child.returncode:
        raise RuntimeError(f"python -c {code!r} ended with {child.returncode}")
    return wall, used.ru_utime + used.ru_stime


def _timing(name: str, found: Sequence[Sequence[float]]) -> Timing:
    """Of walls and CPU times."""
    walls, cpus = found
    return Timing(
        name=name, wall=Quantiles.of(walls), cpu=Quantiles.of(cpus), repetitions=len(walls)
    )


async def _starts(seconds: float) -> list[Row]:
    async with soft_plant() as plant:
        config = configured(plant)
        with tempfile.TemporaryDirectory(prefix="trimtab-cache-") as cache:
            cold = [await _started(plant, config, cache)]
            end, warm = time.monotonic() + seconds, [await _started(plant, config, cache)]
            while time.monotonic() < end:
                warm.append(await _started(plant, config, cache))
    return [
        _start_row("start to first scan, nothing compiled yet", cold),
        _start_row("start to first scan", warm),
        _memory_row(warm),
    ]


async def _started(plant: SoftPlant, config: Path, cache: str) -> Start:
    """Start `trimtab run`, wait for its first scan, let it run, read its memory, end it."""
    argv = [sys.executable, "-m", MODULES["trimtab"], "run", "--config", str(config)]
    began = time.monotonic()
    with (plant.folder / "controller.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
            argv,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=plant.folder,
            env=os.environ | {"NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)},
        )
    try:
        await asyncio.wait_for(asyncio.to_thread(_await_ready, process, log.name), START_S)
        wall = time.monotonic() - began
        watched = psutil.Process(process.pid)
        times = watched.cpu_times()
        await asyncio.sleep(RUNNING_S)
        rss = watched.memory_info().rss
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.communicate)
    return Start(wall_s=wall, cpu_s=times.user + times.system, rss=rss)


def _await_ready(process: subprocess.Popen[bytes], log: str) -> None:
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    for line in process.stdout:
        if READY.search(line):
            return
    words = Path(log).read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"the controller ended before its first scan:\n{words}")


def configured(plant: SoftPlant) -> Path:
    """A controller.toml for the plant; its password beside it."""
    secret = plant.folder / "apc.password"
    secret.touch(mode=0o600)
    secret.write_text(plant.passwords["apc"], encoding="utf-8")
    config = plant.folder / "controller.toml"
    tags = default_config_dir() / "tags.toml"
    config.write_text(
        f'[server]\nurl = "{plant.url}"\nuser = "apc"\npassword_file = "{secret}"\n'
        '[security]\npolicy = "None"\ninsecure = true\n'
        f"[scan]\nperiod_s = {300.0 / SPEED:g}\n"
        f'[tags]\npath = "{tags}"\n[metrics]\nport = 0\n',
        encoding="utf-8",
    )
    return config


def _start_row(name: str, starts: list[Start]) -> Row:
    return compared(
        name,
        _timing(name, [[start.wall_s for start in starts], [start.cpu_s for start in starts]]),
        size="trimtab run, soft plant on loopback",
        unit="s",
        note=CHILD,
    )


def _memory_row(starts: list[Start]) -> Row:
    taken = Quantiles.of([start.rss * MB for start in starts]).p50
    return Row(
        name="memory of the controller (RSS)",
        size=f"{RUNNING_S:g} s after the first scan",
        ours=taken,
        p50=taken,
        unit="MB",
        repetitions=len(starts),
    )
