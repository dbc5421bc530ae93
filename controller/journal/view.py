"""`trimtab journal show`: the audit record for a person at a terminal."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.errors import ConfigError
from controller.journal.reader import Reader
from controller.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

EXIT_DIFFERS = 1
"""The record does not hold: a broken chain, or a scan that computes otherwise now."""

SHOWN_MISMATCHES = 20

_MODES = {"AUTO": "green", "HOLD": "yellow", "SHED": "bold red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What to show.  run None: the last one."""

    run: int | None
    scan: int | None
    tail: int
    events: bool
    verify: bool
    replay: bool
    bundle: Path | None


def show_journal(path: Path, view: View) -> int:
    """Show what `view` asks for; return the exit code.

    Raises ConfigError when there is no such journal, run or scan, and BundleError when the bundle
    for a replay cannot be used.
    """
    console = Console()
    with Reader.open(path) as reader:
        run = _run(reader, view.run, path)
        if view.verify:
            return _verify(reader, console)
        if view.replay:
            return _replay(reader, run, view.bundle, console)
        if view.scan is not None:
            return _scan(reader, run, view.scan, path, console)
        if view.events:
            return _events(reader, run, console)
        return _tail(reader, run, view.tail, console)


def _run(reader: Reader, wanted: int | None, path: Path) -> int:
    numbers = [int(document["run"]) for document in reader.runs()]
    number = wanted if wanted is not None else max(numbers, default=0)
    if number not in numbers:
        known = f"{min(numbers)} to {max(numbers)}" if numbers else "none"
        raise ConfigError(
            file=path, key="--run", received=wanted, allowed=f"a run of this journal: {known}",
            action="give one of these, or leave --run out for the last",
        )  # fmt: skip
    return number


def _verify(reader: Reader, console: Console) -> int:
    broken = reader.verify()
    if broken is not None:
        console.print(
            f"the chain breaks at row {broken.seq}: {broken.detail}", style="bold red", markup=False
        )
        return EXIT_DIFFERS
    rows, digest = reader.head()
    console.print(f"the chain holds: {rows} rows, head {digest}", highlight=False)
    return 0


def _replay(reader: Reader, run: int, bundle: Path | None, console: Console) -> int:
    """Compute every scan of a run again, with the bundle that it ran with."""
    from controller.journal.replay import replay  # noqa: PLC0415 - no need of a model otherwise
    from models.bundle import default_bundle  # noqa: PLC0415
    from models.runtime import Runtime  # noqa: PLC0415

    described = next(document for document in reader.runs() if document["run"] == run)
    folder = bundle or default_bundle()
    _same_bundle(folder, described)
    runtime = Runtime.load(folder)
    found = list(islice(replay(reader, runtime, run), SHOWN_MISMATCHES))
    for item in found:
        console.print(
            f"scan {item.scan_id}, {item.key}: recorded {item.recorded}, now {item.replayed}",
            style="red",
            markup=False,
        )
    scans = sum(1 for _ in reader.scans(run))
    if found:
        console.print(f"run {run} does not replay", style="bold red")
        return EXIT_DIFFERS
    console.print(f"run {run}: {scans} scans give the same bits again")
    return 0


def _same_bundle(folder: Path, described: Mapping[str, Any]) -> None:
    """Refuse a replay with another bundle than the recorded one."""
    from models.bundle import MANIFEST, BundleError, sha256  # noqa: PLC0415

    manifest = folder / MANIFEST
    digest = sha256(manifest) if manifest.is_file() else "missing"
    if digest != described["manifest_sha256"]:
        raise BundleError(
            f"{manifest}: sha256 is {digest}, the run was recorded with "
            f"{described['manifest_sha256']} ({described['bundle']}): name that one with --bundle"
        )


def _scan(reader: Reader, run: int, number: int, path: Path, console: Console) -> int:
    document = reader.scan(number, run)
    if document is None:
        last = [scan["scan_id"] for scan in reader.tail(1, run)]
        known = f"0 to {last[0]}" if last else "none"
        raise ConfigError(
            file=path, key="--scan", received=number, allowed=f"a scan of run {run}: {known}",
            action="give one of these",
        )  # fmt: skip
    console.print_json(json.dumps(document))
    return 0


def _events(reader: Reader, run: int, console: Console) -> int:
    table = Table(title=f"run {run}: events", title_justify="left", box=SIMPLE)
    for heading in ("utc", "kind", "detail"):
        table.add_column(heading, overflow="fold")
    for event in reader.events(run):
        detail = ", ".join(f"{key} {value}" for key, value in event["detail"].items())
        table.add_row(Text(event["utc"][:23]), Text(event["kind"]), Text(printable(detail)))
    console.print(table)
    return 0


def _tail(reader: Reader, run: int, count: int, console: Console) -> int:
    rows = reader.tail(count, run)
    title = f"run {run}: the last {len(rows)} scans (gap as a share of the allowed one)"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for heading in ("scan", "plant time", "mode", "CV", "SP", "move", "gap", "ms", ""):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*_line(row))
    console.print(table)
    return 0


def _line(row: Mapping[str, Any]) -> list[Text]:
    mode = row["mode_after"]
    remarks = [
        "written" if row["written"] else "",
        "LATE" if row["overrun"] else "",
        f"skipped {row['skipped']}" if row["skipped"] else "",
        " ".join(row["conditions"]),
    ]
    return [
        Text(str(row["scan_id"])),
        Text(_hours(row["plant_time_s"])),
        Text(mode, style=_MODES.get(mode, "")),
        Text(_numbers(row["cv"])),
        Text(_numbers(row["sp"])),
        Text(_numbers(row["move"])),
        Text(_gap(row)),
        Text(f"{1e3 * float(row['duration_s']):.1f}"),
        Text(printable(", ".join(remark for remark in remarks if remark))),
    ]


def _hours(seconds: float | str | None) -> str:
    value = math.nan if seconds is None else float(seconds)
    return f"{value / 3600.0:.2f} h" if math.isfinite(value) else "-"


def _numbers(values: Sequence[float | None] | None) -> str:
    if values is None:
        return "-"
    return " ".join("-" if value is None else f"{value:.5g}" for value in values)


def _gap(row: Mapping[str, Any]) -> str:
    if row["gap"] is None or not float(row["tolerance"]) > 0.0:
        return "-"
    return f"{float(row['gap']) / float(row['tolerance']):.0e}"
