"""The scalar PICNN of the paper: c(s, a), convex in the action a for every state s.

A partially input convex network (Amos et al. 2017, arXiv 1609.07152, eq. 3), used as a correction
layer in arXiv 2507.22640; convex by construction, not by a loss.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from models.learning.networks import as_array, seeded
from models.learning.optimizer import Adam

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.learning.batches import PolicyData
    from models.recipe import ScalarRecipe


# torch rounds softplus(x) to x from x = 20 on, a jump of 2e-9 that is not convex; from 50 on it
# is below double precision.
_EXACT = 50.0


class ScalarPicnn(nn.Module):
    """Cost c(s, a) >= 0, convex in a.

    u_{i+1} = silu(W u_i); z_{i+1} = softplus(Wz [z_i * relu(Wzu u_i)] + Wa [a * (Wau u_i)]
    + Wu u_i), Wz >= 0 by softplus of its parameter. Softplus is convex and non-decreasing,
    the first z has no z-path: every z_i is convex in a.
    """

    def __init__(self, n_features: int, n_mv: int, *, width: int, layers: int) -> None:
        super().__init__()
        states = [n_features] + [width] * layers
        self.state = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(states))
        outs = [width] * layers + [1]
        ins = [0] + [width] * layers
        self.z_raw = nn.ParameterList(
            nn.Parameter(torch.randn(b, a) * 0.1 - 3.0) for a, b in zip(ins, outs, strict=True)
        )
        self.z_gate = nn.ModuleList(nn.Linear(u, z) for u, z in zip(states, ins, strict=True) if z)
        self.a_gate = nn.ModuleList(nn.Linear(u, n_mv) for u in states)
        self.a_path = nn.ModuleList(nn.Linear(n_mv, b, bias=False) for b in outs)
        self.u_path = nn.ModuleList(nn.Linear(u, b) for u, b in zip(states, outs, strict=True))

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """Cost (batch,) for features (batch, n_features) and scaled actions (batch, n_mv)."""
        u = features
        z = features.new_zeros(features.shape[0], 0)
        last = len(self.a_path) - 1
        for i in range(last + 1):
            total = self.a_path[i](action * self.a_gate[i](u)) + self.u_path[i](u)
            if i > 0:
                gate = functional.relu(self.z_gate[i - 1](u))
                total = total + functional.linear(z * gate, functional.softplus(self.z_raw[i]))
            z = functional.softplus(total, threshold=_EXACT)
            if i < last:
                u = functional.silu(self.state[i](u))
        return z.squeeze(-1)

    def tensors(self, prefix: str) -> dict[str, NDArray[np.float64]]:
        """Weights under the names that `models.baselines.scalar.ScalarModel` reads."""
        parts = {"state": self.state, "a_gate": self.a_gate, "u_path": self.u_path}
        parts |= {"z_gate": self.z_gate, "a_path": self.a_path}
        named = {
            f"{prefix}.{part}.{key}": as_array(value)
            for part, modules in parts.items()
            for key, value in modules.state_dict().items()
        }
        for i, raw in enumerate(self.z_raw):
            if i > 0:
                named[f"{prefix}.z.{i}"] = as_array(functional.softplus(raw))
        return named

    def correct(
        self, features: Tensor, action: Tensor, *, steps: int, rate: float, radius: float | None
    ) -> Tensor:
        """Truncated projected gradient descent from the policy's action, as published.

        features (batch, n_features), action (batch, n_mv) in [-1, 1]; `radius` bounds the
        distance of each component from the policy's. Returns (batch, n_mv).
        """
        low, high = action - 2.0, action + 2.0
        if radius is not None:
            low, high = action - radius, action + radius
        low, high = low.clamp(-1.0, 1.0), high.clamp(-1.0, 1.0)
        corrected = action.detach()
        for _ in range(steps):
            corrected.requires_grad_()
            (slope,) = torch.autograd.grad(self(features, corrected).sum(), corrected)
            corrected = torch.clamp((corrected - rate * slope).detach(), low, high)
        return corrected


class ScalarTrainer:
    """Regression of the discounted tracking cost of the coming samples on (s, a)."""

    def __init__(self, data: PolicyData, recipe: ScalarRecipe, seed: int) -> None:
        self.name = "picnn-scalar"
        self.steps, self.learning_rate = recipe.steps, recipe.learning_rate
        self.generator = seeded(seed)
        self._data, self._batch = data, recipe.batch
        self._unit = data.cost_ahead[data.rows].mean()
        self.model = ScalarPicnn(
            data.features.shape[1], data.actions.shape[1], width=recipe.width, layers=recipe.layers
        ).to(data.features.device)
        self.modules = {"model": self.model}
        self.optimizers = {"model": Adam(self.model.parameters())}

    def step(self) -> dict[str, Tensor]:
        """One update on one batch."""
        rows = self._data.draw(self._batch, self.generator)
        cost = self.model(self._data.features[rows], self._data.actions[rows])
        loss = (cost - self._data.cost_ahead[rows] / self._unit).square().mean()
        self.optimizers["model"].update(loss)
        return {"cost": loss.detach()}
