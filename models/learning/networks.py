"""Networks in PyTorch, for training and as the reference of the NumPy runtime."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
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
        """Output for a batch of inputs."""
        for layer in self.hidden:
            x = functional.silu(layer(x))
        out: Tensor = self.last(x)
        return out

    def tensors(self, prefix: str) -> dict[str, NDArray[np.float64]]:
        """Weights under the names that `models.online.forward.mlp_from` reads."""
        named: dict[str, NDArray[np.float64]] = {}
        for i, layer in enumerate(self.linears):
            named[f"{prefix}.{i}.weight"] = as_array(layer.weight)
            named[f"{prefix}.{i}.bias"] = as_array(layer.bias)
        return named


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
    """Detached float64 copy, on the CPU."""
    array: NDArray[np.float64] = tensor.detach().to("cpu", torch.float64).numpy().copy()
    return array


def seeded(seed: int) -> torch.Generator:
    """Generator for batches, and PyTorch's own state for initial weights, from one seed."""
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
