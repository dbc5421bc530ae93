"""What a run leaves: bench.json, the table in the terminal, the table in docs/performance.md."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.rows import Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = 1
BEGIN, END = "<!-- figures: python -m benchmarks report -->", "<!-- /figures -->"
HEADINGS = (
    "what",
    "size",
    "beside",
    "ours",
    "theirs",
    "ratio",
    "CPU ratio",
    "p99",
    "p99.9",
    "CPU p50",
    "CPU p99.9",
)


class ReportError(Exception):
    """A file that is no bench.json, or a page without a place for the table."""


def write(path: Path, rows: Sequence[Row], machine: dict[str, Any]) -> None:
    """Write bench.json."""
    document = {"schema": SCHEMA, "machine": machine, "rows": [row.as_json() for row in rows]}
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """Rows and machine of a bench.json; raises ReportError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ReportError(f"{path}: schema {document['schema']!r}; allowed: {SCHEMA}")
        return [Row.of(row) for row in document["rows"]], document["machine"]
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror}); run `make bench`") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path}: not a bench.json ({error!r}); run `make bench`") from None


def table(rows: Sequence[Row]) -> Table:
    """For the terminal: what was measured and belongs to no curve."""
    made = Table(*HEADINGS[:3], title="medians; ratio = theirs / ours")
    for heading in HEADINGS[3:]:
        made.add_column(heading, justify="right")
    for row in rows:
        if not (row.skipped or row.axis):
            made.add_row(*_cells(row))
    return made


def left_out(rows: Sequence[Row]) -> list[str]:
    """One line for every row that was skipped."""
    found = []
    for row in rows:
        if row.skipped:
            about = ", ".join(part for part in (row.size, row.against) if part)
            found.append(f"skipped: {row.name}{f' ({about})' if about else ''}: {row.skipped}")
    return found


def verdicts(rows: Sequence[Row]) -> list[str]:
    """One line for every row that has a goal or limits, reached or not."""
    lines = []
    for row in rows:
        if row.reached is not None:
            asked = (
                []
                if row.goal is None
                else [f"ratio {_figure(row.slowest_ratio)}, goal {row.goal:g}"]
            )
            asked += [
                f"{key} {_figure(getattr(row, key))} {row.unit}, limit {limit:g}"
                for key, limit in row.limits.items()
            ]
            word = "reached" if row.reached else "NOT reached"
            beside = f" beside {row.against}" if row.against else ""
            lines.append(f"{word}: {row.name}{beside}: {'; '.join(asked)}")
    return lines


def markdown(rows: Sequence[Row], machine: dict[str, Any]) -> str:
    """The same table, goals and machine for a page; rows of a curve are left to the plots."""
    shown = [row for row in rows if not (row.axis or row.skipped)]
    lines = [
        _about(machine),
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"| --- | --- | --- |{' ---: |' * (len(HEADINGS) - 3)}",
    ]
    lines += [f"| {' | '.join(_cells(row))} |" for row in shown]
    notes = list(dict.fromkeys(f"- {row.name}: {row.note}" for row in shown if row.note))
    goals = [f"- {line}" for line in verdicts(shown)]
    missing = [f"- {line}" for line in left_out(rows)]
    for part in (goals, notes, missing):
        lines += ["", *part] if part else []
    return "\n".join(lines) + "\n"


def insert(page: Path, text: str) -> None:
    """Put the table between the marks of a page; raises ReportError where they are missing."""
    content = page.read_text(encoding="utf-8")
    head, begin, rest = content.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ReportError(f"{page}: lacks the marks {BEGIN} and {END}; put them where it belongs")
    page.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail}", encoding="utf-8")


def _cells(row: Row) -> list[str]:
    unit = f" {row.unit}" if row.unit else ""
    figures = (row.p99, row.p999, row.cpu_p50, row.cpu_p999)
    return [
        row.name,
        row.size,
        row.against,
        f"{_figure(row.ours)}{unit}",
        "" if row.theirs is None else f"{_figure(row.theirs)}{unit}",
        "" if row.ratio is None else f"{_figure(row.ratio)}x",
        "" if row.cpu_ratio is None else f"{_figure(row.cpu_ratio)}x",
        *("" if value is None else _figure(value) for value in figures),
    ]


def _about(machine: dict[str, Any]) -> str:
    libraries = machine.get("libraries", {})
    named = ", ".join(f"{name} {found}" for name, found in libraries.items() if found)
    return (
        f"{machine.get('utc', '')}, commit {machine.get('commit') or 'unknown'}, "
        f"{machine.get('cpu', '')}, {machine.get('cores', '?')} cores, load "
        f"{machine.get('load_1min', 0.0):.1f} at the start, "
        f"Python {machine.get('python', '')}, {named}."
    )


def _figure(value: float | None) -> str:
    """Three significant digits, without exponents for what people measure."""
    if value is None:
        return "-"
    if value == 0.0 or not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3g}"
    digits = max(0, 2 - int(f"{abs(value):e}".partition("e")[2]))
    return f"{value:.{digits}f}"
