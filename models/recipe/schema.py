"""The whole recipe, with the sections that say which setpoints and predictions to believe."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import model_validator

from models.bundle.conformal import Level, episodes_needed
from models.bundle.fields import Count, Frozen, NonNegative, Positive
from models.bundle.sections import Controlled, Signal
from models.recipe.evaluation import EvaluationRecipe
from models.recipe.networks import (
    CostRecipe,
    DynamicsRecipe,
    HeldRecipe,
    ImaginedRecipe,
    PolicyRecipe,
    ScalarRecipe,
)
from models.recipe.source import Behaviour, Source


class EnvelopeRecipe(Frozen):
    """Which setpoints are accepted: near operating points at which the data were at rest.

    A window of `rest_hours` is at rest while each CV spans at most `rest_span` [CV unit]. The
    hull of the windows' means is grown by the share `margin`.
    """

    rest_hours: Positive
    rest_span: dict[str, Positive]
    margin: NonNegative


class ConformalRecipe(Frozen):
    """Error bands and novelty from episodes that no network learns from.

    See `models.bundle.conformal`. `held_out`: share of the episodes, `least_episodes`: at least so
    many. `level`, `within`: in a further episode the share `within` of the predictions lies inside
    the bands with probability `level`. `ood_level`: probability that a further episode is nowhere
    novel. `centres`: states of the data from the nearest of which distance is measured.
    `shrinkage` of the covariance of the features.
    """

    held_out: Level
    least_episodes: Count
    level: Level
    within: Level
    ood_level: Level
    centres: Count
    shrinkage: Level

    @model_validator(mode="after")
    def _episodes_suffice(self) -> Self:
        needed = episodes_needed(max(self.level, self.ood_level))
        if self.least_episodes < needed:
            raise ValueError(
                f"`level` and `ood_level` need `least_episodes` of {needed} or more; "
                "a level p needs p / (1 - p) episodes"
            )
        return self


class Recipe(Frozen):
    """One training run, whole. `description`: one line for the list of recipes."""

    name: str
    description: str = ""
    version: str
    seed: int
    source: Source
    behaviour: Behaviour
    cvs: list[Controlled]
    mvs: list[Signal]
    dvs: list[Signal]
    envelope: EnvelopeRecipe
    policy: PolicyRecipe
    dynamics: DynamicsRecipe
    imagined: ImaginedRecipe
    cost: CostRecipe
    scalar: ScalarRecipe
    held: HeldRecipe | None = None
    conformal: ConformalRecipe | None = None
    evaluation: EvaluationRecipe | None = None

    @property
    def disturbance_keep(self) -> float:
        """Share of an unmeasured disturbance that is left after a sample."""
        samples = self.cost.disturbance_hours * 3600.0 / self.source.sample_time_s
        return float(np.exp(-1.0 / samples))
