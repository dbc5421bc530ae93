"""Adam (Kingma & Ba 2015, arXiv 1412.6980) on all weights of a network as one vector.

    m <- m + (1 - b1) (g - m),   v <- b2 v + (1 - b2) g^2
    w <- w - rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)

Layer by layer this is some ten operations on each of many small tensors, a fifth of the time of
a step of IQL; here it is ten operations. Every weight sees the operations of `torch.optim.Adam` in
their order either way, and so has the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

# The values of the paper, which are torch's defaults.
_MEAN_KEPT, _SQUARE_KEPT = 0.9, 0.999
_FLOOR = 1e-8


class Adam:
    """One learning rate, which the loop sets, for weights that are views of one vector (n,).

    mean, square: (n,) running mean of the slope and of its square. steps: taken so far.
    Networks must be on their device before: moving one afterwards parts it from the vector.
    """

    def __init__(self, weights: Iterable[nn.Parameter]) -> None:
        self.rate = 1e-3
        self._weights = list(weights)
        self.vector = one_vector(self._weights)
        self.mean, self.square = torch.zeros_like(self.vector), torch.zeros_like(self.vector)
        self.steps = 0
        self._slope = torch.zeros_like(self.vector)
        self.slopes = _parts(self._slope, self._weights)
        self._root = torch.zeros_like(self.vector)

    def state(self) -> dict[str, Tensor]:
        """What a resumed run must know besides the weights."""
        return {"mean": self.mean, "square": self.square, "steps": torch.tensor(self.steps)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        self.mean.copy_(state["mean"])
        self.square.copy_(state["square"])
        self.steps = int(state["steps"])

    def update(self, loss: Tensor, *, largest_norm: float | None = None) -> None:
        """One step down the gradient of `loss`, which is shortened to `largest_norm`."""
        slopes = torch.autograd.grad(loss, self._weights, materialize_grads=True)
        if largest_norm is not None:
            for weight, slope in zip(self._weights, slopes, strict=True):
                weight.grad = slope
            nn.utils.clip_grad_norm_(self._weights, largest_norm)
        torch.cat([slope.reshape(-1) for slope in slopes], out=self._slope)
        self.step()

    @torch.no_grad()
    def step(self) -> None:
        """One step down `slopes`, a view for each weight."""
        self.steps += 1
        rate = self.rate / (1 - _MEAN_KEPT**self.steps)
        spread = (1 - _SQUARE_KEPT**self.steps) ** 0.5
        slope = self._slope
        self.mean.lerp_(slope, 1 - _MEAN_KEPT)
        self.square.mul_(_SQUARE_KEPT).addcmul_(slope, slope, value=1 - _SQUARE_KEPT)
        root = torch.sqrt(self.square, out=self._root).div_(spread).add_(_FLOOR)
        self.vector.addcdiv_(self.mean, root, value=-rate)


@torch.no_grad()
def one_vector(weights: Iterable[nn.Parameter]) -> Tensor:
    """The weights one after the other (n,); each becomes a view of its part."""
    weights = list(weights)
    vector = torch.cat([weight.detach().flatten() for weight in weights])
    for weight, part in zip(weights, _parts(vector, weights), strict=True):
        weight.data = part
    return vector


def _parts(vector: Tensor, weights: list[nn.Parameter]) -> list[Tensor]:
    """Views of a vector (n,), of the shapes of the weights, in their order."""
    views, begin = [], 0
    for weight in weights:
        views.append(vector[begin : begin + weight.numel()].view(weight.shape))
        begin += weight.numel()
    return views
