"""The conformal section of the manifest, made from the held-out episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.bundle import Conformal, DataCheck, rounded
from models.bundle.conformal import finite_sample_quantile
from models.data.transitions import sequence_targets, value_matrix
from models.learning.devices import CPU
from models.learning.reference import Reference
from models.online.features import FeatureMap
from models.online.sequence import SequenceModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from models.bundle import Feature, Manifest
    from models.data.dataset import Dataset
    from models.recipe import Recipe

    F64 = NDArray[np.float64]


def calibrate(
    held_out: Dataset | None,
    recipe: Recipe,
    manifest: Manifest,
    tensors: Mapping[str, F64],
    learned: F64,
    *,
    device: torch.device = CPU,
) -> Conformal | None:
    """Bands and novelty from the held-out episodes, features computed as on line.

    manifest, tensors: the trained cost. learned: (K, n) features it was trained on, which give
    covariance and centres. None where there are no held-out episodes, or too few at a horizon.
    device: where the predictions are made; on the CPU by the runtime itself, scan by scan.
    """
    rule = recipe.conformal
    if rule is None or held_out is None:
        return None
    features = online_features(held_out, manifest)
    misses = episode_misses(
        held_out, recipe, manifest, tensors, features, within=rule.within, device=device
    )
    bands = np.array(
        [
            [finite_sample_quantile(cv[np.isfinite(cv)], rule.level) for cv in block]
            for block in np.moveaxis(misses, 0, -1)
        ]
    )
    whitening = whitened(learned, rule.shrinkage)
    centres = spread_centres(learned, whitening, rule.centres)
    distance = np.min(
        [np.linalg.norm((features - centre) @ whitening.T, axis=1) for centre in centres], axis=0
    )
    largest = np.array([distance[begin:end].max() for begin, end in held_out.episodes()])
    threshold = finite_sample_quantile(largest, rule.ood_level)
    if not (np.all(np.isfinite(bands)) and np.isfinite(threshold)):
        return None
    return Conformal(
        episodes=[int(held_out.episode[begin]) for begin, _ in held_out.episodes()],
        level=rule.level,
        within=rule.within,
        bands=[[rounded(max(float(x), 1e-9)) for x in row] for row in bands],
        ood_level=rule.ood_level,
        ood_centres=[[rounded(float(x)) for x in row] for row in centres],
        ood_whitening=[[rounded(float(x)) for x in row] for row in whitening],
        ood_threshold=rounded(max(threshold, 1e-9)),
    )


def episode_misses(
    data: Dataset,
    recipe: Recipe,
    manifest: Manifest,
    tensors: Mapping[str, F64],
    features: F64,
    *,
    within: float,
    device: torch.device = CPU,
) -> F64:
    """Score (n_episodes, n_blocks, n_cv) [CV units] of each episode; NaN where it ends too early.

    The quantile `within` of |change - predicted change| over the episode's scans. features: (M, n).
    """
    targets = sequence_targets(data, recipe)
    predicted = predictions(manifest, tensors, features[targets.rows], targets.moves, device)
    miss = np.abs(targets.change * np.array([cv.scale for cv in manifest.cvs]) - predicted)
    number = data.episode[targets.rows]
    scores = np.full((len(data.episodes()), *miss.shape[1:]), np.nan)
    for i, (begin, _) in enumerate(data.episodes()):
        for block in range(miss.shape[1]):
            judged = miss[(number == data.episode[begin]) & (targets.reach > block), block]
            if len(judged):
                scores[i, block] = np.quantile(judged, within, axis=0, method="higher")
    return scores


def predictions(
    manifest: Manifest, tensors: Mapping[str, F64], features: F64, moves: F64, device: torch.device
) -> F64:
    """Predicted change (K, n_blocks, n_cv) [CV units] for features (K, n) and scaled moves.

    moves: (K, n_blocks, n_mv). On the CPU by the runtime itself, state by state; elsewhere many
    at once by the reference, which tests hold against it.
    """
    if device.type == "cpu":
        model = SequenceModel(manifest, tensors)
        found = np.empty((len(features), model.n_blocks, model.n_cv))
        for k, row in enumerate(features):
            seen = model.response(row)
            found[k] = seen.free + np.tensordot(seen.gains, moves[k], axes=2)
        return found
    return Reference(manifest, tensors, device).changes(features, moves)


def online_features(
    data: Dataset, manifest: Manifest, wanted: Sequence[Feature] | None = None
) -> F64:
    """Features (M, n) as the runtime computes them: filters started from the tags.

    wanted: those of the cost if nothing else is asked for.
    """
    feature_map = FeatureMap(wanted or manifest.cost.features, manifest)
    seen = value_matrix(data)
    filters = np.empty((len(seen), feature_map.n_filters))
    for row, now in enumerate(seen):
        elapsed = np.inf if data.starts_episode(row) else data.time_s[row] - data.time_s[row - 1]
        filters[row] = (
            feature_map.start_filters(now)
            if elapsed > manifest.max_gap_s
            else feature_map.step_filters(filters[row - 1], now, float(elapsed))
        )
    return feature_map.vector(seen, data.sp - data.cv, filters)


def whitened(features: F64, shrinkage: float) -> F64:
    """W (n, n) with W'W the inverse of the covariance, shrunk to its mean variance.

    The shrinkage bounds what a direction counts in which the data hardly vary.
    """
    spread = np.atleast_2d(np.cov(features, rowvar=False))
    size = len(spread)
    centre = max(float(np.trace(spread)) / size, 1e-12) * np.eye(size)
    shrunk = (1.0 - shrinkage) * spread + shrinkage * centre
    return np.asarray(np.linalg.inv(np.linalg.cholesky(shrunk)), dtype=np.float64)


def spread_centres(features: F64, whitening: F64, count: int) -> F64:
    """At most `count` rows (k, n) of the features that leave no row far from all of them.

    Begins with the row nearest the mean and adds the one farthest from those taken: at most
    twice the least possible largest distance (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5).
    States lie along the paths of start-ups and grade changes, which one mean does not tell.
    """
    rows = features @ whitening.T
    nearest = np.sum((rows - rows.mean(axis=0)) ** 2, axis=1)
    taken = [int(np.argmin(nearest))]
    nearest = np.sum((rows - rows[taken[0]]) ** 2, axis=1)
    while len(taken) < count and nearest.max() > 0.0:
        taken.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.sum((rows - rows[taken[-1]]) ** 2, axis=1))
    return features[taken]


def without_section(recipe: Recipe, conformal: Conformal | None, episodes: int) -> list[DataCheck]:
    """The finding that the data hold too few episodes for what the recipe wants."""
    if recipe.conformal is None or conformal is not None:
        return []
    return [
        DataCheck(
            severity="flag",
            column="episode",
            reason="too few episodes for error bands and novelty; the bundle has none",
            figure=f"{episodes} episodes, conformal.least_episodes = "
            f"{recipe.conformal.least_episodes} are held out of at least twice as many",
            advice="give more records that do not follow each other (column `episode`)",
        )
    ]
