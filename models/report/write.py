"""Writes the report: one Markdown file and pictures, from results and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  # a field
from typing import TYPE_CHECKING

from models.evaluation.pilot import EvaluationError
from models.evaluation.suites import rules_of
from models.report import words
from models.report.charts import draw_offsets, draw_pareto, draw_sweep
from models.report.document import (
    folded,
    policy_table,
    score_tables,
    sweep_table,
    table,
    unreached,
    verdict_table,
)
from models.report.trends import draw_trends
from models.report.verdicts import judge

if TYPE_CHECKING:
    from models.recipe import Recipe
    from models.recipe.evaluation import EvaluationRecipe
    from models.report.results import Results, Row

POLICY_ROWS = ["sequence", "sequence_removed", "sequence_random"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the report goes, the command that writes it, and the cache with the trends."""

    out: Path
    command: str
    cache: Path

    @property
    def images(self) -> Path:
        """Directory of the pictures."""
        return self.out.parent / "images"

    def picture(self, path: Path, title: str) -> str:
        """Markdown that shows a picture."""
        return f"![{title}]({os.path.relpath(path, self.out.parent)})"


def write_report(results: Results, recipe: Recipe, place: Place) -> list[Path]:
    """Write text and pictures, return the paths; raise EvaluationError where nothing is scored."""
    if not any(cell["score"] is not None for cell in results.cells):
        raise EvaluationError(
            "the results hold no scores: evaluate with the optimum; in the checkout: "
            "pip install --constraint constraints.txt '.[dev]'"
        )
    rules = rules_of(recipe)
    parts = [*_head(results, rules, place), *_verdicts(results, rules)]
    parts += _trends(results, recipe, rules, place)
    parts += ["## Scores", words.SCORES, *score_tables(results)]
    parts += _charts(results, recipe, rules, place)
    parts += _policy(results, place)
    parts += ["## How it was measured", *_method(results, rules)]
    place.out.parent.mkdir(parents=True, exist_ok=True)
    place.out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [place.out, *sorted(place.images.glob("benchmark-*.svg"))]


def _head(results: Results, rules: EvaluationRecipe, place: Place) -> list[str]:
    setting = results.setting
    rows = []
    for result in results.whole:
        for bundle in result["bundles"]:
            variant = str(bundle["dataset"].get("variant") or "unnamed data")
            starts = str(len(result["setting"]["start_seeds"]))
            rows.append(
                [variant, str(bundle["dataset_seed"]), starts, f"`{bundle['weights_sha256'][:12]}`"]
            )
    commands = [str(result["command"]) for result in results.whole if result.get("command")]
    if place.command not in commands:
        commands.append(place.command)
    tuned = setting["seed"] == rules.choice_seed
    seed = f"Starts come from seed {setting['seed']}" + (
        "; **these are the starts on which figures were chosen, so nothing here counts as a test.**"
        if tuned
        else f"; figures were chosen on seed {rules.choice_seed} only."
    )
    about = (
        f"Recipe `{setting['recipe']}`, samples of {setting['sample_time_s']:g} s, episodes of "
        f"{setting['hours']:g} h, suites {', '.join(results.suites)}. {seed}"
    )
    return [
        "# Benchmark",
        words.WRITTEN,
        "    " + "\n    ".join(commands),
        about,
        table(["data", "dataset seed", "starts a cell", "weights"], _once(rows)),
    ]


def _once(rows: list[list[str]]) -> list[list[str]]:
    """Rows without those that several results have in common."""
    return [list(row) for row in dict.fromkeys(tuple(row) for row in rows)]


def _verdicts(results: Results, rules: EvaluationRecipe) -> list[str]:
    if not rules.required:
        return []
    verdicts = judge(results, rules.required, [suite.name for suite in rules.suites])
    return [
        "## Required and measured",
        words.JUDGED,
        verdict_table(verdicts),
        unreached(verdicts),
    ]


def _trends(results: Results, recipe: Recipe, rules: EvaluationRecipe, place: Place) -> list[str]:
    pictures = draw_trends(results, recipe, rules.shown, cache=place.cache, images=place.images)
    said = words.TRENDS + f"{results.suites[0]}." if pictures else words.NO_TRENDS
    shown = [place.picture(path, f"Trends, {name}") for name, path in pictures.items()]
    return ["## Trends", said, *shown]


def _charts(results: Results, recipe: Recipe, rules: EvaluationRecipe, place: Place) -> list[str]:
    judged = [s for r in rules.required if r.figure == "movement" for s in r.suites]
    suites = [s for s in dict.fromkeys([results.suites[0], *judged]) if s in results.suites]
    path = place.images / "benchmark-pareto.svg"
    draw_pareto(results, suites, rules.shown, path)
    parts = [
        "## Score and movement",
        words.PARETO,
        place.picture(path, "Score against MV movement"),
        "## Offsets",
        words.OFFSETS,
    ]
    units = {cv.name: cv.unit for cv in recipe.cvs}
    bounds = {
        suite: requirement.at_most
        for requirement in rules.required
        if requirement.figure == "offset" and requirement.controller == POLICY_ROWS[0]
        for suite in requirement.suites
    }
    for suite in [s for s in results.suites if s in bounds] or results.suites[:1]:
        bound = bounds.get(suite)
        line = None if isinstance(bound, dict) else bound
        path = place.images / f"benchmark-offsets-{suite}.svg"
        draw_offsets(results, suite, path, shown=rules.shown, units=units, bound=line)
        parts += [f"Suite {suite}:", place.picture(path, f"Offsets, {suite}")]
    return parts


def _policy(results: Results, place: Place) -> list[str]:
    parts = [
        "## What the policy contributes",
        words.POLICY,
        policy_table(results, POLICY_ROWS),
    ]
    ties = [b for result in results.whole[:1] for b in result["bundles"][:1]]
    for bundle in ties:
        radius = bundle["trust_radius"]
        parts.append(
            f"The bundle's own ties: proximal weight {bundle['proximal']:g}, trust radius "
            f"{'none' if radius is None else format(radius, 'g')}."
        )
    for suite in results.suites:
        path = place.images / f"benchmark-sweep-{suite}.svg"
        if draw_sweep(results, suite, path):
            parts += [
                f"### Radius and weight, suite {suite}",
                place.picture(path, f"Score against trust radius and weight, {suite}"),
                folded("Lowest score of every tie", sweep_table(results, suite)),
            ]
    return parts


def _method(results: Results, rules: EvaluationRecipe) -> list[str]:
    first: Row = results.whole[0]
    published, limits = first["published"], results.setting["limits"]
    chosen = published["best_chosen_on"]
    absent = sorted({name for r in results.whole for name in r.get("not_available", [])})
    rows = [row for row in results.rows if row.get("reachable") is False]
    starts = {(row["suite"], row["scenario"], row["start_seed"]) for row in rows}
    above = ", ".join(f"{name} above {limit:g}" for name, limit in limits.items())
    versions = ", ".join(f"{k} {v}" for k, v in first.get("versions", {}).items())
    best = published["best"] or "not among the controllers"
    on = f"suite {chosen['suite']}, seed {chosen['seed']}, {chosen['starts']} starts"
    drawn = f"{len(published['tunings'])} published tunings were drawn. "
    tuned = "What was chosen (tunings of PI and NMPC, radius, weight, horizon, move penalty) was "
    facts = [
        words.SCORE.replace("\n", " "),
        f"{drawn}`pi_best` is {best}: {published['best_chosen_by']} ({on}).",
        f"{tuned}chosen on seed {rules.choice_seed}; these starts: seed {results.setting['seed']}.",
        f"An offset is the mean error of the true CVs over the last {rules.last_hours:g} h.",
        words.FIGURES.replace("\n", " "),
        f"An episode is above the limit with {above or 'no limit'} anywhere inside its samples.",
        f"In {len(starts)} of the starts the plant cannot hold the setpoint.",
    ]
    facts += [f"Not available: {', '.join(f'`{name}`' for name in absent)}."] if absent else []
    facts += [f"Versions: {versions}."] if versions else []
    return ["\n".join(f"- {fact}" for fact in facts)]
