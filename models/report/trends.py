"""Trends of the controllers in one episode, a picture a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.evaluation.cache import load_trend
from models.report.style import drawn, line_of

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from models.bundle import Signal
    from models.recipe import Recipe
    from models.report.results import Results


def draw_trends(
    results: Results, recipe: Recipe, shown: list[str], *, cache: Path, images: Path
) -> dict[str, Path]:
    """Pictures by scenario, in the first suite; none where the cache does not hold the episodes."""
    suite = results.suites[0]
    pictures = {}
    for scenario in results.scenarios(suite):
        found = _trends(results, shown, suite, scenario, cache)
        if found:
            path = images / f"benchmark-trends-{scenario}.svg"
            _draw(path, found, results.setting, recipe, shown)
            pictures[scenario] = path
    return pictures


def _trends(
    results: Results, shown: list[str], suite: str, scenario: str, cache: Path
) -> dict[str, Any]:
    """Trend of each controller on the first start, of the lowest dataset seed."""
    start = results.setting["start_seeds"][0]
    found = {}
    for controller in shown:
        rows = [
            row
            for row in results.rows
            if (row["controller"], row["suite"], row["scenario"], row["start_seed"])
            == (controller, suite, scenario, start)
        ]
        row = min(rows, key=lambda row: row["dataset_seed"] or 0, default=None)
        trend = None if row is None else load_trend(cache, row["trend"])
        if trend is not None:
            found[controller] = trend
    return found


def _draw(
    path: Path, trends: dict[str, Any], setting: dict[str, Any], recipe: Recipe, shown: list[str]
) -> None:
    limits, setpoint = setting["limits"], next(iter(trends.values()))["setpoint"]
    tags: list[tuple[str, Signal, int]] = [("cv", cv, at) for at, cv in enumerate(recipe.cvs)]
    tags += [("mv", mv, at) for at, mv in enumerate(recipe.mvs)]
    with drawn(path, rows=len(tags), columns=1, height=1.0 + 2.0 * len(tags)) as (figure, grid):
        for axes, (kind, tag, at) in zip(grid[:, 0], tags, strict=True):
            for controller, trend in trends.items():
                axes.plot(
                    trend["hours"],
                    trend[kind][:, at],
                    label=controller,
                    **line_of(controller, shown),
                )
            axes.set_ylabel(f"{tag.name}\n[{tag.unit}]")
            axes.margins(x=0.01)
            if kind == "cv":
                _references(axes, float(setpoint[at]), limits.get(tag.name))
            if axes is not grid[-1, 0]:
                axes.tick_params(labelbottom=False)
        grid[-1, 0].set_xlabel("hours")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, handlelength=3.5)


def _references(axes: Axes, setpoint: float, limit: float | None) -> None:
    end = axes.get_yaxis_transform()
    axes.axhline(setpoint, color="black", linewidth=0.8)
    axes.text(1.005, setpoint, "SP", transform=end, va="center", fontsize=9)
    if limit is not None:
        axes.axhline(limit, color="#b00020", linewidth=1.2)
        axes.text(
            1.005, limit, f"{limit:g}", transform=end, va="center", color="#b00020", fontsize=9
        )
