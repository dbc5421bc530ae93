"""Whole episodes are set aside before anything is learned; no network sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.data.dataset import Dataset
    from models.recipe import Recipe

# Keeps the choice of episodes apart from every other use of a recipe's seed.
_STREAM = 0xC0F


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A dataset in two: what the networks learn from, and the episodes that none of them sees."""

    learned: Dataset
    held_out: Dataset | None


def hold_out(data: Dataset, recipe: Recipe) -> Parts:
    """Take whole episodes out, the same share of each scenario, chosen by the recipe's seed.

    Nothing is taken where the recipe wants none, or where it would be more than half.
    """
    rule = recipe.conformal
    first = np.array([begin for begin, _ in data.episodes()])
    if rule is None or 2 * rule.least_episodes > len(first):
        return Parts(learned=data, held_out=None)
    share = max(rule.held_out, rule.least_episodes / len(first))
    rng = np.random.default_rng([recipe.seed, _STREAM])
    kinds, taken = data.scenario[first], np.zeros(len(data.episode), dtype=bool)
    for kind in np.unique(kinds):
        numbers = data.episode[first[kinds == kind]]
        count = min(int(np.ceil(round(share * len(numbers), 9))), len(numbers) - 1)
        taken |= np.isin(data.episode, rng.permutation(numbers)[:count])
    return Parts(learned=rows_of(data, ~taken), held_out=rows_of(data, taken))


def rows_of(data: Dataset, rows: NDArray[np.bool_]) -> Dataset:
    """The dataset of some whole episodes; rows: (M,) bool."""
    return replace(data, **{name: column[rows] for name, column in data.arrays().items()})
