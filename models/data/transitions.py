"""From a dataset to what the networks learn from: fitted features, moves, costs, targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.signal import lfilter

from models.bundle import Feature, Initial, horizon_ends, rounded
from models.online.features import FeatureMap, value_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.data.dataset import Dataset
    from models.recipe import FeatureRecipe, Recipe

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedFeatures:
    """Features with their offsets and scales, and their values (M, n_features) in the data."""

    features: list[Feature]
    matrix: F64


def value_matrix(data: Dataset) -> F64:
    """CVs, DVs and MVs (M, n_values) in the order of `models.online.features.values`."""
    return np.concatenate((data.cv, data.dv, data.mv), axis=1)


def fit_features(wanted: Sequence[FeatureRecipe], recipe: Recipe, data: Dataset) -> FittedFeatures:
    """Standardise features on the data; fit the first value of every filter to the other tags."""
    names, seen = value_names(recipe), value_matrix(data)
    error = data.sp - data.cv
    cvs = [cv.name for cv in recipe.cvs]
    features: list[Feature] = []
    filters: list[F64] = []
    for want in wanted:
        initial = None
        if want.kind == "error":
            column = error[:, cvs.index(want.source)]
        elif want.kind == "filter":
            column = filtered(want, recipe, data)
            filters.append(column)
            initial = _fit_initial(names, seen, column)
        else:
            column = seen[:, names.index(want.source)]
        offset = 0.0 if want.kind == "error" else rounded(float(column.mean()))
        features.append(
            Feature(
                kind=want.kind,
                source=want.source,
                offset=offset,
                scale=rounded(max(float(np.sqrt(np.mean((column - offset) ** 2))), 1e-6)),
                clip=want.clip,
                time_constant_s=want.time_constant_s,
                initial=initial,
            )
        )
    stacked = np.stack(filters, axis=1) if filters else np.zeros((len(seen), 0))
    matrix = FeatureMap(features, recipe).vector(seen, error, stacked)
    return FittedFeatures(features=features, matrix=matrix)


def filtered(want: FeatureRecipe, recipe: Recipe, data: Dataset) -> F64:
    """A first-order filter (M,) of one tag along every episode."""
    source = value_matrix(data)[:, value_names(recipe).index(want.source)]
    keep = np.exp(-recipe.source.sample_time_s / (want.time_constant_s or np.inf))
    out = np.empty_like(source)
    for begin, end in data.bounds():
        if data.starts_episode(begin):
            first = want.start.get(data.scenario_name(begin, recipe), float(source[begin]))
        else:
            # Across a gap the filter runs on; the tag lay between its values on either side.
            elapsed = data.time_s[begin] - data.time_s[begin - 1]
            since = np.exp(-elapsed / (want.time_constant_s or np.inf))
            middle = 0.5 * (source[begin - 1] + source[begin])
            first = float(since * out[begin - 1] + (1.0 - since) * middle)
        out[begin] = first
        rest, _ = lfilter([1.0 - keep], [1.0, -keep], source[begin + 1 : end], zi=[keep * first])
        out[begin + 1 : end] = rest
    return out


def _fit_initial(names: list[str], seen: F64, column: F64) -> Initial:
    """Least-squares guess of a filter's value from the other tags of the same instant."""
    rows = np.column_stack((np.ones(len(seen)), seen))
    fit = np.linalg.lstsq(rows, column, rcond=None)[0]
    return Initial(
        constant=rounded(float(fit[0])),
        terms={name: rounded(float(k)) for name, k in zip(names, fit[1:], strict=True)},
        low=rounded(float(column.min())),
        high=rounded(float(column.max())),
    )


def increments(data: Dataset, scale: F64, stride: int) -> F64:
    """Scaled mean move a sample over the coming `stride` samples (M, n_mv), cut to [-1, 1].

    0 where fewer follow in the segment.
    """
    scaled: F64 = np.clip(_mean_moves(data, stride) / scale, -1.0, 1.0)
    return scaled


def increment_scale(data: Dataset, quantile: float, stride: int) -> F64:
    """The increment (n_mv,) that is 1.0 for the policy: a high quantile of the data's."""
    step = np.abs(_mean_moves(data, stride))[has_next(data, stride)]
    high: F64 = np.quantile(step, quantile, axis=0)
    return np.maximum(high, 1e-6)


def _mean_moves(data: Dataset, stride: int) -> F64:
    step = np.zeros_like(data.mv)
    rows = np.flatnonzero(has_next(data, stride))
    step[rows] = (data.mv[rows + stride] - data.mv[rows]) / stride
    return step


def coming_rewards(data: Dataset, recipe: Recipe) -> F64:
    """Discounted reward (M,) of the samples of one decision, -(cost ** power) of each, scaled.

    Only rows of which `has_next(data, stride)` holds mean something.
    """
    policy = recipe.policy
    cost = tracking_cost(data, recipe) ** policy.reward_power
    total = np.zeros_like(cost)
    for lag in range(1, policy.stride + 1):
        total[:-lag] -= policy.discount ** (lag - 1) * cost[lag:]
    scaled: F64 = total / policy.reward_scale
    return scaled


def tracking_cost(data: Dataset, recipe: Recipe) -> F64:
    """Weighted squared error (M,) at each sample, per 1800 s."""
    weight = np.array([cv.weight for cv in recipe.cvs])
    cost: F64 = ((data.sp - data.cv) ** 2) @ weight
    return np.asarray(cost * (recipe.source.sample_time_s / 1800.0))


def has_next(data: Dataset, stride: int = 1) -> NDArray[np.bool_]:
    """Rows (M,) that are followed by `stride` more samples of the same segment."""
    follow = np.zeros(len(data.episode), dtype=bool)
    for begin, end in data.bounds():
        follow[begin : max(begin, end - stride)] = True
    return follow


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceTargets:
    """What the sequence model learns from.

    rows: (K,) rows with at least the first horizon inside their segment. reach: (K,) how many
    horizons are. moves: (K, n_blocks, n_mv) block means as scaled deviations from the move in
    force. change: (K, n_blocks, n_cv) scaled change of the CVs, 0 beyond the reach.
    """

    rows: NDArray[np.int64]
    reach: NDArray[np.int64]
    moves: F64
    change: F64


def sequence_targets(data: Dataset, recipe: Recipe) -> SequenceTargets:
    """Cut every segment into overlapping horizons; none reaches across a gap."""
    ends = np.array(horizon_ends(list(recipe.cost.blocks)))
    starts = np.concatenate(([0], ends[:-1]))
    half = np.array([(mv.high - mv.low) / 2.0 for mv in recipe.mvs])
    scale = np.array([cv.scale for cv in recipe.cvs])
    parts: list[tuple[NDArray[Any], ...]] = []
    for begin, end in data.bounds():
        at = np.arange(begin, end - ends[0])
        reach = np.searchsorted(ends, end - 1 - at, side="right")
        inside = np.arange(len(ends)) < reach[:, None]
        total = np.concatenate((np.zeros_like(data.mv[:1]), np.cumsum(data.mv[begin:end], axis=0)))
        local = at[:, None] - begin
        upto = np.minimum(local + ends + 1, end - begin)
        since = np.minimum(local + starts + 1, end - begin)
        mean = (total[upto] - total[since]) / (ends - starts)[:, None]
        moves = np.where(inside[..., None], (mean - data.mv[at][:, None]) / half, 0.0)
        later = np.minimum(at[:, None] + ends, end - 1)
        change = np.where(inside[..., None], (data.cv[later] - data.cv[at][:, None]) / scale, 0.0)
        parts.append((at, reach, moves, change))
    rows, reach, moves, change = (np.concatenate(column) for column in zip(*parts, strict=True))
    return SequenceTargets(
        rows=rows.astype(np.int64), reach=reach.astype(np.int64), moves=moves, change=change
    )
