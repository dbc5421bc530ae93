"""What a fleet costs: N reactors in one plant process, N controllers, all in AUTO.

    python -m benchmarks.fleet [--units 20] [--minutes 10] [--out fleet.json]

Every controller is a process of its own with its own journal and metrics, as trimtab@.service of
systemd starts it. CPU is the processes' own time, so it may be measured on a busy machine;
overruns, skips and lateness may not. Ctrl-C stops everything. Exit codes: 0 measured, 1 a
controller never reached AUTO, left it, or a process ended, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.fleet_stage import (
    DemoError,
    FleetError,
    FleetStage,
    memory_bytes,
    scrape,
    usage,
)
from controller.journal.reader import Reader
from models.bundle import default_bundle, load_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.fleet_stage import Usage

SETTLE_S = 3.0
"""From the last entry into AUTO to the beginning of the measurement."""
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
CPU_GOAL = 50.0
"""Of all controllers together, in % of one core, with 20 units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.  p50, p99, p999: over instances or scans; theirs, ratio: nothing to compare."""

    name: str
    size: str
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Every process at one instant."""

    controllers: Sequence[Usage]
    plant: Usage
    metrics: Sequence[dict[str, float]]


async def look(stage: FleetStage) -> Look:
    """CPU and metrics of every process; the scraping falls outside of the measurement."""
    assert stage.plant is not None  # noqa: S101 - started before anything is looked at
    urls = [instance.metrics_url for instance in stage.instances]
    metrics = [await asyncio.to_thread(scrape, url) for url in urls]
    controllers = [usage(instance.child) for instance in stage.instances]
    return Look(controllers=controllers, plant=usage(stage.plant), metrics=metrics)


async def measure(stage: FleetStage, *, minutes: float, console: Console) -> list[Row]:
    """Bring the fleet to AUTO, let it run, and take the figures; raises FleetError."""
    console.print("starting the plant")
    endpoints = await stage.start_plant()
    console.print(f"starting {len(endpoints)} controllers")
    await stage.start_controllers(endpoints)
    console.print("selecting Auto")
    if missing := await stage.select_auto():
        raise FleetError(f"never reached AUTO: controllers {missing}")
    await asyncio.sleep(SETTLE_S)
    begun, begun_scans = await look(stage), last_scans(stage)
    console.print(f"measuring for {minutes:g} min")
    end_s = time.monotonic() + 60.0 * minutes
    while time.monotonic() < end_s:
        stage.check()
        await asyncio.sleep(min(1.0, max(0.0, end_s - time.monotonic())))
    ended = await look(stage)
    found = rows(stage, begun, ended, begun_scans)
    left = [
        instance.number
        for instance, metrics in zip(stage.instances, ended.metrics, strict=True)
        if metrics["trimtab_mode AUTO"] != 1.0
    ]
    if left:
        raise FleetError(f"left AUTO: controllers {left}")
    return found


def last_scans(stage: FleetStage) -> list[int]:
    """The last scan in each journal."""
    found = []
    for instance in stage.instances:
        with Reader.open(instance.journal) as reader:
            found.append(int(reader.tail(1)[0]["scan_id"]))
    return found


def rows(stage: FleetStage, begun: Look, ended: Look, begun_scans: Sequence[int]) -> list[Row]:
    """Everything that was measured between two looks."""
    assert stage.plant is not None  # noqa: S101
    size = f"{len(stage.instances)} units"
    cpu = [share(*pair) for pair in zip(begun.controllers, ended.controllers, strict=True)]
    durations, lateness = [], []
    for instance, after in zip(stage.instances, begun_scans, strict=True):
        with Reader.open(instance.journal) as reader:
            for scan in reader.scans(after=after):
                durations.append(1e3 * scan["duration_s"])
                lateness.append(1e3 * scan["lateness_s"])

    def counted(name: str) -> float:
        pairs = zip(begun.metrics, ended.metrics, strict=True)
        return sum(last[f"trimtab_{name}"] - first[f"trimtab_{name}"] for first, last in pairs)

    memory = [memory_bytes(instance.child) / 1e6 for instance in stage.instances]
    plant_memory = memory_bytes(stage.plant) / 1e6
    ready = [instance.ready_s for instance in stage.instances]
    ready_cpu = [instance.ready_cpu_s for instance in stage.instances]
    one = "% of one core"
    return [
        Row(name="CPU of all controllers", size=size, ours=sum(cpu), unit=one),
        spread("CPU of one controller", size, cpu, one),
        Row(name="CPU of the plant", size=size, ours=share(begun.plant, ended.plant), unit=one),
        Row(name="scans", size=size, ours=float(len(durations)), unit="scans"),
        Row(name="overruns", size=size, ours=counted("scan_overruns_total"), unit="scans"),
        Row(name="skipped scans", size=size, ours=counted("scan_skipped_total"), unit="scans"),
        spread("scan, start to commit", size, durations, "ms"),
        spread("scan, start after its instant", size, lateness, "ms"),
        spread("memory of one controller (PSS)", size, memory, "MB"),
        Row(name="memory of the plant (PSS)", size=size, ours=plant_memory, unit="MB"),
        spread("start to the first scan, all at once", size, ready, "s"),
        spread("CPU to the first scan", size, ready_cpu, "s"),
    ]  # fmt: skip


def share(first: Usage, last: Usage) -> float:
    """CPU between two instants in % of one core."""
    return 100.0 * (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s)


def spread(name: str, size: str, values: Sequence[float], unit: str) -> Row:
    """A row of the median and the tail."""
    p50, p99, p999 = (float(q) for q in np.quantile(values, (0.5, 0.99, 0.999)))
    return Row(name=name, size=size, ours=p50, p50=p50, p99=p99, p999=p999, unit=unit)


def table(found: Sequence[Row]) -> Table:
    """The rows for people."""
    shown = Table("figure", "size", "ours", "p99", "p99.9", "unit")
    for row in found:
        cells = ("" if x is None else f"{x:.2f}" for x in (row.ours, row.p99, row.p999))
        shown.add_row(row.name, row.size, *cells, row.unit)
    return shown


async def run(options: argparse.Namespace, console: Console) -> int:
    """One measurement from start to end; the exit code."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    speed = load_manifest(default_bundle()).sample_time_s / options.period
    with tempfile.TemporaryDirectory(prefix="trimtab-fleet-") as folder:
        stage = FleetStage(Path(folder), units=options.units, speed=speed, period_s=options.period)
        try:
            found = await measure(stage, minutes=options.minutes, console=console)
        except (FleetError, DemoError) as error:
            console.print(f"not measured: {error}", markup=False, highlight=False, soft_wrap=True)
            return EXIT_FAILED
        except asyncio.CancelledError:
            console.print("interrupted")
            return EXIT_INTERRUPTED
        finally:
            await stage.stop()
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    document = {
        "machine": machine,
        "minutes": options.minutes,
        "period_s": options.period,
        "load_1min": os.getloadavg()[0],
        "rows": [asdict(row) for row in found],
    }
    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    console.print(table(found))
    goal = CPU_GOAL * options.units / 20.0
    console.print(
        f"goal: controllers under {goal:g} % of one core, no overrun; wrote {options.out}"
    )
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.fleet", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--units", type=int, default=20, help="reactors, each with a controller")
    parser.add_argument("--minutes", type=float, default=10.0, help="of measurement")
    parser.add_argument("--period", type=float, default=1.0, help="of a scan in wall seconds")
    parser.add_argument("--out", type=Path, default=Path("fleet.json"))
    options = parser.parse_args()
    logging.getLogger("asyncua").setLevel(logging.ERROR)  # of revised time-outs and the like
    if not 1 <= options.units <= 100:
        parser.error(f"--units {options.units}: 1 to 100")
    if options.minutes <= 0 or options.period <= 0:
        parser.error("--minutes and --period must be above 0")
    sys.exit(asyncio.run(run(options, Console())))


if __name__ == "__main__":
    main()
