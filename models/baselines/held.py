"""The held-action PICNN c(s, a): one action, the paper's own form, trained on gradients.

    c(s, a) = 1/2 | L(s) (a - m(s)) |^2 + r(s, a),   m(s) = K(s) e + k(s)

r is the scalar PICNN, L lower triangular with a positive diagonal: convex in a by construction.
e is the control error. Without active limits the best first move of the sequence cost is affine
in e, which is why m is written so. The target is that of `models.baselines.held_targets`; what is
regressed is the Newton step that the gradient asks for, relative to the size of the move, so that
a small error near the setpoint counts as much as a large one far away: a plain regression of a
cost that spans four decades does not see it, and leaves an offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from models.baselines.scalar import CURVATURE_SHIFT
from models.learning.devices import CPU, moved
from models.learning.networks import Mlp, seeded
from models.learning.optimizer import Adam
from models.learning.scalar_picnn import ScalarPicnn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.baselines.held_targets import HeldTargets
    from models.recipe import HeldRecipe


class HeldPicnn(nn.Module):
    """Cost c(s, a) >= 0 of a held action, convex in a."""

    def __init__(self, n_features: int, n_cv: int, n_mv: int, recipe: HeldRecipe) -> None:
        super().__init__()
        self.n_cv, self.n_mv = n_cv, n_mv
        n_out = n_mv * (n_cv + 1) + n_mv * (n_mv + 1) // 2
        self.bowl = Mlp(n_features, n_out, width=recipe.width, layers=recipe.layers)
        self.rest = ScalarPicnn(n_features, n_mv, width=recipe.rest_width, layers=recipe.layers)
        with torch.no_grad():
            self.bowl.last.weight.mul_(0.3)

    def parts(self, features: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        """Centre m (batch, n_mv) and factor L (batch, n_mv, n_mv) of the quadratic part."""
        n, k = self.n_mv, self.n_mv * self.n_cv
        out = self.bowl(features)
        slope = out[:, :k].reshape(-1, n, self.n_cv)
        centre = torch.einsum("bij,bj->bi", slope, error) + out[:, k : k + n]
        lower = out.new_zeros(len(out), n, n)
        rows, columns = torch.tril_indices(n, n, device=out.device)
        lower[:, rows, columns] = out[:, k + n :]
        diagonal = functional.softplus(lower.diagonal(dim1=1, dim2=2) + CURVATURE_SHIFT)
        return centre, lower.tril(-1) + torch.diag_embed(diagonal)

    def forward(self, features: Tensor, error: Tensor, action: Tensor) -> Tensor:
        """Cost (batch,); error: (batch, n_cv) in CV scales, action: (batch, n_mv)."""
        centre, lower = self.parts(features, error)
        away = torch.einsum("bij,bj->bi", lower, action - centre)
        cost: Tensor = 0.5 * away.square().sum(dim=1) + self.rest(features, action)
        return cost

    def slope(self, features: Tensor, error: Tensor, action: Tensor) -> Tensor:
        """dc/da (batch, n_mv), differentiable in the weights."""
        action = action.detach().requires_grad_()
        cost = self(features, error, action).sum()
        (slope,) = torch.autograd.grad(cost, action, create_graph=True)
        return slope

    def tensors(self, prefix: str) -> dict[str, NDArray[np.float64]]:
        """Weights under the names that `models.baselines.scalar.ScalarModel` reads."""
        return self.rest.tensors(prefix) | self.bowl.tensors(f"{prefix}.bowl")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Targets as tensors; inverse: (N, n_mv, n_mv) of the curvature, weight: (N,) of the states."""

    features: Tensor
    error: Tensor
    moves: Tensor
    wanted: Tensor
    inverse: Tensor
    weight: Tensor


class HeldTrainer:
    """Regression of Newton steps: |Q^-1 (dc/da - wanted)|^2 / (|a|^2 + floor^2)."""

    def __init__(
        self, targets: HeldTargets, recipe: HeldRecipe, seed: int, *, device: torch.device = CPU
    ) -> None:
        self.name = "picnn-held"
        self.steps, self.learning_rate = recipe.steps, recipe.learning_rate
        self.generator = seeded(seed * 1000 + 500)
        self._batch = recipe.batch
        features, error, moves, wanted, curvature = (
            torch.as_tensor(column, dtype=torch.float32)
            for column in (
                targets.features,
                targets.error,
                targets.moves,
                targets.gradients,
                targets.curvature,
            )
        )
        self._columns = moved(
            _Columns(
                features=features,
                error=error,
                moves=moves,
                wanted=wanted,
                inverse=torch.linalg.inv(curvature),
                weight=1.0 / (moves.square().sum(dim=(1, 2)) + recipe.floor**2),
            ),
            device,
        )
        n_cv, n_mv = error.shape[1], moves.shape[2]
        self.model = HeldPicnn(features.shape[1], n_cv, n_mv, recipe).to(device)
        self.modules = {"model": self.model}
        self.optimizers = {"model": Adam(self.model.parameters())}

    def step(self) -> dict[str, Tensor]:
        """One update on one batch."""
        features = self._columns.features
        rows = torch.randint(len(features), (self._batch,), generator=self.generator)
        loss = self.loss(rows.to(features.device))
        self.optimizers["model"].update(loss)
        return {"newton_step": loss.detach()}

    def loss(self, rows: Tensor) -> Tensor:
        """Mean over both moves of each state."""
        columns = self._columns
        features, error = columns.features[rows], columns.error[rows]
        moves, wanted = columns.moves[rows], columns.wanted[rows]
        miss = torch.stack(
            [self.model.slope(features, error, moves[:, i]) - wanted[:, i] for i in range(2)],
            dim=1,
        )
        steps = torch.einsum("bij,bkj->bki", columns.inverse[rows], miss)
        return (steps.square().sum(dim=2).mean(dim=1) * columns.weight[rows]).mean()
