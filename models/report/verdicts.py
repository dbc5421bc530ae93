"""What was required, what was measured, and whether it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.recipe.evaluation import Requirement
    from models.report.results import Results, Row

WORDS = {"score": "score", "movement": "MV movement", "offset": "offset", "violated": "violations"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One requirement in one suite.

    measured: by scenario, None where there is no row. required: in words. reached: None where
    something is not measured, or on too few episodes, and nothing measured fails.
    """

    controller: str
    figure: str
    suite: str
    measured: dict[str, float | None]
    required: str
    reached: bool | None
    note: str = ""


def judge(results: Results, required: list[Requirement], suites: list[str]) -> list[Verdict]:
    """Every requirement, suite by suite; `suites`: all there are, evaluated or not."""
    found: list[Verdict] = []
    for requirement in required:
        for suite in requirement.suites or suites:
            if requirement.figure == "violated":
                found.append(_violations(results, requirement, suite))
            elif requirement.above:
                found += [_above(results, requirement, suite, other) for other in requirement.above]
            else:
                found.append(_bounded(results, requirement, suite))
    return found


def reachable_rows(results: Results, controller: str, suite: str, scenario: str) -> list[Row]:
    """Episodes of a cell, all dataset seeds, but those whose setpoint the plant cannot hold."""
    return [
        row
        for row in results.rows
        if (row["controller"], row["suite"], row["scenario"]) == (controller, suite, scenario)
        and row.get("reachable") is not False
    ]


def offset_of(row: Row, symbols: list[str]) -> float:
    """Largest |offset| of an episode over the CVs, each in its unit."""
    return float(max(abs(row[f"offset_{symbol}"]) for symbol in symbols))


def _bounded(results: Results, requirement: Requirement, suite: str) -> Verdict:
    name = results.named(requirement.controller, requirement.variant)
    symbols = list(results.setting["symbols"].values())

    def offset(scenario: str) -> float | None:
        rows = reachable_rows(results, name, suite, scenario)
        return max((offset_of(row, symbols) for row in rows), default=None)

    def of_cells(key: str, pick: Callable[[list[float]], float]) -> Callable[[str], float | None]:
        def figure(scenario: str) -> float | None:
            cells = _cells(results, name, suite, scenario)
            known = [cell[key] for cell in cells if cell[key] is not None]
            return pick(known) if known and len(known) == len(cells) else None

        return figure

    figures = {
        "offset": offset,
        "score": of_cells("score", min),
        "movement": of_cells("movement", max),
    }
    measured = {s: figures[requirement.figure](s) for s in results.scenarios(suite)}
    low, high = requirement.at_least, requirement.at_most
    kept = [
        None if value is None else _within(value, _bound(low, s), _bound(high, s))
        for s, value in measured.items()
    ]
    sign, bound = ("at least", low) if low is not None else ("at most", high)
    limits = list(bound.values()) if isinstance(bound, dict) else [bound]
    return Verdict(
        controller=name,
        figure=WORDS[requirement.figure],
        suite=suite,
        measured=measured,
        required=f"{sign} {' / '.join(f'{x:g}' for x in limits if x is not None)}",
        reached=_all(kept),
        note=_left_out(results, name, suite) if requirement.figure == "offset" else "",
    )


def _above(results: Results, requirement: Requirement, suite: str, other: str) -> Verdict:
    """Smallest lead of the score over dataset seeds; a yardstick has one row for all of them."""
    name = results.named(requirement.controller, requirement.variant)
    rival = results.named(other, requirement.variant)
    measured: dict[str, float | None] = {}
    for scenario in results.scenarios(suite):
        there = _cells(results, rival, suite, scenario) or _cells(results, other, suite, scenario)
        scores = {cell["dataset_seed"]: cell["score"] for cell in there}
        leads = [
            _lead(cell["score"], scores.get(cell["dataset_seed"], scores.get(None)))
            for cell in _cells(results, name, suite, scenario)
        ]
        known = [lead for lead in leads if lead is not None]
        measured[scenario] = min(known) if known and len(known) == len(leads) else None
    return Verdict(
        controller=name,
        figure=f"score above {rival}",
        suite=suite,
        measured=measured,
        required="above 0",
        reached=_all([None if lead is None else lead > 0.0 for lead in measured.values()]),
    )


def _violations(results: Results, requirement: Requirement, suite: str) -> Verdict:
    name = results.named(requirement.controller, requirement.variant)
    cells = [c for c in results.cells if (c["controller"], c["suite"]) == (name, suite)]
    episodes = sum(cell["starts"] for cell in cells)
    most = requirement.at_most
    allowed = 0.0 if most is None or isinstance(most, dict) else most
    above = sum(cell["violated"] for cell in cells) if cells else None
    reached = None
    if above is not None:
        enough = episodes >= requirement.episodes
        reached = False if above > allowed else (True if enough else None)
    return Verdict(
        controller=name,
        figure="episodes above a limit",
        suite=suite,
        measured={"all": above},
        required=f"at most {allowed:g} of at least {requirement.episodes}",
        reached=reached,
        note=f"of {episodes} episodes",
    )


def _cells(results: Results, controller: str, suite: str, scenario: str) -> list[Row]:
    wanted = (controller, suite, scenario)
    return [c for c in results.cells if (c["controller"], c["suite"], c["scenario"]) == wanted]


def _lead(score: float | None, rival: float | None) -> float | None:
    return None if score is None or rival is None else score - rival


def _left_out(results: Results, name: str, suite: str) -> str:
    rows = [row for row in results.rows if (row["controller"], row["suite"]) == (name, suite)]
    if any("reachable" not in row or row["reachable"] is None for row in rows):
        return "whether the plant can hold the setpoint is not recorded"
    lost = sum(not row["reachable"] for row in rows)
    return f"{lost} of {len(rows)} episodes ask for what the plant cannot hold" if lost else ""


def _bound(bound: float | dict[str, float] | None, scenario: str) -> float | None:
    return bound.get(scenario) if isinstance(bound, dict) else bound


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _all(kept: list[bool | None]) -> bool | None:
    if False in kept:
        return False
    return None if not kept or None in kept else True
