"""Controllers that know the plant, from the module that the recipe names."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from models.evaluation.pilot import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType

    from models.evaluation.pilot import Pilot
    from models.evaluation.suites import Setting

PI_MEDIAN, PI_BEST = "pi_median", "pi_best"
Reachable: TypeAlias = "Callable[[Any, dict[str, Any]], bool]"
NAMES = (PI_MEDIAN, PI_BEST, "pi_robust", "nmpc", "optimum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardsticks:
    """What a recipe's module of yardsticks has.

    published: the tunings whose median scores 0. optimum: scores 100. missing: names of what the
    module does not have. reachable: whether the plant can hold an episode's setpoint, of the
    environment and the info of its reset; None where nobody knows.
    """

    published: list[Pilot] = field(default_factory=list)
    optimum: Pilot | None = None
    others: list[Pilot] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    reachable: Reachable | None = None


def yardsticks_of(setting: Setting, wanted: Collection[str]) -> Yardsticks:
    """The yardsticks of the recipe; of those that only fill rows, the wanted ones.

    Raises EvaluationError where a package that they need is not installed.
    """
    rules = setting.rules
    if rules.yardsticks is None:
        return Yardsticks(missing=list(NAMES))
    _check_installed(rules.needs, {*wanted, "optimum"})
    module = _module(rules.yardsticks)
    others: list[Pilot] = []
    if "pi_robust" in wanted and hasattr(module, "robust"):
        others.append(module.robust())
    if "nmpc" in wanted and hasattr(module, "nmpc"):
        others.append(module.nmpc(setting.sample_time_s))
    makers = {"pi_robust": "robust", "nmpc": "nmpc", "optimum": "optimum"}
    return Yardsticks(
        published=module.published(rules.published, rules.published_seed),
        optimum=module.optimum() if hasattr(module, "optimum") else None,
        others=others,
        missing=[name for name, maker in makers.items() if not hasattr(module, maker)],
        reachable=getattr(module, "reachable", None),
    )


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EvaluationError(
            f"evaluation.yardsticks = {name!r}: cannot be imported: {error}"
        ) from error


def _check_installed(needs: dict[str, str], wanted: set[str]) -> None:
    lacking = {
        name: package
        for name, package in needs.items()
        if name in wanted and importlib.util.find_spec(package) is None
    }
    if lacking:
        packages = ", ".join(sorted(set(lacking.values())))
        raise EvaluationError(
            f"{packages} is not installed; the controllers {', '.join(lacking)} need it, and every "
            "score is relative to the optimum; in the checkout: "
            "pip install --constraint constraints.txt '.[dev]'"
        )
