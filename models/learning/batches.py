"""Tensors that the trainers draw their batches from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.data.transitions import (
    SequenceTargets,
    coming_rewards,
    fit_features,
    has_next,
    increment_scale,
    increments,
    sequence_targets,
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
        return self.rows[torch.randint(len(self.rows), (batch,), generator=generator)]

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(s, a, r, s')."""
        after = self.features[rows + self.stride]
        return self.features[rows], self.actions[rows], self.rewards[rows], after

    def relabelled(
        self, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(s, a, r, s') under setpoints drawn anew, see `models.learning.hindsight`."""
        s, a, _, after = self.batch(rows)
        setpoint = self.hindsight.setpoints(rows, generator)
        return (
            self.hindsight.features(s, rows, setpoint),
            a,
            self.hindsight.rewards(rows, setpoint),
            self.hindsight.features(after, rows + self.stride, setpoint),
        )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceData:
    """What the sequence model draws from.

    features: (K, n). moves: (K, n_blocks, n_mv), change: (K, n_blocks, n_cv), mask: (K,
    n_blocks, 1). spread: (n_blocks, n_cv) standard deviation of the change. noise_features:
    (n_noise, n) effect of one standard deviation of measurement noise on the features;
    noise_change: (n_noise, n_cv) on the scaled change.
    """

    features: Tensor
    moves: Tensor
    change: Tensor
    mask: Tensor
    spread: Tensor
    noise_features: Tensor
    noise_change: Tensor
    spec: list[Feature]


def sequence_data(data: Dataset, recipe: Recipe) -> SequenceData:
    """Prepare horizons by the recipe."""
    fitted = fit_features(recipe.cost.features, recipe, data)
    targets = sequence_targets(data, recipe)
    mask = np.arange(len(recipe.cost.blocks)) < targets.reach[:, None]
    noise_features, noise_change = _noise(recipe, fitted.features)
    return SequenceData(
        features=_f32(fitted.matrix[targets.rows]),
        moves=_f32(targets.moves),
        change=_f32(targets.change),
        mask=_f32(mask[..., None]),
        spread=_f32(_spread(targets, mask)),
        noise_features=_f32(noise_features),
        noise_change=_f32(noise_change),
        spec=fitted.features,
    )


def _spread(targets: SequenceTargets, mask: NDArray[np.bool_]) -> F64:
    count = mask.sum(axis=0)[:, None]
    spread: F64 = np.sqrt((targets.change**2).sum(axis=0) / np.maximum(count, 1))
    return np.maximum(spread, 1e-3)


def _noise(recipe: Recipe, features: list[Feature]) -> tuple[F64, F64]:
    """How one standard deviation of noise on each tag moves features and targets."""
    cvs = {cv.name: (i, cv.scale) for i, cv in enumerate(recipe.cvs)}
    by_feature = np.zeros((len(recipe.cost.input_noise), len(features)))
    by_change = np.zeros((len(recipe.cost.input_noise), len(recipe.cvs)))
    for row, (name, deviation) in enumerate(recipe.cost.input_noise.items()):
        for j, feature in enumerate(features):
            if feature.source == name and feature.kind in {"value", "error"}:
                sign = 1.0 if feature.kind == "value" else -1.0
                by_feature[row, j] = sign * deviation / feature.scale
        if name in cvs:
            index, scale = cvs[name]
            by_change[row, index] = -deviation / scale
    return by_feature, by_change


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
