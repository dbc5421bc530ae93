"""Speed of the parts, on this machine: `make bench` prints a table and writes bench.json.

    python -m benchmarks [--seconds 3] [--out bench.json]

Every figure is the median over repetitions for `--seconds`, beside the 99th percentile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium
import numpy as np
from rich.console import Console
from rich.table import Table

import plant_sim.env  # noqa: F401 - registers the environment
from models.bundle import default_bundle
from models.runtime import Advice, AdviceRequest, ProcessSample, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENVIRONMENT = "plant_sim/PolymerCSTR-v0"
STEADY = np.array([1.79, 339.9])
"""Inputs that hold 100 kg/m3 and 350 K."""


def timed(work: Callable[[], object], seconds: float) -> list[float]:
    """Durations [s] of `work`, repeated for about `seconds`; the first ten calls do not count."""
    for _ in range(10):
        work()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return found


def plant_step(sample_time_s: float) -> Callable[[], object]:
    """One environment step at steady inputs with noise, reset when the episode ends."""
    env = gymnasium.make(
        ENVIRONMENT, scenario="grade_up", sample_time_s=sample_time_s, noise=True
    ).unwrapped
    env.reset(seed=1)

    def work() -> None:
        *_, terminated, truncated, _ = env.step(STEADY)
        if terminated or truncated:
            env.reset()

    return work


def requests() -> Iterator[AdviceRequest]:
    """A reactor on its way from 100 to 140 kg/m3, scan by scan, with measurement noise."""
    rng = np.random.default_rng(1)
    scan = 0
    while True:
        progress = min(1.0, (scan % 200) / 100.0)
        mv = np.array([1.8, 340.0])
        noise = rng.normal(size=3)
        yield AdviceRequest(
            sample=ProcessSample(
                plant_time_s=300.0 * scan,
                cv=np.array([100.0 + 40.0 * progress + noise[0], 352.0 + 0.3 * noise[1]]),
                sp=np.array([140.0, 355.0]),
                mv=mv,
                dv=np.array([440.0 + noise[2]]),
            ),
            low=mv - np.array([0.5, 10.0]),
            high=np.minimum(mv + np.array([0.5, 10.0]), [2.5, 350.0]),
            range_low=np.array([0.0, 300.0]),
            range_high=np.array([2.5, 350.0]),
            windup_low=np.zeros(2, dtype=np.bool_),
            windup_high=np.zeros(2, dtype=np.bool_),
            freeze=False,
        )
        scan += 1


def advise() -> Callable[[], object]:
    """Policy and certified correction of one scan."""
    runtime = Runtime.load(default_bundle())
    questions = requests()
    memory = runtime.initial_memory()

    def work() -> None:
        nonlocal memory
        answer, memory = runtime.advise(next(questions), memory)
        if not (isinstance(answer, Advice) and answer.certified):
            raise RuntimeError(f"not certified: {answer}")

    return work


PARTS: dict[str, Callable[[], Callable[[], object]]] = {
    "plant step, 300 s sample": lambda: plant_step(300.0),
    "plant step, 1800 s sample": lambda: plant_step(1800.0),
    "policy and certified correction": advise,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="per part")
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    options = parser.parse_args()
    table = Table("part", "median", "p99", "a second")
    results = {}
    for name, make in PARTS.items():
        durations = np.array(timed(make(), options.seconds))
        median, tail = float(np.median(durations)), float(np.quantile(durations, 0.99))
        results[name] = {"median_s": median, "p99_s": tail, "repetitions": len(durations)}
        table.add_row(name, f"{1e6 * median:.1f} us", f"{1e6 * tail:.1f} us", f"{1 / median:.0f}")
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    options.out.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    Console().print(table)


main()
