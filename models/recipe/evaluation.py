"""The section [evaluation] of a recipe: suites, columns, bands, yardsticks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from models.bundle.fields import Count, Finite, Frozen, NonNegative, Positive


class CaseRecipe(Frozen):
    """One kind of episode of a suite: starts of `scenario`, a setpoint by CV instead of its own."""

    name: str
    scenario: str
    setpoint: dict[str, Finite] | None = None


class SuiteRecipe(Frozen):
    """Switches of the environment, and the cases run under them (none given: every scenario)."""

    name: str
    environment: dict[str, bool] = {}
    cases: list[CaseRecipe] = []


class SweepRecipe(Frozen):
    """Ties of the correction to the policy that are tried, in `suites` only (radius inf: none)."""

    suites: list[str]
    trust_radius: list[Annotated[float, Field(gt=0)]]
    proximal: list[NonNegative]


class Requirement(Frozen):
    """What a controller must reach; the report judges it by the worst dataset seed.

    `figure`: score of a cell; movement, mean over a cell; offset, largest of any CV in its unit,
    over the starts whose setpoint the plant can hold; violated, episodes above a limit, of at
    least `episodes`. `suites`: none given means every suite. `variant`: of the data the bundle
    learned from; None is the variant that the report is about. `at_least`, `at_most`: one figure,
    or one by scenario. `above`: controllers whose score it must exceed in every cell.
    """

    controller: str
    figure: Literal["score", "movement", "offset", "violated"]
    suites: list[str] = []
    variant: str | None = None
    at_least: Finite | dict[str, Finite] | None = None
    at_most: Finite | dict[str, Finite] | None = None
    above: list[str] = []
    episodes: int = 0


class EvaluationRecipe(Frozen):
    """How controllers are compared.

    `hours`: length of an episode by sample time [s]. `last_hours`: an offset is the mean error of
    so many hours. `symbols`: short name of each CV, for the columns of the result.
    `settle_share`, `settle_band`: half width of the band around a setpoint in which a CV counts
    as settled, as a share of it or in its unit. `limits`: hard limit by CV, judged inside the
    samples; the environment reports the peak as `peak_<symbol>`. `yardsticks`: module of the
    controllers that know the plant; `needs`: package that one of them needs, by name.
    `published`: how many published PI tunings are drawn, by `published_seed`; the best one is
    chosen on `choice_starts` starts of `choice_seed` in `choice_suite`. `shown`: controllers whose
    trends the report draws. `required`: what the report judges.
    """

    hours: dict[str, Positive]
    last_hours: Positive
    symbols: dict[str, str]
    settle_share: dict[str, Positive] = {}
    settle_band: dict[str, Positive] = {}
    limits: dict[str, Finite] = {}
    yardsticks: str | None = None
    needs: dict[str, str] = {}
    published: Count = 100
    published_seed: int = 0
    choice_suite: str
    choice_seed: int
    choice_starts: Count
    suites: Annotated[list[SuiteRecipe], Field(min_length=1)]
    sweep: SweepRecipe | None = None
    shown: list[str] = []
    required: list[Requirement] = []
