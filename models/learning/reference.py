"""The runtime again, in PyTorch and float64, straight from the formulas and for many states.

Nothing at run time uses this. `models.evaluation.assessment` asks it about whole datasets, on a
GPU if there is one, and tests hold the NumPy runtime against it: networks from the same weights,
the cost as `models.online.sequence` states it, gradients by autograd, and the minimiser by
another algorithm, a primal-dual interior-point method (Nocedal & Wright 2006, chapter 19).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch.nn import functional

from models.bundle import Manifest, horizon_ends, load_manifest, load_weights
from models.learning.devices import CPU
from models.online.sequence import FACTOR_SHIFT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    F64 = NDArray[np.float64]

# States at a time: what they need is far less than the memory of a small GPU.
_ROWS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Scans:
    """A batch of corrections, float64.

    features: (B, n_features). disturbance: (B, n_cv) [CV unit a sample]. now, error: (B, n_cv).
    bias: (B, n_blocks, n_cv). policy: (B, n_mv) scaled deviation. low, high: (B, n_blocks, n_mv)
    with low < high.
    """

    features: Tensor
    disturbance: Tensor
    now: Tensor
    error: Tensor
    bias: Tensor
    policy: Tensor
    low: Tensor
    high: Tensor


@dataclass(slots=True, kw_only=True)
class _Point:
    """Iterate of the interior-point method: moves, prices of the bounds, ceilings."""

    z: Tensor
    low: Tensor
    high: Tensor
    slack: Tensor
    price: Tensor

    def complementarity(self, scans: Scans) -> Tensor:
        """Mean product (B,) of room and price."""
        bounds = self.low * (self.z - scans.low) + self.high * (scans.high - self.z)
        parts = torch.cat((bounds.flatten(1) / 2, self.slack * self.price), dim=1)
        return parts.mean(dim=1)

    def take(self, index: Tensor) -> _Point:
        """Some scans of the batch."""
        return _Point(**{name: getattr(self, name)[index] for name in self.__slots__})

    def put(self, index: Tensor, point: _Point) -> None:
        """Write some scans of the batch back."""
        for name in self.__slots__:
            getattr(self, name)[index] = getattr(point, name)


class Reference:
    """Policy, cost and minimiser of a bundle."""

    def __init__(
        self,
        manifest: Manifest,
        tensors: Mapping[str, NDArray[np.float64]],
        device: torch.device = CPU,
    ) -> None:
        self.manifest, self.device = manifest, device
        self._tensors = {name: self.tensor(value) for name, value in tensors.items()}
        self._scale = self.tensor([cv.scale for cv in manifest.cvs])

    @classmethod
    def load(cls, directory: Path, device: torch.device = CPU) -> Self:
        """Read a bundle; raises BundleError."""
        return cls(load_manifest(directory), load_weights(directory), device)

    def tensor(self, values: object) -> Tensor:
        """Values as float64 where the networks are."""
        return torch.as_tensor(values, dtype=torch.float64, device=self.device)

    def policy(
        self, features: Tensor, prefix: str = "policy.net", layers: int | None = None
    ) -> Tensor:
        """Scaled increments (B, n_mv); of another policy among the tensors by its prefix."""
        return torch.tanh(self._mlp(prefix, features, layers or self.manifest.policy.layers))

    def predicted(self, features: Tensor, moves: Tensor, disturbance: Tensor) -> Tensor:
        """Change of the CVs (B, n_blocks, n_cv) [CV units] for moves (B, n_blocks, n_mv).

        disturbance: (B, n_cv) [CV unit a sample].
        """
        scaled = disturbance / self._scale
        members = range(self.manifest.cost.members)
        parts = [self._member(m, features, moves, scaled) for m in members]
        return torch.stack(parts).mean(dim=0) * self._scale

    @torch.no_grad()
    def changes(self, features: F64, moves: F64) -> F64:
        """`predicted` without disturbance for many states, some at a time, as an array."""
        parts = []
        for begin in range(0, max(len(features), 1), _ROWS):
            seen = self.tensor(features[begin : begin + _ROWS])
            still = seen.new_zeros(len(seen), len(self.manifest.cvs))
            some = self.predicted(seen, self.tensor(moves[begin : begin + _ROWS]), still)
            parts.append(some.cpu().numpy())
        found: F64 = np.concatenate(parts)
        return found

    def cost(self, scans: Scans, moves: Tensor, *, ceilings: bool = True) -> Tensor:
        """c(s, U) (B,), term by term."""
        cost = self.manifest.cost
        change = self.predicted(scans.features, moves, scans.disturbance) + scans.bias
        horizon = self.tensor(cost.horizon_weights)
        weight = self.tensor([cv.weight for cv in self.manifest.cvs])
        miss = (scans.error[:, None] - change).square() @ weight
        total = miss @ horizon
        for i, cv in enumerate(self.manifest.cvs):
            if ceilings and cv.safe_high is not None:
                near = change[:, : cost.ceiling_blocks, i]
                excess = functional.relu(scans.now[:, None, i] + near - cv.safe_high)
                total = total + cost.ceiling_penalty * excess.square().sum(dim=1)
        steps = torch.diff(moves, dim=1, prepend=torch.zeros_like(moves[:, :1]))
        total = total + cost.move_penalty * steps.square().sum(dim=(1, 2))
        away = (moves[:, 0] - scans.policy).square().sum(dim=1)
        return total + 0.5 * cost.proximal * away

    def gradient(self, scans: Scans, moves: Tensor, *, ceilings: bool = True) -> Tensor:
        """dc/dU (B, n_blocks, n_mv) by autograd."""
        moves = moves.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.cost(scans, moves, ceilings=ceilings).sum(), moves)
        return slope

    def minimise(self, scans: Scans, *, iterations: int = 120, close: float = 1e-13) -> Tensor:
        """Minimiser U (B, n_blocks, n_mv) of the cost over the box, by interior points.

        Each ceiling becomes a variable s >= excess with cost k s^2, which makes the problem a
        quadratic programme. Every scan of the batch stops by itself once its mean
        complementarity is below `close` and its residuals vanish.
        """
        rows = self._ceiling_rows(scans)
        middle = 0.5 * (scans.low + scans.high)
        steep = self.gradient(scans, middle).abs().amax((1, 2), keepdim=True)
        excess = self._excess(scans, middle)
        over = excess.clamp(0.0) + 1.0
        point = _Point(
            z=middle,
            low=steep.expand_as(middle).clone(),
            high=steep.expand_as(middle).clone(),
            slack=over - excess,
            price=2.0 * self.manifest.cost.ceiling_penalty * over,
        )
        fixed = self._fixed_curvature(scans)
        for _ in range(iterations):
            open_ = torch.nonzero(self._unsolved(scans, rows, point, close)).squeeze(1)
            if open_.numel() == 0:
                break
            some = Scans(**{name: getattr(scans, name)[open_] for name in Scans.__slots__})
            stepped = self._interior_step(some, rows[open_], fixed[open_], point.take(open_))
            point.put(open_, stepped)
        return point.z

    def _unsolved(self, scans: Scans, rows: Tensor, point: _Point, close: float) -> Tensor:
        """Scans (B,) that are not at their minimum yet."""
        slope = self.gradient(scans, point.z, ceilings=False)
        push = torch.einsum("bkn,bk->bn", rows, point.price).reshape(point.z.shape)
        miss = (slope + push - point.low + point.high).abs().amax((1, 2))
        return (point.complementarity(scans) > close) | (
            miss > 1e-10 * (1.0 + slope.abs().amax((1, 2)))
        )

    def _interior_step(self, scans: Scans, rows: Tensor, fixed: Tensor, at: _Point) -> _Point:
        """One Newton step towards the central path, a tenth of the present complementarity."""
        centre = 0.1 * at.complementarity(scans)[:, None]
        # A room below the spacing of numbers would round to 0 and divide by it.
        room_low = (at.z - scans.low).clamp(1e-15).flatten(1)
        room_high = (scans.high - at.z).clamp(1e-15).flatten(1)
        low, high = at.low.flatten(1), at.high.flatten(1)
        soft = 1.0 / (2.0 * self.manifest.cost.ceiling_penalty)
        excess = self._excess(scans, at.z)
        short = at.slack - (soft * at.price - excess)
        give = at.slack + soft * at.price
        ask = (centre - at.price * at.slack + at.price * short) / give
        slope = self.gradient(scans, at.z, ceilings=False).flatten(1)
        pull = torch.einsum("bkn,bk->bn", rows, at.price + ask)
        right = -(slope + pull - centre / room_low + centre / room_high)
        curve = fixed + rows.mT @ ((at.price / give)[..., None] * rows)
        dz = torch.linalg.solve(curve + torch.diag_embed(low / room_low + high / room_high), right)
        moved = torch.einsum("bkn,bn->bk", rows, dz)
        d_price = ask + at.price / give * moved
        d_slack = soft * d_price - moved - short
        d_low = (centre - low * dz) / room_low - low
        d_high = (centre + high * dz) / room_high - high
        size = _largest(
            (room_low, dz),
            (room_high, -dz),
            (low, d_low),
            (high, d_high),
            (at.slack, d_slack),
            (at.price, d_price),
        )
        wide = size[..., None]
        return _Point(
            z=at.z + wide * dz.reshape(at.z.shape),
            low=at.low + wide * d_low.reshape(at.z.shape),
            high=at.high + wide * d_high.reshape(at.z.shape),
            slack=at.slack + size * d_slack,
            price=at.price + size * d_price,
        )

    def _excess(self, scans: Scans, moves: Tensor) -> Tensor:
        """Predicted value less ceiling (B, n_ceilings), blocks by capped CVs."""
        change = self.predicted(scans.features, moves, scans.disturbance) + scans.bias
        capped = [i for i, cv in enumerate(self.manifest.cvs) if cv.safe_high is not None]
        tops = self.tensor([self.manifest.cvs[i].safe_high for i in capped])
        near = change[:, : self.manifest.cost.ceiling_blocks][..., capped]
        return (scans.now[:, None, capped] + near - tops).flatten(1)

    def _ceiling_rows(self, scans: Scans) -> Tensor:
        """Slope of the excess (B, n_ceilings, n) in the moves, by autograd; it is affine."""
        moves = torch.zeros_like(scans.low).requires_grad_()
        excess = self._excess(scans, moves).sum(dim=0)
        rows = [torch.autograd.grad(e, moves, retain_graph=True)[0].flatten(1) for e in excess]
        return torch.stack(rows, dim=1)

    def _fixed_curvature(self, scans: Scans) -> Tensor:
        """Hessian (B, n, n) of the cost without its ceilings, by autograd; it is constant."""
        moves = torch.zeros_like(scans.low).requires_grad_()
        total = self.cost(scans, moves, ceilings=False).sum()
        (slope,) = torch.autograd.grad(total, moves, create_graph=True)
        columns = slope.flatten(1).sum(dim=0)
        rows = [torch.autograd.grad(c, moves, retain_graph=True)[0].flatten(1) for c in columns]
        return torch.stack(rows, dim=1)

    def _member(self, member: int, features: Tensor, moves: Tensor, disturbance: Tensor) -> Tensor:
        """Scaled change (B, n_blocks, n_cv) that one member predicts."""
        cost = self.manifest.cost
        out = self._mlp(f"cost.{member}.net", features, cost.layers)
        gains = self._tensors[f"cost.{member}.gains"]
        n_blocks, n_cv, _, n_mv = gains.shape
        change, factor, rate = torch.split(
            out, [n_blocks * n_cv, n_blocks * n_cv * n_mv, n_blocks * n_cv * n_cv], dim=1
        )
        shape = (-1, n_blocks, n_cv)
        response = torch.einsum("hcju,bju->bhcu", gains, moves)
        factor = functional.softplus(factor + FACTOR_SHIFT).reshape(response.shape)
        left = [cost.disturbance_keep**i for i in range(sum(cost.blocks))]
        counted = self.tensor([sum(left[:end]) for end in horizon_ends(cost.blocks)])
        grown = (rate.reshape(*shape, n_cv) @ disturbance[:, None, :, None]).squeeze(-1)
        return change.reshape(shape) + (response * factor).sum(-1) + counted[:, None] * grown

    def _mlp(self, prefix: str, x: Tensor, layers: int) -> Tensor:
        for i in range(layers + 1):
            weight, bias = (
                self._tensors[f"{prefix}.{i}.weight"],
                self._tensors[f"{prefix}.{i}.bias"],
            )
            x = functional.linear(x, weight, bias)
            if i < layers:
                x = functional.silu(x)
        return x


def _largest(*pairs: tuple[Tensor, Tensor]) -> Tensor:
    """Largest step (B, 1), at most 1, that keeps every value + step positive."""
    limits = []
    for value, step in pairs:
        ratio = torch.where(step < 0, -value / step, torch.inf)
        limits.append(0.995 * ratio.min(dim=1).values)
    return torch.stack(limits).min(dim=0).values.clamp(max=1.0)[:, None]
