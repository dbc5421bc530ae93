"""The live view of the demo: pure functions from what is known to a screen full of it.

Grey by default; saturated colour only for what asks for attention.  Units and limits stand beside
the numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Group
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from controller.demo.plot import Line, Plot
from controller.demo.report import TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from controller.core.types import F64

WIDE = 100
"""Columns from which on everything is shown."""
VALUE, FAINT, NORMAL, WARN, ALARM = "bold white", "grey50", "grey78", "yellow3", "bold red3"
PV, SP, POLICY, MOVE, ACTUAL = "cyan3", "grey50", "orange3", "white", "cyan3"
MODE_STYLES = {"AUTO": "bold green3", "HOLD": WARN, "SHED": ALARM}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loop:
    """A CV: present PV and SP, their history over the scans, and the span of the instrument."""

    name: str
    unit: str
    pv: float
    sp: float
    pvs: F64
    sps: F64
    span: float
    high_limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manipulated:
    """An MV: policy move, corrected move, actual output, limits; and their history."""

    name: str
    unit: str
    policy: float
    move: float
    actual: float
    low: float
    high: float
    policies: F64
    moves: F64
    actuals: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """Timing of the scans so far [s]."""

    count: int
    last_s: float
    p50_s: float
    p99_s: float
    lateness_p99_s: float
    deadline_s: float
    overruns: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """Everything one screen shows.

    hours: (n,) plant time of the scans behind the histories [h].  gap, tolerance: of the last
    advice, NaN where there is none.  worst_ratio: largest gap / tolerance written.
    """

    scenario: str
    number: int
    of: int
    plant_h: float
    end_h: float
    speed: float
    wall_s: float
    hours: F64
    loops: Sequence[Loop]
    manipulated: Sequence[Manipulated]
    mode: str
    selector: str
    permit: bool
    active: bool
    tripped: bool
    shed_reason: str
    gap: float
    tolerance: float
    worst_ratio: float
    iterations: int
    scan: Scan
    events: Sequence[str]


def screen(frame: Frame, width: int) -> Layout:
    """The whole screen, `width` columns wide; from 80 columns and 24 rows on."""
    wide = width >= WIDE
    layout = Layout()
    layout.split_column(
        Layout(_header(frame, wide=wide), size=3),
        Layout(name="loops", ratio=5),
        Layout(name="moves", ratio=4),
        Layout(name="state", size=7),
    )
    layout["loops"].split_row(*(Layout(_loop(frame, loop)) for loop in frame.loops))
    layout["moves"].split_row(*(Layout(_moves(frame, mv, wide=wide)) for mv in frame.manipulated))
    layout["state"].split_row(
        Layout(_state(frame), size=24 if wide else 26),
        Layout(_certificate(frame), size=26),
        Layout(_timing(frame), size=28),
        *([Layout(_events(frame))] if wide else []),
    )
    return layout


def clock(hours: float) -> str:
    """Hours as 07:35."""
    minutes = round(60 * hours)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def bar(share: float, width: int, style: str) -> Text:
    """A bar of `width` characters, filled to `share` of 1."""
    filled = round(8 * width * min(max(share, 0.0), 1.0))
    text = "█" * (filled // 8) + ("▏▎▍▌▋▊▉"[filled % 8 - 1] if filled % 8 else "")
    return Text(text.ljust(width), style=f"{style} on grey23")


def _header(frame: Frame, *, wide: bool) -> Panel:
    line = Table.grid(expand=True, padding=(0, 2))
    line.add_column(no_wrap=True)
    line.add_column(no_wrap=True)
    line.add_column(justify="right", no_wrap=True)
    title = TITLES.get(frame.scenario, frame.scenario)
    left = Text.assemble((title, VALUE), (f"  {frame.number} of {frame.of}", FAINT))
    middle = Text.assemble(
        ("plant ", FAINT), (clock(frame.plant_h), VALUE), (f" of {clock(frame.end_h)}  ", FAINT)
    ).append_text(bar(frame.plant_h / frame.end_h, 24 if wide else 8, "grey70"))
    speed = f"{frame.speed:g} times real time, " if wide else ""
    right = Text(f"{speed}{frame.wall_s:.0f} s", style=FAINT)
    line.add_row(left, middle, right)
    return _panel(line, "trimtab demo")


def _loop(frame: Frame, loop: Loop) -> Panel:
    error, title = loop.pv - loop.sp, loop.name
    head = Text.assemble(
        ("PV ", FAINT),
        (f"{loop.pv:.1f}", f"bold {PV}"),
        ("  SP ", FAINT),
        (f"{loop.sp:.1f}", VALUE),
        (f"  error {error:+.1f} {loop.unit}", NORMAL),
    )
    lines = [
        Line(x=frame.hours, y=loop.sps, style=SP, step=True, dashed=True),
        Line(x=frame.hours, y=loop.pvs, style=PV),
    ]
    if loop.high_limit is not None:
        title = f"{loop.name}, limit {loop.high_limit:g} {loop.unit}"
        if loop.pv > loop.high_limit:
            head.append("  ABOVE LIMIT", style=ALARM)
        ends = np.array([0.0, frame.end_h])
        limit = Line(x=ends, y=np.full(2, loop.high_limit), style="red3", dashed=True)
        lines.insert(0, limit)
    plot = Plot(lines=lines, x_range=(0.0, frame.end_h), y_range=_span(lines, loop.span))
    return _trend(title, head, plot)


def _moves(frame: Frame, mv: Manipulated, *, wide: bool) -> Panel:
    digits = 2 if mv.high - mv.low < 10 else 1
    names = ("policy ", "  corrected ", "  actual ") if wide else ("", " > ", " > ")
    head = Text()
    for name, value, style in zip(
        names, (mv.policy, mv.move, mv.actual), (POLICY, MOVE, ACTUAL), strict=True
    ):
        head.append(name, FAINT).append(_number(value, digits), f"bold {style}")
    head.append(f" {mv.unit}", NORMAL)
    lines = [
        Line(x=frame.hours, y=mv.actuals, style=ACTUAL, step=True),
        Line(x=frame.hours, y=mv.policies, style=POLICY, step=True),
        Line(x=frame.hours, y=mv.moves, style=MOVE, step=True),
    ]
    low, high = _span(lines, mv.high - mv.low)
    plot = Plot(
        lines=lines,
        x_range=(0.0, frame.end_h),
        y_range=(max(low, mv.low), min(high, mv.high)),
        digits=digits,
    )
    return _trend(f"{mv.name}, {mv.low:g} to {mv.high:g} {mv.unit}", head, plot)


def _trend(title: str, head: Text, plot: Plot) -> Panel:
    head.no_wrap, head.overflow = True, "ellipsis"
    layout = Layout()
    layout.split_column(Layout(head, size=1), Layout(plot))
    return _panel(layout, title)


def _span(lines: Sequence[Line], whole: float) -> tuple[float, float]:
    """What to show of y: the data, and never less than a tenth of the whole range."""
    seen = np.concatenate([line.y[np.isfinite(line.y)] for line in lines] or [np.zeros(0)])
    if len(seen) == 0:
        return 0.0, whole
    low, high = float(seen.min()), float(seen.max())
    margin = max(0.05 * whole - 0.5 * (high - low), 0.0)
    return low - margin, high + margin


def _state(frame: Frame) -> Panel:
    permit = Text("yes", style=NORMAL) if frame.permit else Text("no", style=WARN)
    active = Text("yes", style="green3") if frame.active else Text("no", style=NORMAL)
    rows = [
        ("controller", Text(frame.mode, style=MODE_STYLES.get(frame.mode, VALUE))),
        ("operator", Text(frame.selector, style=NORMAL)),
        ("permit", permit),
        ("active", active),
    ]
    if frame.tripped:
        rows.append(("trip", Text("TRIPPED", style=ALARM)))
    elif frame.shed_reason:
        rows.append(("shed", Text(frame.shed_reason, style=ALARM)))
    else:
        rows.append(("in control", Text("trimtab" if frame.active else "DCS PI", style=NORMAL)))
    return _panel(_rows(rows), "Mode")


def _certificate(frame: Frame) -> Panel:
    ratio = frame.gap / frame.tolerance if frame.tolerance > 0 else math.nan
    valid = ratio <= 1.0
    verdict = Text("valid", style="green3") if valid else Text("none", style=WARN)
    rows = [
        ("certificate", verdict),
        ("gap", Text(_power(frame.gap), style=VALUE if valid else WARN)),
        ("tolerance", Text(_power(frame.tolerance), style=NORMAL)),
        ("worst / tol.", Text(_power(frame.worst_ratio), style=NORMAL)),
        ("iterations", Text(str(frame.iterations), style=NORMAL)),
    ]
    return _panel(_rows(rows), "Correction")


def _timing(frame: Frame) -> Panel:
    scan = frame.scan
    share = scan.last_s / scan.deadline_s
    duration = bar(share, 7, "grey70" if share < 1 else "red3")
    duration.append(f" {1000 * scan.last_s:.1f} ms", style=f"{VALUE} on default")
    late = Text(f"{1000 * scan.lateness_p99_s:.1f} ms p99", style=NORMAL)
    over = Text(f"{scan.overruns} of {scan.count}", style=WARN if scan.overruns else NORMAL)
    rows = [
        ("scan", duration),
        ("deadline", Text(f"{1000 * scan.deadline_s:.0f} ms", style=NORMAL)),
        ("p50, p99", Text(f"{1000 * scan.p50_s:.1f}, {1000 * scan.p99_s:.1f} ms", style=NORMAL)),
        ("lateness", late),
        ("overruns", over),
    ]
    return _panel(_rows(rows), "Scan")


def _events(frame: Frame) -> Panel:
    lines = [Text(line, style=NORMAL, no_wrap=True, overflow="ellipsis") for line in frame.events]
    return _panel(Group(*lines[-5:]), "Operator")


def _rows(rows: Sequence[tuple[str, Text]]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style=FAINT, no_wrap=True)
    table.add_column(no_wrap=True)
    for name, value in rows:
        table.add_row(name, value)
    return table


def _panel(content: RenderableType, title: str) -> Panel:
    return Panel(
        content,
        title=f"[{FAINT}]{title}[/]",
        title_align="left",
        box=box.ROUNDED,
        border_style="grey37",
        padding=(0, 1),
    )


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _power(value: float) -> str:
    return f"{value:.1e}" if math.isfinite(value) else "-"
