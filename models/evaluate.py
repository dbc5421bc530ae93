"""Compare all controllers on the same starts: the referee of the project.

Score of a cell (suite, scenario): 0 is the median of the published PI tunings, 100 the optimum
with a perfect model, both recomputed on the very starts, parameters, actuators and override
that are scored; see `models.evaluation.scoring`.
"""

from __future__ import annotations

import platform
import shlex
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.bundle import WEIGHTS, load_manifest
from models.evaluation.bundle_pilots import SWEEP, dataset_seed, pilots_of
from models.evaluation.campaign import Campaign, Job
from models.evaluation.output import tables, write_result
from models.evaluation.pilot import EvaluationError
from models.evaluation.references import best_published, references
from models.evaluation.suites import cases_of, nearest, setting_of, start_seeds
from models.evaluation.summary import cells_of, complete_row, reference_rows, worst_of
from models.evaluation.yardsticks import NAMES, PI_BEST, PI_MEDIAN, yardsticks_of
from models.recipe import load_recipe, shipped_recipes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from models.bundle import Manifest
    from models.evaluation.campaign import Progress
    from models.evaluation.pilot import Pilot
    from models.evaluation.references import Reference
    from models.evaluation.suites import Case, Setting
    from models.evaluation.yardsticks import Yardsticks
    from models.recipe import Recipe

FROM_BUNDLES = (
    "bc",
    "iql",
    "bc_plus",
    "iql_plus",
    "iql_plus_certified",
    "held_action",
    "sequence",
    "sequence_removed",
    "sequence_random",
)
CHOICE_OF_BEST = (
    "highest mean over the scenarios of (sum R - sum R_median) / |sum R_median|, on starts of "
    "another seed"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to compare.

    sample_time_s: None takes the bundles'. controllers: None takes all there are. sweep: None
    takes the sweep where no controllers are named. hours: None takes the recipe's.
    """

    bundles: list[Path]
    suites: list[str]
    starts: int
    seed: int
    sample_time_s: float | None = None
    controllers: list[str] | None = None
    sweep: bool | None = None
    recipe: str | None = None
    hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every controller is run on, and the references there."""

    campaign: Campaign
    cases: list[Case]
    seeds: list[int]
    references: dict[Case, Reference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A pilot and the dataset seed of its bundle (None: no bundle)."""

    pilot: Pilot
    dataset_seed: int | None
    suites: tuple[str, ...] | None = None


def evaluate(plan: Plan, cache: Path, *, jobs: int, progress: Progress) -> dict[str, Any]:
    """Run what the cache does not hold and return everything that goes into out.json.

    Raises EvaluationError, RecipeError and BundleError for what cannot be compared.
    """
    manifests = _manifests(plan)
    recipe = _recipe(plan, next(iter(manifests.values())))
    setting = _setting(plan, recipe, manifests)
    cases, seeds = cases_of(recipe, plan.suites), start_seeds(plan.seed, plan.starts)
    entries = _bundle_entries(plan, setting, manifests)
    wanted = _wanted(plan, entries)
    yardsticks = yardsticks_of(setting, wanted)
    campaign = Campaign(setting, cache, jobs=jobs, progress=progress)
    by_case = _references(campaign, cases, seeds, yardsticks)
    ground = Ground(campaign=campaign, cases=cases, seeds=seeds, references=by_case)
    chosen = [entry for entry in entries if entry.pilot.name in wanted]
    chosen += [Entry(pilot=pilot, dataset_seed=None) for pilot in yardsticks.others]
    if yardsticks.optimum is not None and "optimum" in wanted:
        chosen.append(Entry(pilot=yardsticks.optimum, dataset_seed=None))
    rows = _rows(ground, chosen)
    best = None
    if by_case and PI_BEST in wanted:
        best = yardsticks.published[best_published(campaign, yardsticks.published)]
    rows += _pi_rows(ground, yardsticks, best, median=PI_MEDIAN in wanted)
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
        "setting": _setting_facts(plan, setting, cases, seeds),
        "bundles": [_bundle_facts(path, manifest) for path, manifest in manifests.items()],
        "not_available": [name for name in (*FROM_BUNDLES, *NAMES) if name in wanted - have],
        "episodes": {"computed": campaign.computed, "reused": campaign.reused},
        "versions": _versions(),
    }


def command(
    plan: Plan, cache: Path, out: Path, *, jobs: int, progress: Progress
) -> list[RenderableType]:
    """Evaluate, write `out`, and return what the terminal shows."""
    result = evaluate(plan, cache, jobs=jobs, progress=progress)
    write_result(out, {"command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]), **result})
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


def _manifests(plan: Plan) -> dict[Path, Manifest]:
    """Manifests by directory; no two of one dataset seed."""
    manifests = {path.resolve(): load_manifest(path) for path in plan.bundles}
    seen: dict[int, Path] = {}
    for path, manifest in manifests.items():
        seed = dataset_seed(manifest)
        if seed in seen:
            raise EvaluationError(
                f"--bundle {path} and {seen[seed]}: both learned from dataset seed {seed}; "
                "evaluate them one after the other, into two results"
            )
        seen[seed] = path
    return manifests


def _recipe(plan: Plan, manifest: Manifest) -> Recipe:
    if plan.recipe is None and manifest.name not in shipped_recipes():
        raise EvaluationError(
            f"bundle {manifest.name}: no recipe of this name ships; give --recipe with the one it "
            "was trained by"
        )
    return load_recipe(plan.recipe or manifest.name)


def _setting(plan: Plan, recipe: Recipe, manifests: dict[Path, Manifest]) -> Setting:
    wanted = plan.sample_time_s or next(iter(manifests.values())).sample_time_s
    for path, manifest in manifests.items():
        if manifest.sample_time_s != wanted:
            raise EvaluationError(
                f"--bundle {path}: its sample time is {manifest.sample_time_s:g} s, asked for is "
                f"{wanted:g} s; {_how_to_train(wanted)}"
            )
        tags = [[tag.name for tag in (*x.cvs, *x.mvs, *x.dvs)] for x in (manifest, recipe)]
        if tags[0] != tags[1]:
            raise EvaluationError(
                f"--bundle {path}: its tags {tags[0]} are not those of recipe {recipe.name}, "
                f"{tags[1]}; give --recipe with the one it was trained by"
            )
    return setting_of(recipe, wanted, plan.hours)


def _how_to_train(sample_time_s: float) -> str:
    fitting = [
        name
        for name in shipped_recipes()
        if load_recipe(name).source.sample_time_s == sample_time_s
    ]
    if not fitting:
        return f"no recipe that ships has source.sample_time_s = {sample_time_s:g}"
    return f"train one with `trimtab-models train --recipe {min(fitting, key=len)}`"


def _bundle_entries(plan: Plan, setting: Setting, manifests: dict[Path, Manifest]) -> list[Entry]:
    named = plan.controllers or []
    sweeping = plan.sweep if plan.sweep is not None else not named
    sweeping = sweeping or any(name.startswith(SWEEP) for name in named)
    sweep = setting.rules.sweep if sweeping else None
    only = tuple(sweep.suites) if sweep else ()
    return [
        Entry(
            pilot=pilot,
            dataset_seed=dataset_seed(manifest),
            suites=only if pilot.name.startswith(SWEEP) else None,
        )
        for path, manifest in manifests.items()
        for pilot in pilots_of(path, setting.recipe, sweep=sweep)
    ]


def _wanted(plan: Plan, entries: list[Entry]) -> set[str]:
    """Names to run; raises EvaluationError for one that nothing can be called."""
    there = [entry.pilot.name for entry in entries]
    swept = [name for name in there if name.startswith(SWEEP)]
    allowed = dict.fromkeys((*FROM_BUNDLES, *there, *NAMES))
    if plan.controllers is None:
        return set(allowed)
    for name in plan.controllers:
        if name not in allowed:
            short = [known for known in allowed if not known.startswith(SWEEP)]
            raise EvaluationError(f"--controllers {name!r}: {nearest(name, short)}")
    return {*plan.controllers, *(swept if plan.sweep else [])}


def _references(
    campaign: Campaign, cases: list[Case], seeds: list[int], yardsticks: Yardsticks
) -> dict[Case, Reference]:
    if not yardsticks.published:
        return {}
    return references(
        campaign, cases, seeds, published=yardsticks.published, optimum=yardsticks.optimum
    )


def _rows(
    ground: Ground,
    entries: list[Entry],
    *,
    cases: list[Case] | None = None,
    stage: str = "controllers",
) -> list[dict[str, Any]]:
    """A row an episode of every entry, on all cases of the ground or on some."""
    campaign, seeds = ground.campaign, ground.seeds
    places = [
        (entry, case, at)
        for entry in entries
        for case in cases or ground.cases
        if entry.suites is None or case.suite in entry.suites
        for at in range(len(seeds))
    ]
    jobs = [
        Job(pilots=(entry.pilot,), case=case, start_seed=seeds[at]) for entry, case, at in places
    ]
    measured = campaign.run(stage, jobs)
    rows = []
    for (entry, case, at), job, found in zip(places, jobs, measured, strict=True):
        head = {
            "controller": entry.pilot.name,
            "suite": case.suite,
            "scenario": case.name,
            "dataset_seed": entry.dataset_seed,
            "start_seed": seeds[at],
            "sample_time_s": campaign.setting.sample_time_s,
        }
        tail = {"trend": job.key(campaign.setting), **getattr(entry.pilot, "about", {})}
        rows.append(complete_row(found, head, ground.references.get(case), at) | tail)
    return rows


def _pi_rows(
    ground: Ground, yardsticks: Yardsticks, best: Pilot | None, *, median: bool
) -> list[dict[str, Any]]:
    """Rows of the median published PI, which differs from cell to cell, and of the best one."""
    rows = []
    for case, reference in ground.references.items() if median else ():
        pilot = yardsticks.published[reference.median]
        entry = Entry(pilot=pilot, dataset_seed=None)
        found = _rows(ground, [entry], cases=[case], stage="median PI")
        rows += [row | {"controller": PI_MEDIAN, "tuning": pilot.name} for row in found]
    if best is not None:
        found = _rows(ground, [Entry(pilot=best, dataset_seed=None)], stage="best PI")
        rows += [row | {"controller": PI_BEST, "tuning": best.name} for row in found]
    return rows


def _setting_facts(
    plan: Plan, setting: Setting, cases: list[Case], seeds: list[int]
) -> dict[str, Any]:
    return {
        "recipe": setting.recipe.name,
        "sample_time_s": setting.sample_time_s,
        "hours": setting.hours,
        "seed": plan.seed,
        "start_seeds": seeds,
        "last_hours": setting.rules.last_hours,
        "limits": setting.rules.limits,
        "symbols": {cv.name: setting.rules.symbols[cv.name] for cv in setting.recipe.cvs},
        "cases": [
            {
                "suite": case.suite,
                "scenario": case.name,
                "start": case.scenario,
                "environment": dict(case.switches),
                "setpoint": None if case.setpoint is None else list(case.setpoint),
            }
            for case in cases
        ],
    }


def _bundle_facts(path: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "path": str(path),
        "name": manifest.name,
        "version": manifest.version,
        "dataset_seed": dataset_seed(manifest),
        "weights_sha256": manifest.files[WEIGHTS],
        "dataset": manifest.dataset,
        "proximal": manifest.cost.proximal,
        "trust_radius": manifest.cost.trust_radius,
    }


def _versions() -> dict[str, str]:
    named = ("trimtab", "numpy", "numba", "scipy", "gymnasium", "casadi")
    found = {"python": platform.python_version()}
    for name in named:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
