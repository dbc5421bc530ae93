"""The sequence correction in eager PyTorch, three ways, each as good as eager mode lets it be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from benchmarks.torch_rivals import Solved, descend, projected_newton
from models.learning.reference import Reference, Scans
from models.online.sequence import FACTOR_SHIFT

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.sequence_parts import SequenceParts
    from benchmarks.stream import Correction

IN_SCANS = ("features", "disturbance", "now", "error", "bias", "policy", "low", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapsed:
    """J(z) = z'Hz/2 + q'z + constant + k sum max(0, Mz + m)^2 at one state."""

    H: Tensor
    q: Tensor
    constant: Tensor
    M: Tensor
    m: Tensor
    penalty: float

    def cost(self, z: Tensor) -> Tensor:
        """J(z)."""
        over = functional.relu(self.M @ z + self.m)
        return 0.5 * z @ (self.H @ z) + self.q @ z + self.constant + self.penalty * (over @ over)


class TorchSequence:
    """Networks and cost in one precision; constants are made once."""

    def __init__(self, parts: SequenceParts, kind: torch.dtype = torch.float64) -> None:
        self._parts, self._kind = parts, kind
        self._tensors = {name: self.tensor(value) for name, value in parts.tensors.items()}
        self._shared = [self.tensor(value) for value in parts.shared]
        self._scale, self._lasting = self.tensor(parts.scale), self.tensor(parts.lasting)
        self._weight, self._fixed = self.tensor(parts.weight), self.tensor(parts.fixed)
        self._capped = torch.as_tensor(parts.capped)
        self._ceiling = self.tensor(parts.ceiling)

    def tensor(self, value: Any) -> Tensor:
        """An array in this precision."""
        return torch.as_tensor(value).to(self._kind)

    def question(self, scan: Correction) -> dict[str, Tensor]:
        """One correction's arrays as tensors."""
        return {name: self.tensor(getattr(scan, name)) for name in (*IN_SCANS, "start")}

    def collapse(self, asked: dict[str, Tensor]) -> Collapsed:
        """Everything that depends on the state, once."""
        p = self._parts
        split, end, _ = p.cuts
        outs = [self._mlp(f"cost.{m}.net", asked["features"]) for m in range(p.members)]
        mean = torch.stack(outs).mean(dim=0)
        rows = torch.zeros(1)
        for shared, out in zip(self._shared, outs, strict=True):
            factor = functional.softplus(out[split:end] + FACTOR_SHIFT)
            part = shared * factor.reshape(p.n_blocks, p.n_cv, 1, p.n_mv)
            rows = rows + part.reshape(split, -1) / p.members
        rates = mean[end:].reshape(p.n_blocks, p.n_cv, p.n_cv) * self._lasting
        drift = mean[:split] * self._scale + (rates @ asked["disturbance"]).ravel()
        drift = drift + asked["bias"].ravel()
        miss = asked["error"].repeat(p.n_blocks) - drift
        q = -2.0 * (rows.mT @ (self._weight * miss))
        q[: p.n_mv] -= p.proximal * asked["policy"]
        excess = asked["now"].repeat(p.n_blocks) + drift
        pull = 0.5 * p.proximal * (asked["policy"] @ asked["policy"])
        return Collapsed(
            H=2.0 * (rows.mT * self._weight) @ rows + self._fixed,
            q=q,
            constant=self._weight @ (miss * miss) + pull,
            M=rows[self._capped],
            m=excess[self._capped] - self._ceiling,
            penalty=p.penalty,
        )

    def steepness(self, asked: dict[str, Tensor]) -> float:
        """Largest curvature of J with every ceiling exceeded: 1 / it is a step that descends."""
        found = self.collapse(asked)
        top = found.H + 2.0 * found.penalty * (found.M.mT @ found.M)
        return float(torch.linalg.eigvalsh(top)[-1].item())

    def descend(self, asked: dict[str, Tensor], *, steps: int, rate: float) -> Tensor:
        """Projected gradient descent with autograd on the collapsed cost (n,)."""
        with torch.no_grad():
            found = self.collapse(asked)
        low, high = asked["low"].ravel(), asked["high"].ravel()
        return descend(found.cost, asked["start"], low, high, steps=steps, rate=rate)

    def minimise(self, asked: dict[str, Tensor], *, absolute: float, relative: float) -> Solved:
        """Projected Newton with autograd on the collapsed cost, to the gap."""
        with torch.no_grad():
            found = self.collapse(asked)
        return projected_newton(
            found.cost,
            asked["start"],
            asked["low"].ravel(),
            asked["high"].ravel(),
            gap=lambda cost: absolute + relative * abs(cost),
        )

    def _mlp(self, prefix: str, x: Tensor) -> Tensor:
        for i in range(self._parts.layers + 1):
            weight = self._tensors[f"{prefix}.{i}.weight"]
            x = functional.linear(x, weight, self._tensors[f"{prefix}.{i}.bias"])
            x = functional.silu(x) if i < self._parts.layers else x
        return x


def batch_of_one(asked: dict[str, Tensor]) -> Scans:
    """A question as the reference takes it."""
    return Scans(**{name: asked[name][None] for name in IN_SCANS})


def published(
    reference: Reference, scans: Scans, start: Tensor, *, steps: int, rate: float
) -> Tensor:
    """As the paper corrects: autograd through the whole model at every step (1, n_blocks, n_mv)."""
    return descend(
        lambda moves: reference.cost(scans, moves).sum(),
        start.reshape(scans.low.shape),
        scans.low,
        scans.high,
        steps=steps,
        rate=rate,
    )
