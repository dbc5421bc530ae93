"""Compare all controllers on the same starts: the referee of the project.

Score of a cell (suite, scenario): 0 is the median of the published PI tunings, 100 the optimum
with a perfect model, both recomputed on the very starts, parameters, actuators and override
that are scored; see `models.evaluation.scoring`.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.evaluation.campaign import Campaign, Job
from models.evaluation.episode import started
from models.evaluation.facts import bundle_facts, setting_facts, versions
from models.evaluation.output import tables, write_result
from models.evaluation.plan import (
    FROM_BUNDLES,
    Entry,
    Plan,
    bundle_entries,
    common_setting,
    manifests_of,
    recipe_of,
    wanted_names,
)
from models.evaluation.references import best_published, references
from models.evaluation.suites import cases_of, start_seeds
from models.evaluation.summary import cells_of, complete_row, reference_rows, worst_of
from models.evaluation.yardsticks import NAMES, PI_BEST, PI_MEDIAN, yardsticks_of
from models.recipe import load_recipe

if TYPE_CHECKING:
    from rich.console import RenderableType

    from models.evaluation.pilot import Pilot
    from models.evaluation.references import Reference
    from models.evaluation.suites import Case, Setting
    from models.evaluation.yardsticks import Yardsticks
    from models.progress import Progress

CHOICE_OF_BEST = (
    "highest mean over the scenarios of (sum R - sum R_median) / |sum R_median|, on starts of "
    "another seed"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every controller is run on, and the references there.

    reachable: by case and start seed, whether the plant can hold the setpoint; empty: unknown.
    """

    campaign: Campaign
    cases: list[Case]
    seeds: list[int]
    references: dict[Case, Reference]
    reachable: dict[tuple[Case, int], bool]


def evaluate(plan: Plan, cache: Path, *, jobs: int, progress: Progress) -> dict[str, Any]:
    """Run what the cache does not hold and return everything that goes into out.json.

    Raises EvaluationError, RecipeError and BundleError for what cannot be compared.
    """
    manifests = manifests_of(plan)
    recipe = recipe_of(plan, next(iter(manifests.values())))
    setting = common_setting(plan, recipe, manifests)
    cases, seeds = cases_of(recipe, plan.suites), start_seeds(plan.seed, plan.starts)
    entries = bundle_entries(plan, setting, manifests, cases)
    wanted = wanted_names(plan, entries)
    yardsticks = yardsticks_of(setting, wanted)
    campaign = Campaign(setting, cache, jobs=jobs, progress=progress)
    by_case = _references(campaign, cases, seeds, yardsticks)
    ground = Ground(
        campaign=campaign,
        cases=cases,
        seeds=seeds,
        references=by_case,
        reachable=_reachable(setting, cases, seeds, yardsticks),
    )
    chosen = [entry for entry in entries if entry.pilot.name in wanted]
    chosen += [Entry(pilot=pilot) for pilot in yardsticks.others]
    if yardsticks.optimum is not None and "optimum" in wanted:
        chosen.append(Entry(pilot=yardsticks.optimum))
    best = None
    if by_case and PI_BEST in wanted:
        best = yardsticks.published[best_published(campaign, yardsticks.published)]
    rows = _rows(ground, [*chosen, *_pi_entries(ground, yardsticks, best, wanted)])
    flat = {(case.suite, case.name): reference for case, reference in by_case.items()}
    cells = cells_of(rows, flat, setting)
    names = [pilot.name for pilot in yardsticks.published]
    have = {row["controller"] for row in rows}
    return {
        "rows": rows,
        "references": [
            row
            for case, reference in by_case.items()
            for row in reference_rows(case, reference, seeds, names)
        ],
        "cells": cells,
        "worst": worst_of(cells),
        "published": {
            "tunings": names,
            "return_sums": [
                {"suite": c.suite, "scenario": c.name, "sums": r.published.sum(axis=1).tolist()}
                for c, r in by_case.items()
            ],
            "best": None if best is None else best.name,
            "best_chosen_by": CHOICE_OF_BEST,
            "best_chosen_on": {
                "suite": setting.rules.choice_suite,
                "seed": setting.rules.choice_seed,
                "starts": setting.rules.choice_starts,
            },
        },
        "setting": setting_facts(plan, setting, cases, seeds),
        "bundles": [bundle_facts(path, manifest) for path, manifest in manifests.items()],
        "not_available": [name for name in (*FROM_BUNDLES, *NAMES) if name in wanted - have],
        "episodes": {"computed": campaign.computed, "reused": campaign.reused},
        "versions": versions(),
    }


def command(
    plan: Plan, cache: Path, out: Path, *, jobs: int, progress: Progress
) -> list[RenderableType]:
    """Evaluate, write `out`, and return what the terminal shows."""
    result = evaluate(plan, cache, jobs=jobs, progress=progress)
    write_result(out, {"command": _command(), **result})
    symbols, limits = result["setting"]["symbols"], result["setting"]["limits"]
    shown: list[RenderableType] = [
        *tables(result, list(symbols.values()), [symbols[name] for name in limits])
    ]
    if result["not_available"]:
        shown.append(f"not available here: {', '.join(result['not_available'])}")
    counted = result["episodes"]
    shown.append(
        f"wrote {out}: {len(result['rows'])} rows; "
        f"{counted['computed']} jobs computed, {counted['reused']} from {cache}"
    )
    return shown


def report(
    paths: list[Path], out: Path, cache: Path, *, recipe: str | None = None
) -> list[RenderableType]:
    """Write the report of results at `paths`, the first the bundle's own; for the terminal, where.

    Raises EvaluationError and RecipeError for what cannot be brought together.
    """
    from models.report.results import load_results  # noqa: PLC0415
    from models.report.write import Place, write_report  # noqa: PLC0415

    results = load_results(paths)
    chosen = load_recipe(recipe or results.setting["recipe"])
    written = write_report(results, chosen, Place(out=out, command=_command(), cache=cache))
    return [f"wrote {out} with {len(written) - 1} pictures in {out.parent / 'images'}"]


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _references(
    campaign: Campaign, cases: list[Case], seeds: list[int], yardsticks: Yardsticks
) -> dict[Case, Reference]:
    if not yardsticks.published:
        return {}
    return references(
        campaign, cases, seeds, published=yardsticks.published, optimum=yardsticks.optimum
    )


def _reachable(
    setting: Setting, cases: list[Case], seeds: list[int], yardsticks: Yardsticks
) -> dict[tuple[Case, int], bool]:
    judge = yardsticks.reachable
    if judge is None:
        return {}
    found = {}
    for case in cases:
        for seed in seeds:
            env, _, info = started(setting, case, seed, {})
            found[case, seed] = judge(env, info)
    return found


def _rows(ground: Ground, entries: list[Entry]) -> list[dict[str, Any]]:
    """A row an episode."""
    campaign, seeds = ground.campaign, ground.seeds
    places = [
        (entry, case, at)
        for entry in entries
        for case in (ground.cases if entry.cases is None else entry.cases)
        for at in range(len(seeds))
    ]
    jobs = [
        Job(pilots=(entry.pilot,), case=case, start_seed=seeds[at]) for entry, case, at in places
    ]
    measured = campaign.run("controllers", jobs)
    rows = []
    for (entry, case, at), job, found in zip(places, jobs, measured, strict=True):
        head = {
            "controller": entry.pilot.name,
            "suite": case.suite,
            "scenario": case.name,
            "dataset_seed": entry.dataset_seed,
            "start_seed": seeds[at],
            "sample_time_s": campaign.setting.sample_time_s,
            "reachable": ground.reachable.get((case, seeds[at])),
        }
        whole = complete_row(found, head, ground.references.get(case), at)
        about = {**getattr(entry.pilot, "about", {}), **entry.columns}
        rows.append({**whole, "trend": job.key(campaign.setting), **about})
    return rows


def _pi_entries(
    ground: Ground, yardsticks: Yardsticks, best: Pilot | None, wanted: set[str]
) -> list[Entry]:
    """The median published PI, which differs from cell to cell, and the best one."""
    entries = []
    for case, reference in ground.references.items() if PI_MEDIAN in wanted else ():
        pilot = yardsticks.published[reference.median]
        columns = {"controller": PI_MEDIAN, "tuning": pilot.name}
        entries.append(Entry(pilot=pilot, cases=(case,), columns=columns))
    if best is not None:
        entries.append(Entry(pilot=best, columns={"controller": PI_BEST, "tuning": best.name}))
    return entries
