"""What a result says of itself: setting, bundles, versions."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

from models.bundle import WEIGHTS
from models.evaluation.bundle_pilots import dataset_seed

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundle import Manifest
    from models.evaluation.plan import Plan
    from models.evaluation.suites import Case, Setting


def setting_facts(
    plan: Plan, setting: Setting, cases: list[Case], seeds: list[int]
) -> dict[str, Any]:
    """What was flown: starts, limits, symbols, cases."""
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


def bundle_facts(path: Path, manifest: Manifest) -> dict[str, Any]:
    """Which bundle it was, and how closely it is tied to its policy."""
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


def versions() -> dict[str, str]:
    """Of Python and the packages that figures depend on."""
    named = ("trimtab", "numpy", "numba", "scipy", "gymnasium", "casadi")
    found = {"python": platform.python_version()}
    for name in named:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
