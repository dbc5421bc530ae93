"""Forward pass of the small networks in NumPy; the arithmetic of `models.learning.networks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.bundle import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]


def silu(x: F64) -> F64:
    """Sigmoid-weighted linear unit x / (1 + exp(-x)), without overflow for any finite x."""
    bounded: F64 = x * 0.5 * (1.0 + np.tanh(0.5 * x))
    return bounded


def softplus(x: F64) -> F64:
    """log(1 + exp(x)), without overflow."""
    positive: F64 = np.logaddexp(0.0, x)
    return positive


@dataclass(frozen=True, slots=True)
class Mlp:
    """Hidden SiLU layers and a linear output; weights[i]: (n_out, n_in), biases[i]: (n_out,)."""

    weights: tuple[F64, ...]
    biases: tuple[F64, ...]

    def __call__(self, x: F64) -> F64:
        """Output (n_out,) for input (n_in,)."""
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = silu(weight @ x + bias)
        out: F64 = self.weights[-1] @ x + self.biases[-1]
        return out


def mlp_from(tensors: Mapping[str, F64], prefix: str, *, layers: int, n_in: int, n_out: int) -> Mlp:
    """Collect `<prefix>.<i>.weight|bias` for i in 0..layers; raise BundleError if shapes differ."""
    weights: list[F64] = []
    biases: list[F64] = []
    width = n_in
    for i in range(layers + 1):
        weight = take(tensors, f"{prefix}.{i}.weight")
        bias = take(tensors, f"{prefix}.{i}.bias")
        last = i == layers
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != (weight.shape[0],):
            raise BundleError(
                f"weights.safetensors: {prefix}.{i}: shapes {weight.shape} and {bias.shape} do "
                f"not follow {width} inputs; the manifest and the weights belong to different runs"
            )
        width = weight.shape[0]
        if last and width != n_out:
            raise BundleError(
                f"weights.safetensors: {prefix}.{i}: {width} outputs, the manifest needs {n_out}"
            )
        weights.append(weight)
        biases.append(bias)
    return Mlp(tuple(weights), tuple(biases))


def take(tensors: Mapping[str, F64], name: str, shape: tuple[int, ...] | None = None) -> F64:
    """One tensor by name; raise BundleError if it is missing or has another shape."""
    if name not in tensors:
        raise BundleError(f"weights.safetensors: {name}: missing; restore the bundle")
    tensor = tensors[name]
    if shape is not None and tensor.shape != shape:
        raise BundleError(
            f"weights.safetensors: {name}: shape {tensor.shape}, the manifest needs {shape}"
        )
    return tensor
