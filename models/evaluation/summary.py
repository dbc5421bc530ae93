"""Rows, references and cells of a finished evaluation, as plain dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.evaluation.scoring import interval, score

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.evaluation.references import Reference
    from models.evaluation.suites import Case, Setting

Row = dict[str, Any]


def complete_row(measured: Row, head: Row, reference: Reference | None, at: int) -> Row:
    """An episode's row: where it belongs, its score, its measures; `at`: place of its start."""
    start_score = None
    if reference is not None and reference.optimum is not None:
        returned = np.array([measured["return"]])
        start_score = score(returned, reference.pi[at : at + 1], reference.optimum[at : at + 1])
    front = {"start": measured["start"], "return": measured["return"], "score": start_score}
    return {**head, **front, **{k: v for k, v in measured.items() if k not in front}}


def reference_rows(
    case: Case, reference: Reference, seeds: list[int], names: list[str]
) -> list[Row]:
    """The returns that scores of one cell used, a row a start."""
    return [
        {
            "suite": case.suite,
            "scenario": case.name,
            "start_seed": seed,
            "pi_return": float(reference.pi[at]),
            "pi_tuning": names[reference.median],
            "optimum_return": None if reference.optimum is None else float(reference.optimum[at]),
        }
        for at, seed in enumerate(seeds)
    ]


def cells_of(
    rows: Iterable[Row], by_case: dict[tuple[str, str], Reference], setting: Setting
) -> list[Row]:
    """One row a controller, suite, scenario and dataset seed, over its starts."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = (row["controller"], row["suite"], row["scenario"], row["dataset_seed"])
        groups.setdefault(key, []).append(row)
    return [
        _cell(dict(zip(CELL, key, strict=True)), group, by_case.get((key[1], key[2])), setting)
        for key, group in groups.items()
    ]


CELL = ("controller", "suite", "scenario", "dataset_seed")


def _cell(head: Row, group: list[Row], reference: Reference | None, setting: Setting) -> Row:
    returns = np.array([row["return"] for row in group])
    whole, ends = None, None
    if reference is not None and reference.optimum is not None:
        whole = score(returns, reference.pi, reference.optimum)
        ends = interval(returns, reference.pi, reference.optimum)
    of_starts = [row["score"] for row in group if row["score"] is not None]
    symbols = [setting.rules.symbols[cv.name] for cv in setting.recipe.cvs]
    settled = [row["settling_h"] for row in group if row["settling_h"] is not None]
    return {
        **head,
        "starts": len(group),
        "return_sum": float(returns.sum()),
        "score": whole,
        "score_low": ends[0] if ends else None,
        "score_high": ends[1] if ends else None,
        "score_of_starts_sd": float(np.std(of_starts)) if of_starts else None,
        "score_of_starts_min": min(of_starts, default=None),
        **{f"offset_{s}_mean_abs": _mean_abs(group, f"offset_{s}") for s in symbols},
        **{f"offset_{s}_max_abs": _max_abs(group, f"offset_{s}") for s in symbols},
        **{f"iae_{s}": _mean_abs(group, f"iae_{s}") for s in symbols},
        **{
            key: max(row[key] for row in group)
            for key in (f"peak_{setting.rules.symbols[name]}" for name in setting.rules.limits)
        },
        "violated": sum(row["violated"] for row in group),
        "settled": len(settled),
        "settling_h_median": float(np.median(settled)) if settled else None,
        "movement": _mean_abs(group, "movement"),
        "movement_max": _max_abs(group, "movement"),
        "cpu_us_per_move": _mean_abs(group, "cpu_us_per_move"),
        "refused": sum(row["refused"] or 0.0 for row in group),
        "policy_distance": _median(group, "policy_distance"),
    }


def worst_of(cells: list[Row]) -> list[Row]:
    """The dataset seed with the lowest score of each controller, suite and scenario."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell[key] for key in CELL[:3]), []).append(cell)
    lowest = [(_lowest(group), group) for group in groups.values()]
    return [
        {
            **cell,
            "dataset_seeds": len(group),
            "score_mean_of_seeds": _mean([one["score"] for one in group]),
            "violated_all_seeds": sum(one["violated"] for one in group),
        }
        for cell, group in lowest
    ]


def _lowest(group: list[Row]) -> Row:
    """The cell with the lowest score; without scores, with the lowest return."""
    figures = [cell["return_sum"] if cell["score"] is None else cell["score"] for cell in group]
    return group[int(np.argmin(figures))]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _mean_abs(group: list[Row], key: str) -> float:
    return float(np.mean([abs(row[key]) for row in group]))


def _max_abs(group: list[Row], key: str) -> float:
    return float(max(abs(row[key]) for row in group))


def _median(group: list[Row], key: str) -> float | None:
    known = [row[key] for row in group if row[key] is not None]
    return float(np.median(known)) if known else None
