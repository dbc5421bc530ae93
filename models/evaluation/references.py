"""What a score is measured against: the published PIs and the optimum, on the very same starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.campaign import Job
from models.evaluation.scoring import best_overall, lower_median
from models.evaluation.suites import cases_of, start_seeds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.evaluation.campaign import Campaign
    from models.evaluation.pilot import Pilot
    from models.evaluation.suites import Case

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """References of one cell.

    published: (tunings, starts) returns. median: row of the lower median. optimum: (starts,)
    returns, None without that controller.
    """

    published: F64
    median: int
    optimum: F64 | None

    @property
    def pi(self) -> F64:
        """Returns (starts,) that score 0."""
        row: F64 = self.published[self.median]
        return row


def references(
    campaign: Campaign,
    cases: list[Case],
    seeds: list[int],
    *,
    published: list[Pilot],
    optimum: Pilot | None,
) -> dict[Case, Reference]:
    """References by cell, over the starts of `seeds`."""
    returns = published_returns(campaign, cases, seeds, published, stage="published PI")
    best: dict[Case, F64] = {}
    if optimum is not None:
        jobs = [
            Job(pilots=(optimum,), case=case, start_seed=seed) for case in cases for seed in seeds
        ]
        rows = campaign.run("optimum", jobs)
        flat = np.array([row["return"] for row in rows]).reshape(len(cases), len(seeds))
        best = dict(zip(cases, flat, strict=True))
    return {
        case: Reference(
            published=returns[case], median=lower_median(returns[case]), optimum=best.get(case)
        )
        for case in cases
    }


def published_returns(
    campaign: Campaign,
    cases: list[Case],
    seeds: list[int],
    published: list[Pilot],
    *,
    stage: str,
) -> dict[Case, F64]:
    """Returns (tunings, starts) by cell."""
    jobs = [
        Job(pilots=tuple(published), case=case, start_seed=seed, only_returns=True)
        for case in cases
        for seed in seeds
    ]
    rows = np.array(campaign.run(stage, jobs)).reshape(len(cases), len(seeds), len(published))
    return {case: part.T for case, part in zip(cases, rows, strict=True)}


def best_published(campaign: Campaign, published: list[Pilot]) -> int:
    """The one tuning that does best over all scenarios, chosen on starts that are not reported."""
    rules = campaign.setting.rules
    cases = cases_of(campaign.setting.recipe, [rules.choice_suite])
    seeds = start_seeds(rules.choice_seed, rules.choice_starts)
    returns = published_returns(campaign, cases, seeds, published, stage="choice of PI")
    return best_overall(list(returns.values()))
