"""Forward and backward pass of an `Mlp` by hand, on buffers that are used again and again.

The operations are those of autograd in their order, so the bits are the same; but there is no
graph to build, no slope is copied to where it is summed, and what a pass keeps for its way back
stays in the processor's cache, because the next network writes it to the same place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from models.learning.networks import Mlp
    from models.learning.optimizer import Adam

silu_backward = torch.ops.aten.silu_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.default


class Scratch:
    """Buffers (batch, width) of one pass, shared by networks that take turns."""

    def __init__(self, net: Mlp, batch: int) -> None:
        widths = [layer.out_features for layer in net.linears[:-1]]
        like = net.last.weight
        empty = [like.new_empty(batch, width) for width in (*widths, *widths, *widths)]
        count = len(widths)
        self.before, self.after, self.slopes = (
            empty[i * count : (i + 1) * count] for i in range(3)
        )


class Passes:
    """Passes through one network; `adam` owns its weights where it is learned."""

    def __init__(self, net: Mlp, scratch: Scratch, adam: Adam | None = None) -> None:
        layers = [(layer.weight.detach(), layer.bias.detach()) for layer in net.linears]
        self._weights = [(weight, weight.t(), bias) for weight, bias in layers]
        self._scratch, self._adam = scratch, adam
        slopes = [] if adam is None else adam.slopes
        self._slopes = list(zip(slopes[::2], slopes[1::2], strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Output (batch, n_out) for x (batch, n_in); no graph."""
        *hidden, (_, last, offset) = self._weights
        for (_, weight, bias), before, after in zip(
            hidden, self._scratch.before, self._scratch.after, strict=True
        ):
            torch.addmm(bias, x, weight, out=before)
            x = torch.ops.aten.silu.out(before, out=after)
        return torch.addmm(offset, x, last)

    def descend(self, x: Tensor, slope: Tensor) -> None:
        """One step of Adam for the slope (batch, n_out) of a loss in the output.

        The last forward pass through the scratch must have been this network's, of the same x.
        """
        if self._adam is None:
            raise ValueError("this network is not learned")
        scratch = self._scratch
        inputs = [x, *scratch.after]
        for i in reversed(range(len(self._weights))):
            into_weight, into_bias = self._slopes[i]
            torch.mm(slope.t(), inputs[i], out=into_weight)
            torch.sum(slope, 0, out=into_bias)
            if i > 0:
                slope = torch.mm(slope, self._weights[i][0], out=scratch.slopes[i - 1])
                silu_backward(slope, scratch.before[i - 1], grad_input=slope)
        self._adam.step()
