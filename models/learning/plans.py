"""Plans that no controller has made, drawn around those that one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.bundle import horizon_ends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.recipe import Recipe

    F64 = NDArray[np.float64]


class Planner:
    """Draws plans, twins, disturbances, and the moves that are shown as in force.

    recorded: (R, n_blocks, n_mv) block means of the moves in the record.
    """

    def __init__(self, recipe: Recipe, recorded: F64) -> None:
        self._rule, self._recorded = recipe.imagined, recorded
        self._blocks = len(recipe.cost.blocks)
        self._low = np.array([mv.low for mv in recipe.mvs])
        self._high = np.array([mv.high for mv in recipe.mvs])
        self._half = (self._high - self._low) / 2.0
        hour = 3600.0 / recipe.source.sample_time_s
        self._drift = np.array([cv.disturbance_limit for cv in recipe.cvs]) / hour

    def plans(self, rng: np.random.Generator, moves: F64, recorded: F64) -> F64:
        """Plans (K, n_blocks, n_mv) around the moves in force, the record, or another record."""
        held = np.repeat(moves[:, None], self._blocks, axis=1)
        other = self._recorded[rng.integers(0, len(self._recorded), len(moves))]
        kind = rng.random(len(moves))[:, None, None]
        rule = self._rule
        base = np.where(
            kind < rule.held, held, np.where(kind < rule.held + rule.recorded, recorded, other)
        )
        walk = self._walk(rng, len(moves), rule.excursion / 30.0, rule.excursion)
        return np.clip(base + walk, self._low, self._high)

    def _walk(self, rng: np.random.Generator, count: int, least: float, most: float) -> F64:
        """Sums of rare steps of all scales (count, n_blocks, n_mv) [MV units]."""
        shape = (count, self._blocks, len(self._low))
        scale = np.exp(rng.uniform(np.log(least), np.log(most), (count, 1, shape[2])))
        often = rng.uniform(0.1, 1.0, (count, 1, 1))
        steps = rng.normal(size=shape) * scale * (rng.random(shape) < often)
        walk: F64 = np.cumsum(steps, axis=1) * self._half
        return walk

    def twins(
        self,
        rng: np.random.Generator,
        plan: F64,
        disturbance: F64,
        probe: NDArray[np.int64],
    ) -> tuple[F64, F64]:
        """The same plans and disturbances but for what is probed."""
        walk = self._walk(rng, len(plan), self._rule.probe / 5.0, self._rule.probe)
        chosen = np.arange(plan.shape[2]) == probe[:, None]
        twin = np.clip(plan + walk * chosen[:, None], self._low, self._high)
        other = self.disturbances(rng, len(plan))
        return twin, np.where((probe == plan.shape[2])[:, None], other, disturbance)

    def disturbances(self, rng: np.random.Generator, count: int) -> F64:
        """Disturbances (count, n_cv) of all sizes up to the limit, none in four of ten."""
        size = np.exp(rng.uniform(np.log(0.05), 0.0, (count, 1))) * (rng.random((count, 1)) < 0.6)
        drawn: F64 = rng.uniform(-1.0, 1.0, (count, len(self._drift))) * size * self._drift
        return drawn

    def shown(self, rng: np.random.Generator, moves: F64) -> F64:
        """Moves in force, for some states others: it is the plan that decides what follows."""
        other = moves + rng.normal(size=moves.shape) * self._rule.excursion * self._half
        some = rng.random((len(moves), 1)) < self._rule.elsewhere
        return np.where(some, np.clip(other, self._low, self._high), moves)


def block_means(moves: F64, rows: NDArray[np.int64], blocks: Sequence[int]) -> F64:
    """Mean moves (K, n_blocks, n_mv) over the blocks that follow each row."""
    ends = np.array(horizon_ends(list(blocks)))
    starts = ends - np.array(blocks)
    total = np.concatenate((np.zeros_like(moves[:1]), np.cumsum(moves, axis=0)))
    after = total[rows[:, None] + 1 + ends] - total[rows[:, None] + 1 + starts]
    mean: F64 = after / np.array(blocks)[:, None]
    return mean
