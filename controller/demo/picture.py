"""`trends.png`: every scenario over plant time, the DCS's PI dashed beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.demo.report import TITLES
from controller.demo.score import LIMIT_K

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from controller.demo.score import Result
    from controller.demo.trend import Trend

INK, OURS, PI, POLICY, ALARM = "#20242a", "#1d5f9e", "#8b929b", "#d98324", "#c4473a"
LEAST_RATIO = 1e-9
"""Gaps below this share of their tolerance, zero included, are drawn here: a logarithmic axis."""
STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#c3c8ce",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": "#e7e9ec",
    "lines.linewidth": 1.4,
    "xtick.color": "#565d66",
    "ytick.color": "#565d66",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strip:
    """One scenario: what ran, and the PI's run of the same start where there is one."""

    result: Result
    trend: Trend
    baseline: Trend | None


def draw(path: Path, strips: Sequence[Strip]) -> None:
    """Draw one column a scenario into `path` (PNG); nothing is drawn without a scenario."""
    if not strips:
        return
    import matplotlib as mpl  # noqa: PLC0415 - seconds to import, and only this picture needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    with plt.rc_context(STYLE):
        size = (1.0 + 5.0 * len(strips), 11.5)
        figure, axes = plt.subplots(
            5,
            len(strips),
            sharex="col",
            sharey="row",
            squeeze=False,
            figsize=size,
            height_ratios=(3, 3, 2.2, 2.2, 1.4),
            layout="constrained",
        )
        for column, strip in enumerate(strips):
            _column(axes[:, column], strip)
        for axis, label in zip(
            axes[:, 0],
            ("P  [kg/m³]", "T  [K]", "initiator feed  [kg/h]", "coolant  [K]", "gap / tolerance"),
            strict=True,
        ):
            axis.set_ylabel(label)
        _legend(figure, axes)
        beside = path.with_name(path.name + ".part")
        figure.savefig(beside, format="png", dpi=110)
        beside.replace(path)
        plt.close(figure)


def _column(axes: Any, strip: Strip) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    P, T, feed, coolant, gap = axes
    trend, audit = strip.trend, strip.result.audit
    hours = trend.plant_time_s / 3600.0
    P.set_title(TITLES.get(strip.result.scenario, strip.result.scenario), weight="bold")
    for axis, value, setpoint in ((P, trend.P, trend.P_sp), (T, trend.T, trend.T_sp)):
        axis.step(hours, setpoint, where="post", color=INK, linewidth=0.9, label="setpoint")
        axis.plot(hours, value, color=OURS, label="trimtab (true state)")
    T.axhline(LIMIT_K, color=ALARM, linewidth=1.0, label=f"limit {LIMIT_K:g} K")
    for index, (axis, actual) in enumerate(((feed, trend.F_I), (coolant, trend.T_c))):
        scans = audit.time_s / 3600.0
        axis.plot(hours, actual, color=OURS, linewidth=3.0, alpha=0.4, label="actual output")
        axis.step(
            scans,
            audit.move[:, index],
            where="post",
            color=INK,
            linewidth=0.8,
            label="corrected move",
        )
        axis.plot(
            scans, audit.policy[:, index], ".", color=POLICY, markersize=1.8, label="policy move"
        )
    _baseline((P, T, feed, coolant), strip)
    ratio = np.clip(audit.gap_ratio, LEAST_RATIO, None)
    gap.set(yscale="log", ylim=(0.5 * LEAST_RATIO, 5.0))
    gap.plot(audit.time_s / 3600.0, ratio, ".", color=INK, markersize=2.5, label="gap")
    gap.axhline(1.0, color=ALARM, linewidth=1.0, label="tolerance")
    gap.set_xlabel("plant time  [h]")
    end = max(strip.result.end_s / 3600.0, 0.1)
    gap.set_xlim(0.0, end)
    gap.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 3, 6, 10]))
    _marks(axes, trend)


def _baseline(axes: Any, strip: Strip) -> None:
    if strip.baseline is None:
        return
    other = strip.baseline.between(0.0, strip.result.end_s)
    columns = (other.P, other.T, other.F_I, other.T_c)
    for index, (axis, values) in enumerate(zip(axes, columns, strict=True)):
        axis.plot(
            other.plant_time_s / 3600.0,
            values,
            "--" if index < 2 else "-",
            color=PI,
            linewidth=1.1 if index < 2 else 0.5,
            alpha=1.0 if index < 2 else 0.6,
            zorder=1,
            label="DCS PI alone",
        )


def _marks(axes: Any, trend: Trend) -> None:
    """A dotted line where AUTO begins."""
    active = np.flatnonzero(trend.active > 0)
    if len(active) == 0:
        return
    begin = trend.plant_time_s[active[0]] / 3600.0
    for axis in axes:
        axis.axvline(begin, color=INK, linewidth=0.7, linestyle=":")
    axes[0].annotate(
        "AUTO",
        (begin, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-2, 4),
        textcoords="offset points",
        fontsize=7.5,
        color=INK,
    )


def _legend(figure: Any, axes: Any) -> None:
    found: dict[str, Any] = {}
    for axis in axes[:, 0]:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=5, frameon=False)
