"""Networks in PyTorch, for training and as the reference of the NumPy runtime."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class Mlp(nn.Module):
    """Hidden SiLU layers and a linear output: (batch, n_in) -> (batch, n_out)."""

    def __init__(self, n_in: int, n_out: int, *, width: int, layers: int) -> None:
        super().__init__()
        sizes = [n_in, *([width] * layers)]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.last = nn.Linear(sizes[-1], n_out)

    @property
    def linears(self) -> list[nn.Linear]:
        """All layers, from the input on."""
        return [*self.hidden, self.last]  # type: ignore[list-item]

    def forward(self, x: Tensor) -> Tensor:
        """Output for a batch of inputs; differentiable once."""
        weights = [w for layer in self.linears for w in (layer.weight, layer.bias)]
        out: Tensor = _Layers.apply(x, *weights)
        return out

    def tensors(self, prefix: str) -> dict[str, NDArray[np.float64]]:
        """Weights under the names that `models.online.forward.mlp_from` reads."""
        named: dict[str, NDArray[np.float64]] = {}
        for i, layer in enumerate((*self.hidden, self.last)):
            assert isinstance(layer, nn.Linear)  # noqa: S101  # narrows for the type checker
            named[f"{prefix}.{i}.weight"] = as_array(layer.weight)
            named[f"{prefix}.{i}.bias"] = as_array(layer.bias)
        return named


class _Layers(torch.autograd.Function):
    """The layers of an `Mlp` as one node of the graph: weights and biases follow the input.

    Same products, sums and SiLUs as layer by layer, so the same bits; without the nodes between
    them, which cost as much as a tenth of the products at a batch of 256 and a width of 256.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        """Output (batch, n_out) for x (batch, n_in)."""
        kept, last = [x], len(weights) - 2
        for i in range(0, last, 2):
            before = functional.linear(x, weights[i], weights[i + 1])
            x = functional.silu(before)
            kept += [before, x]
        ctx.save_for_backward(*kept, *weights)
        return functional.linear(x, weights[last], weights[last + 1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """Slopes of the input and of all weights and biases."""
        count = (len(ctx.saved_tensors) + 1) // 4  # of layers: 2 n - 1 kept values, 2 n weights
        kept, weights = ctx.saved_tensors[: 2 * count - 1], ctx.saved_tensors[2 * count - 1 :]
        found: list[Tensor | None] = []
        for i in reversed(range(count)):
            found = [slope.t() @ kept[2 * i], slope.sum(0), *found]
            if i > 0:
                slope = slope @ weights[2 * i]
                torch.ops.aten.silu_backward.grad_input(slope, kept[2 * i - 1], grad_input=slope)
        into = slope @ weights[0] if ctx.needs_input_grad[0] else None
        return (into, *found)


class Policy(nn.Module):
    """Deterministic policy: features -> scaled increments of the MVs in [-1, 1]."""

    def __init__(self, n_features: int, n_mv: int, *, width: int, layers: int) -> None:
        super().__init__()
        self.net = Mlp(n_features, n_mv, width=width, layers=layers)

    def forward(self, features: Tensor) -> Tensor:
        """Scaled increments (batch, n_mv)."""
        return torch.tanh(self.net(features))

    def tensors(self, prefix: str = "policy.net") -> dict[str, NDArray[np.float64]]:
        """Weights as a bundle holds them."""
        return self.net.tensors(prefix)


def as_array(tensor: Tensor) -> NDArray[np.float64]:
    """Detached float64 copy."""
    array: NDArray[np.float64] = tensor.detach().to(dtype=torch.float64).numpy().copy()
    return array


def seeded(seed: int) -> torch.Generator:
    """Generator for batches, and PyTorch's own state for initial weights, from one seed."""
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
