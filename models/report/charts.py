"""Score against MV movement, offsets, and the sweep over the ties to the policy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.bundle_pilots import SWEEP
from models.report.style import drawn, height_of, marker_of, score_axis
from models.report.verdicts import reachable_rows

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from models.report.results import Results, Row

_SCENARIOS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
_POLICIES = {"removed": ("#d55e00", "s", "--"), "random": ("#8a8a8a", "^", ":")}
_LEAST_OFFSET = 1e-4


def draw_pareto(results: Results, suites: list[str], shown: list[str], path: Path) -> None:
    """Score of the worst dataset seed against the mean movement of its episodes."""
    plain = [name for name in results.controllers() if "(" not in name]
    scenarios = max((results.scenarios(suite) for suite in suites), key=len)
    height = 1.4 + 2.9 * len(suites)
    with drawn(path, rows=len(suites), columns=len(scenarios), height=height) as (figure, grid):
        for row, suite in zip(grid, suites, strict=True):
            for axes, scenario in zip(row, results.scenarios(suite), strict=False):
                cells = [
                    cell
                    for cell in results.worst
                    if (cell["suite"], cell["scenario"]) == (suite, scenario)
                    and cell["controller"] in plain
                    and cell["score"] is not None
                ]
                _pareto(axes, cells, plain, shown)
                axes.set_title(f"{suite}, {scenario.replace('_', ' ')}", fontsize=10)
            row[0].set_ylabel("score")
        for axes in grid[-1]:
            axes.set_xlabel("MV movement [spans]")
        named = {h.get_label(): h for axes in grid.flat for h in axes.get_lines()}
        handles = [named[name] for name in plain if name in named]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)


def _pareto(axes: Axes, cells: list[Row], controllers: list[str], shown: list[str]) -> None:
    best = sorted(cells, key=lambda cell: (cell["movement"], -cell["score"]))
    front: list[Row] = []
    for cell in best:
        if not front or cell["score"] > front[-1]["score"]:
            front.append(cell)
    axes.step(
        [cell["movement"] for cell in front],
        height_of([cell["score"] for cell in front]),
        where="post",
        color="#bbbbbb",
        linewidth=1.0,
        zorder=1,
    )
    for cell in cells:
        name = cell["controller"]
        look = marker_of(name, controllers, shown)
        axes.plot(
            cell["movement"],
            height_of(cell["score"]),
            linestyle="",
            markersize=7,
            label=name,
            **look,
        )
    score_axis(axes, [cell["score"] for cell in cells])
    axes.set_xlim(left=0.0)


def draw_offsets(
    results: Results,
    suite: str,
    path: Path,
    *,
    shown: list[str],
    units: dict[str, str],
    bound: float | None,
) -> None:
    """Mean |offset| of every controller, a bar a scenario; a whisker to the largest episode.

    Of other data variants, the `shown` controllers. units: by CV; bound: what is required, a line.
    """
    names = [
        name
        for name in reversed(results.controllers())
        if "(" not in name or name.split(" (")[0] in shown
    ]
    scenarios, symbols = results.scenarios(suite), results.setting["symbols"]
    thick = 0.8 / len(scenarios)
    height = 1.2 + 0.14 * len(scenarios) * len(names)
    with drawn(path, rows=1, columns=len(symbols), height=height) as (figure, grid):
        for axes, (cv, symbol) in zip(grid[0], symbols.items(), strict=True):
            for place, scenario in enumerate(scenarios):
                rows = [
                    [
                        abs(r[f"offset_{symbol}"])
                        for r in reachable_rows(results, n, suite, scenario)
                    ]
                    for n in names
                ]
                mean, most = (
                    np.array([max(float(of(x)), _LEAST_OFFSET) if x else np.nan for x in rows])
                    for of in (np.mean, max)
                )
                at = np.arange(len(names)) + 0.4 - (place + 0.5) * thick
                axes.barh(
                    at,
                    mean - _LEAST_OFFSET,
                    thick * 0.9,
                    left=_LEAST_OFFSET,
                    color=_SCENARIOS[place % len(_SCENARIOS)],
                    label=scenario.replace("_", " "),
                )
                axes.hlines(at, mean, most, color="black", linewidth=0.8)
            if bound is not None:
                axes.axvline(bound, color="#b00020", linewidth=1.2, label=f"required: {bound:g}")
            axes.set_xscale("log")
            axes.set_xlim(left=_LEAST_OFFSET)
            axes.set_xlabel(f"|offset| of {cv} [{units[cv]}]")
            axes.set_yticks(range(len(names)), names if axes is grid[0, 0] else [])
            axes.set_ylim(-0.6, len(names) - 0.4)
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))


def draw_sweep(results: Results, suite: str, path: Path) -> bool:
    """Score against trust radius, a row a scenario and a column a weight; False without a sweep."""
    rows = [row for row in results.rows if row["controller"].startswith(SWEEP)]
    ties = {row["controller"]: row for row in rows if "(" not in row["controller"]}
    if not ties or suite not in {row["suite"] for row in rows}:
        return False
    weights = sorted({row["proximal"] for row in ties.values()})
    scenarios = results.scenarios(suite)
    height = 1.2 + 2.3 * len(scenarios)
    with drawn(path, rows=len(scenarios), columns=len(weights), height=height) as (figure, grid):
        for line, scenario in zip(grid, scenarios, strict=True):
            cells = {
                cell["controller"]: cell["score"]
                for cell in results.worst
                if (cell["suite"], cell["scenario"]) == (suite, scenario)
                and cell["controller"] in ties
                and cell["score"] is not None
            }
            for axes, weight in zip(line, weights, strict=True):
                _swept(axes, cells, {n: r for n, r in ties.items() if r["proximal"] == weight})
                score_axis(axes, list(cells.values()))
                axes.set_title(f"{scenario.replace('_', ' ')}, weight {weight:g}", fontsize=10)
            line[0].set_ylabel("score")
        for axes in grid[-1]:
            axes.set_xlabel("trust radius")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return True


def _swept(axes: Axes, scores: dict[str, float], ties: dict[str, Row]) -> None:
    """One panel; the radius `none` stands one step to the right of the widest."""
    radii = sorted({_radius(row) for row in ties.values()})
    at = {radius: place for place, radius in enumerate(radii)}
    policies = sorted({row["policy"] for row in ties.values()}, key=lambda p: p in _POLICIES)
    for policy in policies:
        points = sorted(
            (at[_radius(row)], scores[name])
            for name, row in ties.items()
            if row["policy"] == policy and name in scores
        )
        colour, marker, dash = _POLICIES.get(policy, ("#0072b2", "o", "-"))
        axes.plot(
            [x for x, _ in points],
            height_of([score for _, score in points]),
            color=colour,
            marker=marker,
            linestyle=dash,
            markersize=5,
            label=f"policy {policy}",
        )
    axes.set_xticks(range(len(radii)), ["none" if math.isinf(r) else f"{r:g}" for r in radii])
    axes.set_xlim(-0.3, len(radii) - 0.7)


def _radius(row: Row) -> float:
    radius = row["trust_radius"]
    return math.inf if radius is None else float(radius)
