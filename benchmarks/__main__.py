"""Speed of the parts beside what one would use instead: a table and bench.json.

    python -m benchmarks [--seconds S] [--only PART ...] [--out bench.json] [--plots DIR]
    python -m benchmarks report bench.json [--into docs/performance.md]

docs/performance.md says what each row means.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks import machine, parts, report


def main(arguments: list[str]) -> int:
    """Measure, or report what was measured; the exit code."""
    try:
        return _report(arguments[1:]) if arguments[:1] == ["report"] else _measure(arguments)
    except report.ReportError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 2


def _measure(arguments: list[str]) -> int:
    words = "\n".join(f"  {name:10} {what}" for name, what in parts.PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{__doc__}\nparts:\n{words}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=_positive, default=10.0, help="for each comparison")
    parser.add_argument("--only", nargs="+", default=[], choices=parts.PARTS, metavar="PART")
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    parser.add_argument("--plots", type=Path, help="folder for curves, as SVG and PNG")
    options = parser.parse_args(arguments)
    facts = machine.facts()
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    _warn_of_neighbours(facts["load_1min"], console)
    rows = []
    for name in parts.chosen(options.only, plots=options.plots is not None):
        began = time.monotonic()
        rows += parts.rows_of(name, options.seconds)
        report.write(options.out, rows, facts)
        console.print(f"{name}: {time.monotonic() - began:.0f} s", style="dim")
    console.print(report.table(rows))
    for line in (*report.verdicts(rows), *report.left_out(rows)):
        console.print(line, highlight=False)
    if options.plots is not None:
        from benchmarks import plots  # noqa: PLC0415

        for path in plots.draw(rows, options.plots):
            console.print(f"wrote {path}", style="dim")
    console.print(f"wrote {options.out}", style="dim")
    return 0


WIDE = 220
"""Columns of the table where the terminal's width is not known."""


def _report(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks report")
    parser.add_argument("file", type=Path)
    parser.add_argument("--into", type=Path, help="page to put the table into; default: print it")
    options = parser.parse_args(arguments)
    text = report.markdown(*report.read(options.file))
    if options.into is None:
        sys.stdout.write(text)
    else:
        report.insert(options.into, text)
    return 0


def _positive(text: str) -> float:
    seconds = float(text)
    if not 0.0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}; allowed: above 0")
    return seconds


def _warn_of_neighbours(load: float, console: Console) -> None:
    cores = len(os.sched_getaffinity(0))
    if load > 0.5 * cores:
        console.print(
            f"load {load:.1f} on {cores} cores: others are at work; wall-clock tails are theirs",
            style="yellow",
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
