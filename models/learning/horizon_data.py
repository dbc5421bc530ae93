"""Imagined horizons as the tensors that the sequence PICNN draws its batches from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.data.transitions import fit_features
from models.online.features import FeatureMap

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.bundle import Feature
    from models.data.dataset import Dataset
    from models.learning.imagined import Horizons
    from models.recipe import Recipe

    F64 = NDArray[np.float64]

# Of the differences between twins, the largest 2 % do not count for their spread: plans that ran
# away would make those of all others look like nothing.
_ORDINARY = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceData:
    """What the sequence model draws from, in scaled units; K horizons with their twins.

    features: (K, n). moves, twin_moves: (K, n_blocks, n_mv). disturbance, twin_disturbance: (K,
    n_cv). change, twin_change: (K, n_blocks, n_cv), mask: (K, n_blocks, 1). probe: (K,) what the
    twin changes. spread: (n_blocks, n_cv) of the change, twin_spread: (n_mv + 1, n_blocks, n_cv) of
    the difference between twins, by probe. noise_features: (n_noise, n) effect of one
    standard deviation of measurement noise on the features; noise_change: (n_noise, n_cv) on the
    scaled change. keep: share of a disturbance that is left after a sample. recorded: (M, n)
    features of the data themselves.
    """

    features: Tensor
    moves: Tensor
    twin_moves: Tensor
    disturbance: Tensor
    twin_disturbance: Tensor
    change: Tensor
    twin_change: Tensor
    mask: Tensor
    probe: Tensor
    spread: Tensor
    twin_spread: Tensor
    noise_features: Tensor
    noise_change: Tensor
    keep: float
    spec: list[Feature]
    recorded: F64


def sequence_data(data: Dataset, horizons: Horizons, recipe: Recipe) -> SequenceData:
    """Scale horizons by the recipe; features are fitted to the data."""
    fitted = fit_features(recipe.cost.features, recipe, data)
    n_cv = len(recipe.cvs)
    half = np.array([(mv.high - mv.low) / 2.0 for mv in recipe.mvs])
    scale = np.array([cv.scale for cv in recipe.cvs])
    seen = np.concatenate((horizons.state, horizons.moves), axis=1)
    change = horizons.change[..., :n_cv] / scale
    twin_change = horizons.twin_change[..., :n_cv] / scale
    mask = horizons.valid[..., None]
    noise_features, noise_change = _noise(recipe, fitted.features)
    arrays = {
        "features": FeatureMap(fitted.features, recipe).vector(
            seen, np.zeros((len(seen), n_cv)), horizons.filters
        ),
        "moves": (horizons.plan - horizons.moves[:, None]) / half,
        "twin_moves": (horizons.twin_plan - horizons.moves[:, None]) / half,
        "disturbance": horizons.disturbance / scale,
        "twin_disturbance": horizons.twin_disturbance / scale,
        "change": change,
        "twin_change": twin_change,
        "mask": mask,
        "spread": _spread(change, mask),
        "twin_spread": _twin_spread(twin_change - change, mask, horizons.probe, len(half) + 1),
        "noise_features": noise_features,
        "noise_change": noise_change,
    }
    return SequenceData(
        **{name: torch.as_tensor(array, dtype=torch.float32) for name, array in arrays.items()},
        probe=torch.as_tensor(horizons.probe),
        keep=recipe.disturbance_keep,
        spec=fitted.features,
        recorded=fitted.matrix,
    )


def _spread(change: F64, mask: NDArray[np.bool_]) -> F64:
    """Root mean square (n_blocks, n_cv) over what counts."""
    total = np.sum(change * change * mask, axis=0) / np.maximum(mask.sum(axis=0), 1)
    return np.asarray(np.maximum(np.sqrt(total), 1e-3), dtype=np.float64)


def _twin_spread(
    difference: F64, mask: NDArray[np.bool_], probe: NDArray[np.int64], probes: int
) -> F64:
    """Root mean square (probes, n_blocks, n_cv) of the ordinary differences of each probe."""
    spread = np.full((probes, *difference.shape[1:]), 1e-4)
    for kind in range(probes):
        size = np.abs(difference[probe == kind])
        if len(size):
            ordinary = np.minimum(size, np.quantile(size, _ORDINARY, axis=0))
            counted = mask[probe == kind]
            mean = np.sum(ordinary**2 * counted, axis=0) / np.maximum(counted.sum(axis=0), 1)
            spread[kind] = np.maximum(np.sqrt(mean), 1e-4)
    return spread


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
