"""The sequence PICNN in training: the prediction inside c(s, U) of `models.online.sequence`.

The prediction is affine in the plan U, so that every convex penalty of it is convex in U: a
partially input convex network by construction (Amos et al. 2017, arXiv 1609.07152).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from models.bundle import horizon_ends
from models.learning.networks import Mlp, as_array, seeded
from models.learning.optimizer import Adam
from models.online.sequence import FACTOR_SHIFT, lasting

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.learning.horizon_data import SequenceData
    from models.recipe import CostRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceShape:
    """Sizes of a sequence model; signs: (n_cv, n_mv).

    keep: share of a disturbance that is left after a sample.
    """

    n_features: int
    n_cv: int
    n_mv: int
    blocks: tuple[int, ...]
    signs: NDArray[np.int_]
    width: int
    layers: int
    keep: float


class SequencePredictor(nn.Module):
    """One member of the prediction inside the sequence PICNN, in scaled units.

    Predicted change of the CVs at each block end = E(s) + G(s) d + B(s) U: d, an unmeasured
    disturbance of the rates; B(s) = shared lower-triangular gains of fixed sign times a positive
    factor of the state for every horizon and pair.
    """

    def __init__(self, shape: SequenceShape) -> None:
        super().__init__()
        self.shape = shape
        n_blocks, n_cv, n_mv = len(shape.blocks), shape.n_cv, shape.n_mv
        n_out = n_blocks * n_cv * (1 + n_mv + n_cv)
        self.net = Mlp(shape.n_features, n_out, width=shape.width, layers=shape.layers)
        with torch.no_grad():
            self.net.last.weight.mul_(0.1)
        self.raw = nn.Parameter(torch.full((n_blocks, n_cv, n_blocks, n_mv), -2.0))
        causal = np.tri(n_blocks)[:, None, :, None]
        sign = shape.signs[None, :, None, :]
        self.sign: Tensor
        self.register_buffer("sign", torch.as_tensor(causal * sign, dtype=torch.float32))
        self.lasting: Tensor
        counted = lasting(np.array(horizon_ends(list(shape.blocks))), shape.keep)
        self.register_buffer("lasting", torch.as_tensor(counted, dtype=torch.float32))

    def gains(self) -> Tensor:
        """Shared gains (n_blocks, n_cv, n_blocks, n_mv): causal, of the given signs."""
        return functional.softplus(self.raw) * self.sign

    def parts(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """E (B, n_blocks, n_cv), factors (B, n_blocks, n_cv, n_mv), G (B, n_blocks, n_cv, n_cv)."""
        s = self.shape
        shape = (len(features), len(s.blocks), s.n_cv)
        free = len(s.blocks) * s.n_cv
        out = self.net(features)
        factors = functional.softplus(out[:, free : free * (1 + s.n_mv)] + FACTOR_SHIFT)
        rates = out[:, free * (1 + s.n_mv) :].reshape(*shape, s.n_cv)
        return (
            out[:, :free].reshape(shape),
            factors.reshape(*shape, s.n_mv),
            rates * self.lasting[:, None, None],
        )

    def effect(self, factors: Tensor, rates: Tensor, moves: Tensor, disturbance: Tensor) -> Tensor:
        """Scaled change (B, n_blocks, n_cv) by moves (B, n_blocks, n_mv), disturbance (B, n_cv)."""
        response = torch.einsum("hcju,bju->bhcu", self.gains(), moves)
        moved: Tensor = (response * factors).sum(-1)
        return moved + torch.einsum("bhcd,bd->bhc", rates, disturbance)

    def forward(self, features: Tensor, moves: Tensor, disturbance: Tensor) -> Tensor:
        """Scaled change (B, n_blocks, n_cv) for scaled moves and a scaled disturbance."""
        free, factors, rates = self.parts(features)
        return free + self.effect(factors, rates, moves, disturbance)

    def tensors(self, member: int) -> dict[str, NDArray[np.float64]]:
        """Weights as a bundle holds them."""
        named = self.net.tensors(f"cost.{member}.net")
        return named | {f"cost.{member}.gains": as_array(self.gains())}


class SequenceTrainer:
    """Regression of the imagined change of the CVs, and of its difference between twins.

    Each in units of its spread at every horizon. Measurement noise is added to the inputs and,
    with the opposite sign, to the change that is asked for: the network learns the change from
    what a noisy instrument shows. The loss is quadratic up to about `loss_knee` spreads and linear
    beyond (pseudo-Huber, Charbonnier et al. 1997, doi:10.1109/83.551699): the few horizons that run
    away must not decide the gains of all the others.
    """

    def __init__(self, data: SequenceData, recipe: CostRecipe, seed: int, member: int) -> None:
        self.name = f"picnn-sequence-{member}"
        self.steps, self.learning_rate = recipe.steps, recipe.learning_rate
        self.generator = seeded(seed * 1000 + member)
        self._data, self._batch, self._knee = data, recipe.batch, recipe.loss_knee
        self._sensitivity = recipe.sensitivity_weight
        self.model = SequencePredictor(
            SequenceShape(
                n_features=data.features.shape[1],
                n_cv=data.change.shape[2],
                n_mv=data.moves.shape[2],
                blocks=tuple(recipe.blocks),
                signs=np.array(recipe.gain_signs),
                width=recipe.width,
                layers=recipe.layers,
                keep=data.keep,
            )
        ).to(data.features.device)
        self.modules = {"model": self.model}
        self.optimizers = {"model": Adam(self.model.parameters())}

    def step(self) -> dict[str, Tensor]:
        """One update on one batch."""
        data = self._data
        rows = torch.randint(len(data.features), (self._batch,), generator=self.generator)
        noise = torch.randn(self._batch, len(data.noise_change), generator=self.generator)
        rows, noise = rows.to(data.features.device), noise.to(data.features.device)
        free, factors, rates = self.model.parts(data.features[rows] + noise @ data.noise_features)
        moves, disturbance = data.moves[rows], data.disturbance[rows]
        predicted = free + self.model.effect(factors, rates, moves, disturbance)
        wanted = data.change[rows] + (noise @ data.noise_change)[:, None]
        differs = self.model.effect(
            factors,
            rates,
            data.twin_moves[rows] - moves,
            data.twin_disturbance[rows] - disturbance,
        )
        change = self._loss((predicted - wanted) / data.spread, data.mask[rows])
        twin = data.twin_change[rows] - data.change[rows]
        unit = data.twin_spread[data.probe[rows]]
        sensitivity = self._loss((differs - twin) / unit, data.mask[rows])
        self.optimizers["model"].update(change + self._sensitivity * sensitivity)
        return {"change": change.detach(), "sensitivity": sensitivity.detach()}

    def _loss(self, miss: Tensor, mask: Tensor) -> Tensor:
        knee = self._knee
        size = 2.0 * knee * (((miss * mask).square() + knee * knee).sqrt() - knee)
        loss: Tensor = size.sum() / (mask.sum() * miss.shape[2])
        return loss
