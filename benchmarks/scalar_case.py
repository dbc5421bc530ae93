"""The scalar PICNN that the corrections are compared on: weights, states and actions at random."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from benchmarks import ours
from models.learning.scalar_picnn import ScalarPicnn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.baselines.scalar import ScalarModel

    F64 = NDArray[np.float64]

STEPS, RATE = 50, 0.05
"""The descent as published: K and step size."""
STATES = 256
CURVED, HEAVIER = 8.0, 2.0
"""Factor on the weights of the action, and shift of the raw weights of the convex path at width 64:
with PyTorch's own initial weights the cost is almost a plane, and nearly every minimum a corner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarCase:
    """One network in PyTorch and as ours, and questions to it.

    width, layers: of the network. features: (N, n_features). actions: (N, n_mv) in [-1, 1], where
    a correction starts.
    """

    width: int
    layers: int
    network: ScalarPicnn
    model: ScalarModel
    features: F64
    actions: F64

    @property
    def size(self) -> str:
        """In words."""
        return f"{self.actions.shape[1]}-D action, {self.layers} x {self.width}"


def scalar_case(
    *, width: int = 64, layers: int = 2, n_features: int = 8, n_mv: int = 2, seed: int = 0
) -> ScalarCase:
    """Draw a case; the same seed draws the same."""
    torch.manual_seed(seed)
    network = ScalarPicnn(n_features, n_mv, width=width, layers=layers).double()
    with torch.no_grad():
        for number, path in enumerate(network.a_path):
            assert isinstance(path, nn.Linear)  # noqa: S101  # narrows for the type checker
            path.weight.mul_(CURVED if number < layers else 0.0)
        for raw in network.z_raw:
            raw.add_(HEAVIER + math.log(64 / width))
    rng = np.random.default_rng(seed)
    return ScalarCase(
        width=width,
        layers=layers,
        network=network,
        model=ours.scalar_model(
            network.tensors("scalar"), layers=layers, n_features=n_features, n_mv=n_mv
        ),
        features=rng.normal(size=(STATES, n_features)),
        actions=rng.uniform(-1.0, 1.0, (STATES, n_mv)),
    )
