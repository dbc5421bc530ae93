"""Suites, cases and starts of an evaluation, as the recipe names them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.pilot import EvaluationError
from models.recipe import shipped_recipes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.recipe import Recipe
    from models.recipe.evaluation import EvaluationRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A cell of the result: one suite's switches, one kind of start, one setpoint."""

    suite: str
    name: str
    scenario: str
    switches: tuple[tuple[str, bool], ...]
    setpoint: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all episodes of an evaluation have in common."""

    recipe: Recipe
    sample_time_s: float
    hours: float

    @property
    def rules(self) -> EvaluationRecipe:
        """The recipe's section [evaluation]."""
        return rules_of(self.recipe)

    @property
    def samples(self) -> int:
        """Samples of an episode."""
        return round(self.hours * 3600.0 / self.sample_time_s)

    @property
    def last_samples(self) -> int:
        """Samples over which an offset is the mean error."""
        return max(1, round(self.rules.last_hours * 3600.0 / self.sample_time_s))


def rules_of(recipe: Recipe) -> EvaluationRecipe:
    """The section [evaluation] of a recipe; raises EvaluationError where there is none."""
    if recipe.evaluation is None:
        raise EvaluationError(
            f"recipe {recipe.name}: has no section [evaluation]; add one, as in "
            f"{', '.join(shipped_recipes())}"
        )
    missing = [cv.name for cv in recipe.cvs if cv.name not in recipe.evaluation.symbols]
    if missing:
        raise EvaluationError(f"recipe {recipe.name}: evaluation.symbols: lacks {missing}")
    return recipe.evaluation


def setting_of(recipe: Recipe, sample_time_s: float, hours: float | None = None) -> Setting:
    """The common setting; `hours` shortens or lengthens the recipe's episodes."""
    by_time = {float(key): value for key, value in rules_of(recipe).hours.items()}
    if hours is None and sample_time_s not in by_time:
        allowed = ", ".join(f"{key:g}" for key in by_time)
        raise EvaluationError(
            f"--sample-time {sample_time_s:g}: recipe {recipe.name} has evaluation.hours for "
            f"{allowed}; add it there"
        )
    chosen = by_time[sample_time_s] if hours is None else hours
    return Setting(recipe=recipe, sample_time_s=sample_time_s, hours=chosen)


def cases_of(recipe: Recipe, suites: Sequence[str]) -> list[Case]:
    """All cases of the named suites, in the order named."""
    known = {suite.name: suite for suite in rules_of(recipe).suites}
    cases: list[Case] = []
    for name in dict.fromkeys(suites):
        if name not in known:
            raise EvaluationError(f"--suite {name!r}: {nearest(name, known)}")
        suite = known[name]
        switches = tuple(sorted(suite.environment.items()))
        given = [(case.name, case.scenario, case.setpoint) for case in suite.cases]
        plain = [(scenario, scenario, None) for scenario in recipe.source.scenarios]
        for case, scenario, setpoint in given or plain:
            asked = None if setpoint is None else tuple(setpoint[cv.name] for cv in recipe.cvs)
            cases.append(
                Case(suite=name, name=case, scenario=scenario, switches=switches, setpoint=asked)
            )
    return cases


def start_seeds(seed: int, count: int) -> list[int]:
    """Seeds of the starts: the same in every suite and scenario, and for any larger count."""
    return [
        int(np.random.SeedSequence([seed, i]).generate_state(1)[0]) & 0x7FFFFFFF
        for i in range(count)
    ]


def nearest(word: str, words: Iterable[str]) -> str:
    """What is allowed, and the one that was probably meant."""
    allowed = list(words)
    close = difflib.get_close_matches(word, allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"allowed: {', '.join(allowed)}{hint}"
