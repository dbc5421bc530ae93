"""What the evaluation compares the shipped controller with: both policies and the scalar PICNN.

Trained on the same data, kept beside the bundle's own weights; the controller reads none of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from models.baselines.held import HeldTrainer
from models.baselines.held_targets import held_features, held_targets, kept_targets
from models.baselines.loaded import HELD, SCALAR, policy_prefix
from models.bundle import Baselines, HeldCost, Policy, ScalarCost, rounded
from models.learning.bc import BcTrainer
from models.learning.iql import IqlTrainer
from models.learning.scalar_picnn import ScalarTrainer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.data.dataset import Dataset
    from models.learning.batches import PolicyData
    from models.learning.loop import Trainer
    from models.recipe import Recipe

Fit: TypeAlias = "Callable[[Trainer], dict[str, float]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedBaselines:
    """Weights, section of the manifest and last losses."""

    tensors: dict[str, NDArray[np.float64]]
    section: Baselines
    losses: dict[str, float]


def train_baselines(
    recipe: Recipe,
    data: PolicyData,
    known: Mapping[str, BcTrainer | IqlTrainer],
    fit: Fit,
) -> TrainedBaselines:
    """Train what is not in `known` (policies by algorithm); `fit` runs a trainer to its end."""
    tensors: dict[str, NDArray[np.float64]] = {}
    losses: dict[str, float] = {}
    policies: dict[str, Policy] = {}
    for algorithm, make in (("bc", BcTrainer), ("iql", IqlTrainer)):
        trainer = known.get(algorithm)
        if trainer is None:
            trainer = make(data, recipe.policy, recipe.seed)
            losses |= fit(trainer)
        tensors |= trainer.policy.tensors(policy_prefix(algorithm))
        policies[algorithm] = Policy(
            algorithm=algorithm,
            features=data.spec,
            increment_scale=[rounded(float(x)) for x in data.increment],
            layers=recipe.policy.layers,
        )
    scalar = ScalarTrainer(data, recipe.scalar, recipe.seed)
    losses |= fit(scalar)
    tensors |= scalar.model.tensors(SCALAR)
    figures = recipe.scalar.model_dump(include=set(ScalarCost.model_fields))
    section = Baselines(policies=policies, scalar=ScalarCost(features=data.spec, **figures))
    return TrainedBaselines(tensors=tensors, section=section, losses=losses)


def train_held(
    recipe: Recipe,
    data: Dataset,
    manifest: Manifest,
    tensors: Mapping[str, NDArray[np.float64]],
    *,
    work: Path,
    fit: Fit,
    device: torch.device,
) -> tuple[HeldCost | None, dict[str, NDArray[np.float64]], dict[str, float]]:
    """Train the held-action PICNN on the sequence cost of `manifest` and `tensors`.

    Returns its section, weights and losses; None and nothing where the recipe has none.
    """
    if recipe.held is None:
        return None, {}, {}
    held = recipe.held
    targets = kept_targets(
        work / "held-targets.safetensors",
        lambda: held_targets(data, recipe, held, manifest, tensors),
    )
    trainer = HeldTrainer(targets, held, recipe.seed, device=device)
    losses = fit(trainer)
    features = held_features(data, recipe, held)
    figures = held.model_dump(include=set(HeldCost.model_fields) - {"features"})
    scale = [cv.scale for cv in recipe.cvs]
    section = HeldCost(features=features, error_scale=scale, **figures)
    return section, trainer.model.tensors(HELD), losses
