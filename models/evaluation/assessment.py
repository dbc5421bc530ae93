"""What a bundle's networks make of recorded data, many states at once, on the CPU or a GPU.

No plant is flown. How far the predictions miss at every horizon, how far the policies are from
the recorded moves, and, at states drawn from the record, what the correction does: the minimum of
the sequence cost by an interior-point method in float64 (`models.learning.reference`), its
Frank-Wolfe gap against the tolerance of the manifest, its distance from the policy, and whether
the cost is convex along random chords. Features are computed on the CPU, as on line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from models.baselines.loaded import policy_prefix
from models.bundle import BASELINES, bundle_sha256, horizon_ends, load_manifest, load_weights
from models.data.checks import DataRefused
from models.data.dataset import Dataset
from models.data.holdout import rows_of
from models.data.own import read_own
from models.data.simulated import generate
from models.data.transitions import has_next, sequence_targets
from models.evaluation.assessed_correction import Question, correction, policy_increments
from models.evaluation.pilot import EvaluationError
from models.learning.calibration import online_features
from models.learning.devices import device_words
from models.learning.reference import Reference

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.bundle.sections import Policy
    from models.recipe import Recipe

    F64 = NDArray[np.float64]

# Of the prediction errors, as the bands of a manifest have it.
_WITHIN = 0.95


def assess(
    directory: Path,
    data: Dataset,
    recipe: Recipe,
    *,
    states: int,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """Prediction errors, distance of the policies, and the correction at `states` states.

    Where `data` are those the bundle learned from, only the episodes that were held out are
    judged. Raises EvaluationError if data and bundle do not belong together, and BundleError.
    """
    manifest = load_manifest(directory)
    _check(manifest, recipe)
    known = data.digest() == manifest.dataset.get("sha256")
    judged = _held_out(data, manifest) if known else data
    rng = np.random.default_rng(seed)
    at = np.flatnonzero(has_next(judged))
    question = Question(
        manifest=manifest,
        reference=Reference(manifest, _tensors(directory, manifest), device),
        data=judged,
        recipe=recipe,
        features=online_features(judged, manifest),
        rows=np.sort(rng.choice(at, size=min(states, len(at)), replace=False)),
    )
    return {
        "bundle": {"name": manifest.name, "sha256": bundle_sha256(directory)},
        "data": {
            "sha256": data.digest(),
            "samples": len(judged.episode),
            "episodes": len(judged.episodes()),
            "held_out": known and manifest.conformal is not None,
            "learned_from": known and manifest.conformal is None,
        },
        "device": device_words(device),
        "prediction": prediction_errors(question),
        "policies": policy_distances(question),
        "correction": correction(question, rng),
    }


def recorded(path: Path | None, recipe: Recipe, manifest: Manifest, *, jobs: int) -> Dataset:
    """A user's history, a dataset that training kept, or the recipe's own made again.

    The recipe's own are those of the bundle's dataset seed. Raises DataRefused.
    """
    if path is None:
        seed = manifest.training.get("seed")
        own_seed = recipe.model_copy(update={"seed": seed}) if isinstance(seed, int) else recipe
        return generate(own_seed, jobs=jobs)
    if path.suffix != ".safetensors":
        return read_own(path, recipe)[0]
    try:
        return Dataset.load(path)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise DataRefused(
            f"{path}: is no dataset of a work directory: {error}; give its dataset.safetensors"
        ) from error


def prediction_errors(question: Question) -> list[dict[str, Any]]:
    """A row for each block and CV: errors of the predicted change to the block's end [CV unit].

    inside: share within the manifest's band, None without one; of scans, where the band
    promises it of episodes.
    """
    manifest, data = question.manifest, question.data
    targets = sequence_targets(data, question.recipe)
    predicted = question.reference.changes(question.features[targets.rows], targets.moves)
    scale = np.array([cv.scale for cv in manifest.cvs])
    miss = targets.change * scale - predicted
    rows = []
    for block, end in enumerate(horizon_ends(manifest.cost.blocks)):
        seen = targets.reach > block
        for i, cv in enumerate(manifest.cvs):
            here = miss[seen, block, i]
            size = np.abs(here)
            band = manifest.conformal.bands[block][i] if manifest.conformal else None
            known = len(here) > 0
            rows.append(
                {
                    "cv": cv.name,
                    "unit": cv.unit,
                    "hours": end * manifest.sample_time_s / 3600.0,
                    "count": len(here),
                    "mean": float(here.mean()) if known else None,
                    "rms": float(np.sqrt(np.mean(here**2))) if known else None,
                    "within_95": float(np.quantile(size, _WITHIN)) if known else None,
                    "band": band,
                    "inside": float(np.mean(size <= band)) if known and band else None,
                }
            )
    return rows


def policy_distances(question: Question) -> list[dict[str, Any]]:
    """A row for each policy and MV: its next move against the recorded one, shares of half a range.

    still: the same for no move at all, to compare with.
    """
    manifest, data = question.manifest, question.data
    half = np.array([(mv.high - mv.low) / 2.0 for mv in manifest.mvs])
    rows = np.flatnonzero(has_next(data))
    recorded = (data.mv[rows + 1] - data.mv[rows]) / half
    found = []
    for name, policy, prefix in _policies(manifest):
        increments = policy_increments(question, policy, prefix)[rows] / half
        for i, mv in enumerate(manifest.mvs):
            found.append(
                {
                    "policy": name,
                    "mv": mv.name,
                    "rms": float(np.sqrt(np.mean((increments[:, i] - recorded[:, i]) ** 2))),
                    "still": float(np.sqrt(np.mean(recorded[:, i] ** 2))),
                }
            )
    return found


def _policies(manifest: Manifest) -> list[tuple[str, Policy, str]]:
    found = [("bundle", manifest.policy, "policy.net")]
    if manifest.baselines is not None:
        found += [
            (name, policy, policy_prefix(name))
            for name, policy in manifest.baselines.policies.items()
            if name != manifest.policy.algorithm
        ]
    return found


def _tensors(directory: Path, manifest: Manifest) -> dict[str, F64]:
    """The bundle's networks, and its baselines' where it has any."""
    tensors = dict(load_weights(directory))
    if manifest.baselines is not None:
        tensors |= load_weights(directory, BASELINES)
    return tensors


def _held_out(data: Dataset, manifest: Manifest) -> Dataset:
    if manifest.conformal is None:
        return data
    return rows_of(data, np.isin(data.episode, manifest.conformal.episodes))


def _check(manifest: Manifest, recipe: Recipe) -> None:
    """The recipe must cut and name the data as the bundle does."""
    wanted = {
        "tags": [tag.name for tag in (*manifest.cvs, *manifest.mvs, *manifest.dvs)],
        "cost.blocks": list(manifest.cost.blocks),
        "source.sample_time_s": manifest.sample_time_s,
    }
    given = {
        "tags": [tag.name for tag in (*recipe.cvs, *recipe.mvs, *recipe.dvs)],
        "cost.blocks": list(recipe.cost.blocks),
        "source.sample_time_s": recipe.source.sample_time_s,
    }
    for key, value in wanted.items():
        if given[key] != value:
            raise EvaluationError(
                f"recipe {recipe.name}: {key} is {given[key]}, the bundle's is {value}; give "
                "--recipe with the one it was trained by"
            )
