"""What an evaluation was asked for, checked against recipe and bundles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.bundle import load_manifest
from models.evaluation.bundle_pilots import SWEEP, dataset_seed, pilots_of
from models.evaluation.pilot import EvaluationError
from models.evaluation.suites import nearest, setting_of
from models.evaluation.yardsticks import NAMES
from models.recipe import load_recipe, shipped_recipes

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundle import Manifest
    from models.evaluation.pilot import Pilot
    from models.evaluation.suites import Case, Setting
    from models.recipe import Recipe

FROM_BUNDLES = (
    "bc",
    "iql",
    "bc_plus",
    "bc_plus_certified",
    "iql_plus",
    "iql_plus_certified",
    "held_action",
    "sequence",
    "sequence_removed",
    "sequence_random",
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
class Entry:
    """A pilot, the dataset seed of its bundle (None: no bundle), its cases (None: all).

    columns: what its rows say besides.
    """

    pilot: Pilot
    dataset_seed: int | None = None
    cases: tuple[Case, ...] | None = None
    columns: dict[str, str] = field(default_factory=dict)


def manifests_of(plan: Plan) -> dict[Path, Manifest]:
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


def recipe_of(plan: Plan, manifest: Manifest) -> Recipe:
    """The recipe of the plan, see `recipe_named`."""
    return recipe_named(plan.recipe, manifest)


def recipe_named(name: str | None, manifest: Manifest) -> Recipe:
    """The recipe named, or the shipped one that the bundle is called by."""
    if name is None and manifest.name not in shipped_recipes():
        raise EvaluationError(
            f"bundle {manifest.name}: no recipe of this name ships; give --recipe with the one it "
            "was trained by"
        )
    return load_recipe(name or manifest.name)


def common_setting(plan: Plan, recipe: Recipe, manifests: dict[Path, Manifest]) -> Setting:
    """The setting, if all bundles fit it; raises EvaluationError."""
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


def bundle_entries(
    plan: Plan, setting: Setting, manifests: dict[Path, Manifest], cases: list[Case]
) -> list[Entry]:
    """Every pilot of every bundle, those of the sweep where it is asked for."""
    named = plan.controllers or []
    sweeping = plan.sweep if plan.sweep is not None else not named
    sweeping = sweeping or any(name.startswith(SWEEP) for name in named)
    sweep = setting.rules.sweep if sweeping else None
    only = tuple(case for case in cases if sweep and case.suite in sweep.suites)
    return [
        Entry(
            pilot=pilot,
            dataset_seed=dataset_seed(manifest),
            cases=only if pilot.name.startswith(SWEEP) else None,
        )
        for path, manifest in manifests.items()
        for pilot in pilots_of(path, setting.recipe.source, sweep=sweep)
    ]


def wanted_names(plan: Plan, entries: list[Entry]) -> set[str]:
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
