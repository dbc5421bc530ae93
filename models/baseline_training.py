"""What the evaluation compares the shipped controller with: both policies and the scalar PICNN.

Trained on the same data, kept beside the bundle's own weights; the controller reads none of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.bc import BcTrainer
from models.bundle import Baselines, Policy, ScalarCost, rounded
from models.iql import IqlTrainer
from models.picnn import ScalarTrainer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from models.learning_data import PolicyData
    from models.loop import Trainer
    from models.recipe import Recipe

SCALAR = "scalar"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedBaselines:
    """Weights, section of the manifest and last losses."""

    tensors: dict[str, NDArray[np.float64]]
    section: Baselines
    losses: dict[str, float]


def policy_prefix(algorithm: str) -> str:
    """Where `baselines.safetensors` holds the network of a policy."""
    return f"policy.{algorithm}.net"


def train_baselines(
    recipe: Recipe,
    data: PolicyData,
    known: Mapping[str, BcTrainer | IqlTrainer],
    fit: Callable[[Trainer], dict[str, float]],
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
