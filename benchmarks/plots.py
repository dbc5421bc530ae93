"""Curves of cost against size, one figure for each axis that rows name; SVG and PNG.

Drawn is CPU time of the thread where the rows have it: a neighbour on the machine does not bend it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.report.style import LINES, MARKERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.rows import Row

PLANTS = "plants at once"
TICKS = {"ns": 1e3, "us": 1.0, "ms": 1e-3, "s": 1e-6}
"""How many of each unit a microsecond is."""
OURS = (5, 6, 3, 4)
THEIRS = (0, 2, 7, 1)
"""Lines of the palette for our curves and for theirs."""


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw every axis that at least two values are known of; the files written."""
    written: list[Path] = []
    placed = [_placed(row) for row in rows]
    for axis in dict.fromkeys(row.axis for row in placed if row.axis):
        shown = [point for row in placed if row.axis == axis and (point := _point(row))]
        if len({point.at for point in shown}) > 1:
            written += _saved(_figure(axis, shown), folder / _file(axis))
    return written


def _placed(row: Row) -> Row:
    """A row whose size begins with a number of plants stands on the axis of these."""
    found = re.match(r"(\d+) plants?\b", row.size)
    if row.axis or found is None:
        return row
    return replace(row, axis=PLANTS, at=float(found[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A row's place on the curves of its axis."""

    name: str
    against: str
    at: float
    ours: float
    tail: float | None
    theirs: float | None
    unit: str
    cpu: bool


def _point(row: Row) -> Point | None:
    """CPU times where the row has them, else what it has; None for a row without figures."""
    if row.ours is None or row.at is None:
        return None
    cpu = row.cpu_p50 is not None
    ours = row.ours if row.cpu_p50 is None else row.cpu_p50
    apart = row.cpu_ratio if cpu else row.ratio
    return Point(
        name=row.name,
        against=row.against,
        at=row.at,
        ours=ours,
        tail=row.cpu_p99 if cpu else row.p99,
        theirs=None if apart is None else apart * ours,
        unit=row.unit,
        cpu=cpu,
    )


def _figure(axis: str, points: Sequence[Point]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure as Drawing  # noqa: PLC0415

    figure = Drawing(figsize=(8.0, 5.0), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, name in enumerate(dict.fromkeys(point.name for point in points)):
        _ours(axes, [point for point in points if point.name == name], number)
    beside = [point for point in points if point.theirs is not None]
    for number, name in enumerate(dict.fromkeys(point.against for point in beside)):
        _theirs(axes, [point for point in beside if point.against == name], number)
    _scales(axes, axis, points)
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=9)
    return figure


def _ours(axes: Axes, points: Sequence[Point], number: int) -> None:
    """Medians, and a band up to the 99th percentile where every point has one."""
    colour, marker = LINES[OURS[number % len(OURS)]][0], MARKERS[number % len(MARKERS)]
    at, middle = [point.at for point in points], [point.ours for point in points]
    tails = [point.tail for point in points if point.tail is not None]
    banded = len(tails) == len(points)
    label = f"{points[0].name} (median{', band to p99' if banded else ''})"
    axes.plot(at, middle, color=colour, marker=marker, ms=4, lw=1.8, label=label)
    if banded:
        axes.fill_between(at, middle, tails, color=colour, alpha=0.15, lw=0)


def _theirs(axes: Axes, points: Sequence[Point], number: int) -> None:
    """Medians; where several of ours stand beside one of theirs, it is drawn once."""
    colour, dash = LINES[THEIRS[number % len(THEIRS)]]
    once = {point.at: point.theirs for point in points if point.theirs is not None}
    label = f"{points[0].against} (median)"
    axes.plot(list(once), list(once.values()), color=colour, ls=dash, lw=1.6, label=label)


def _scales(axes: Axes, axis: str, points: Sequence[Point]) -> None:
    """Logarithms on both axes, with plain numbers at the values that were measured."""
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415

    sizes = sorted({point.at for point in points})
    units = {point.unit for point in points}
    what = "CPU time" if all(point.cpu for point in points) else "time"
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    axes.set_xlabel(f"{axis} (logarithmic)")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    if units == {"us"}:
        axes.yaxis.set_major_formatter(_duration)
        axes.set_ylabel(f"{what} (logarithmic)")
    else:
        axes.set_ylabel(f"{what} [{', '.join(sorted(units))}] (logarithmic)")
    axes.grid(visible=True, which="major", color="#dddddd", lw=0.6)
    axes.grid(visible=True, which="minor", axis="y", color="#eeeeee", lw=0.4)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _duration(microseconds: float, _: float) -> str:
    """A tick in the unit in which it is at least 1."""
    fitting = [unit for unit, factor in TICKS.items() if microseconds * factor >= 0.999]
    unit = fitting[-1] if fitting else "ns"
    return f"{microseconds * TICKS[unit]:g} {unit}"


def _saved(figure: Figure, stem: Path) -> list[Path]:
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_suffix(".svg"), stem.with_suffix(".png")]
    for path in paths:
        figure.savefig(path, dpi=150)
    return paths


def _file(axis: str) -> str:
    return "cost-" + re.sub(r"[^a-z0-9]+", "-", axis.lower()).strip("-")
