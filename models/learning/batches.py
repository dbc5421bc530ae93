"""Tensors that the trainers draw their batches from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.data.transitions import (
    coming_rewards,
    fit_features,
    has_next,
    increment_scale,
    increments,
    tracking_cost,
)
from models.learning.hindsight import Hindsight

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.bundle import Feature
    from models.data.dataset import Dataset
    from models.recipe import Recipe

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyData:
    """Transitions over one decision: features (M, n), actions (M, n_mv), reward (M, 1).

    A decision lasts `stride` samples: the reward is that of the samples that follow, the
    successor lies so many rows on, `discount` is that of the whole decision. rows: those with a
    successor. spec: the fitted features. increment: (n_mv,).
    cost_ahead: (M,) mean of the discounted tracking cost over the coming samples.
    """

    features: Tensor
    actions: Tensor
    rewards: Tensor
    cost_ahead: Tensor
    rows: Tensor
    spec: list[Feature]
    increment: F64
    stride: int
    discount: float
    hindsight: Hindsight

    def draw(self, batch: int, generator: torch.Generator) -> Tensor:
        """Rows of one batch, with replacement."""
        drawn = torch.randint(len(self.rows), (batch,), generator=generator)
        return self.rows.index_select(0, drawn.to(self.rows.device))

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(s, a, r, s'), copies."""
        s, a, r = (
            column.index_select(0, rows) for column in (self.features, self.actions, self.rewards)
        )
        return s, a, r, self.features.index_select(0, rows + self.stride)

    def relabelled(
        self, rows: Tensor, count: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(s, a, r, s'), the first `count` under setpoints drawn anew, the others as recorded.

        See `models.learning.hindsight`.
        """
        s, a, r, after = self.batch(rows)
        if count > 0:
            some = rows[:count]
            setpoint = self.hindsight.setpoints(some, generator)
            self.hindsight.see(s[:count], some, setpoint)
            self.hindsight.see(after[:count], some + self.stride, setpoint)
            r[:count] = self.hindsight.rewards(some, setpoint)
        return s, a, r, after


def policy_data(data: Dataset, recipe: Recipe) -> PolicyData:
    """Prepare transitions by the recipe."""
    policy = recipe.policy
    fitted = fit_features(policy.features, recipe, data)
    scale = increment_scale(data, policy.increment_quantile, policy.stride)
    cost = tracking_cost(data, recipe)
    return PolicyData(
        features=_f32(fitted.matrix),
        actions=_f32(increments(data, scale, policy.stride)),
        rewards=_f32(coming_rewards(data, recipe)[:, None]),
        cost_ahead=_f32(_discounted(data, cost, recipe)),
        rows=torch.as_tensor(np.flatnonzero(has_next(data, policy.stride))),
        spec=fitted.features,
        increment=scale,
        stride=policy.stride,
        discount=policy.discount**policy.stride,
        hindsight=Hindsight.of(data, fitted.features, recipe),
    )


def _discounted(data: Dataset, cost: F64, recipe: Recipe) -> F64:
    """Mean discounted tracking cost (M,) over the coming samples, within the segment."""
    total, weight = np.zeros_like(cost), np.zeros_like(cost)
    for begin, end in data.bounds():
        for lag in range(1, recipe.scalar.target_steps + 1):
            upto = end - lag
            if upto <= begin:
                break
            share = recipe.scalar.discount**lag
            total[begin:upto] += share * cost[begin + lag : end]
            weight[begin:upto] += share
    mean: F64 = total / np.maximum(weight, 1e-12)
    return mean


def _f32(array: NDArray[np.generic]) -> Tensor:
    return torch.as_tensor(np.asarray(array), dtype=torch.float32)
