"""Transitions under setpoints drawn anew: hindsight relabelling.

Andrychowicz et al. 2017, arXiv 1707.01495, here offline. What the plant does after a move does
not depend on the setpoint, and the reward is known for any setpoint; so every recorded move also
shows how good it is for other setpoints. The critics then see moves that are not the PI's answer
to the error, and errors near zero; without them both are missing in the data of a PI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from models.bundle import Feature
    from models.data.dataset import Dataset
    from models.recipe import Recipe

# Half of the setpoints are what the CVs reach later in the segment, the others lie this many
# decades of a CV's scale from its present value.
_REACHED = 0.5
_NEARBY = (-2.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    """CVs of the data and how features and rewards depend on the setpoint.

    cv: (M, n_cv). last: (M,) last row of each row's segment. error_at: columns of the error
    features, error_cv: their CVs, error_scale, error_clip: as in the manifest. unit, weight:
    (n_cv,) scale and cost weight of the CVs. gain: (stride,) reward of the coming samples a
    cost ** power of 1.
    """

    cv: Tensor
    last: Tensor
    error_at: Tensor
    error_cv: Tensor
    error_scale: Tensor
    error_clip: Tensor
    unit: Tensor
    weight: Tensor
    gain: Tensor
    power: float

    @classmethod
    def of(cls, data: Dataset, spec: Sequence[Feature], recipe: Recipe) -> Self:
        """Collect it from data and recipe."""
        policy, names = recipe.policy, [cv.name for cv in recipe.cvs]
        errors = [(i, f) for i, f in enumerate(spec) if f.kind == "error"]
        last = np.empty(len(data.episode), dtype=np.int64)
        for begin, end in data.bounds():
            last[begin:end] = end - 1
        per_sample = (recipe.source.sample_time_s / 1800.0) ** policy.reward_power
        discounts = policy.discount ** np.arange(policy.stride)
        return cls(
            cv=_f32(data.cv),
            last=torch.as_tensor(last),
            error_at=torch.tensor([i for i, _ in errors], dtype=torch.int64),
            error_cv=torch.tensor([names.index(f.source) for _, f in errors], dtype=torch.int64),
            error_scale=_f32([f.scale for _, f in errors]),
            error_clip=_f32([np.inf if f.clip is None else f.clip for _, f in errors]),
            unit=_f32([cv.scale for cv in recipe.cvs]),
            weight=_f32([cv.weight for cv in recipe.cvs]),
            gain=_f32(-per_sample * discounts / policy.reward_scale),
            power=policy.reward_power,
        )

    def setpoints(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Other setpoints (batch, n_cv) for the decisions at `rows`."""
        draw, now = len(rows), self.cv.index_select(0, rows)
        device = now.device
        ahead = (self.last[rows] - rows) * torch.rand(draw, generator=generator).to(device) ** 2
        reached = self.cv.index_select(0, rows + ahead.long())
        low, high = _NEARBY
        size = 10.0 ** (low + (high - low) * torch.rand(draw, 1, generator=generator).to(device))
        nearby = now + torch.randn(now.shape, generator=generator).to(device) * size * self.unit
        which = torch.rand(draw, 1, generator=generator).to(device)
        return torch.where(which < _REACHED, reached, nearby)

    def see(self, features: Tensor, rows: Tensor, setpoint: Tensor) -> None:
        """Put the features (batch, n) of `rows` under a setpoint (batch, n_cv), in place."""
        error = setpoint - self.cv.index_select(0, rows)
        scaled = error.index_select(1, self.error_cv) / self.error_scale
        clipped = torch.clamp(scaled, -self.error_clip, self.error_clip)
        features.index_copy_(1, self.error_at, clipped)

    def rewards(self, rows: Tensor, setpoint: Tensor) -> Tensor:
        """Discounted reward (batch, 1) of the decisions at `rows` under a setpoint."""
        ahead = torch.arange(1, len(self.gain) + 1, device=rows.device)
        coming = self.cv[rows[:, None] + ahead]
        cost = ((setpoint[:, None] - coming).square() * self.weight).sum(dim=-1)
        return (cost**self.power) @ self.gain[:, None]


def _f32(values: object) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)
