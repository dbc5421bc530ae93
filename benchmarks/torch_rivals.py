"""The corrections in eager PyTorch, as one would write them first, and to the same certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

torch.set_num_threads(1)

ARMIJO = 1e-4
HALVINGS = 40
RIDGE = 1e-10
ROUND_OFF = 1e-15


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """z (n,), its cost, the Frank-Wolfe gap and the number of Newton steps."""

    z: Tensor
    cost: float
    gap: float
    iterations: int


def descend(
    cost: Callable[[Tensor], Tensor],
    start: Tensor,
    low: Tensor,
    high: Tensor,
    *,
    steps: int,
    rate: float,
) -> Tensor:
    """Projected gradient descent with autograd at every step; z of any shape."""
    z = start.detach()
    for _ in range(steps):
        z.requires_grad_()
        (slope,) = torch.autograd.grad(cost(z), z)
        z = torch.clamp((z - rate * slope).detach(), low, high)
    return z


def projected_newton(
    cost: Callable[[Tensor], Tensor],
    start: Tensor,
    low: Tensor,
    high: Tensor,
    *,
    gap: Callable[[float], float],
    iterations: int = 100,
) -> Solved:
    """Minimise a convex cost of z (n,) over a box by projected Newton, all slopes by autograd.

    gap: the gap to reach at a cost. The same algorithm as `models.baselines.kernels.minimise`
    (Bertsekas 1982, doi:10.1137/0320018): bounds that the gradient pushes against are held, the
    step is searched along the projection.
    """
    z = torch.clamp(start, low, high)
    value, slope, bend = _expanded(cost, z)
    for count in range(iterations):
        reach = torch.maximum(slope * (z - low), slope * (z - high)).sum().item()
        if reach <= gap(value):
            return Solved(z=z, cost=value, gap=reach, iterations=count)
        held = ((z <= low) & (slope >= 0)) | ((z >= high) & (slope <= 0))
        stepped = _searched(cost, z, value, slope, _newton(slope, bend, held), low, high)
        if stepped is None:
            stepped = _searched(cost, z, value, slope, -slope, low, high)
        if stepped is None:
            break
        z = stepped
        value, slope, bend = _expanded(cost, z)
    reach = torch.maximum(slope * (z - low), slope * (z - high)).sum().item()
    return Solved(z=z, cost=value, gap=reach, iterations=iterations)


def _expanded(cost: Callable[[Tensor], Tensor], z: Tensor) -> tuple[float, Tensor, Tensor]:
    """Cost, gradient (n,) and Hessian (n, n) by autograd."""
    at = z.detach().requires_grad_()
    value = cost(at)
    (slope,) = torch.autograd.grad(value, at, create_graph=True)
    rows = [torch.autograd.grad(part, at, retain_graph=True)[0] for part in slope]
    return value.item(), slope.detach(), torch.stack(rows)


def _newton(slope: Tensor, bend: Tensor, held: Tensor) -> Tensor:
    free = ~held
    ridge = RIDGE * (1.0 + bend.diagonal().sum())
    system = bend[free][:, free] + ridge * torch.eye(int(free.sum()), dtype=bend.dtype)
    direction = torch.zeros_like(slope)
    direction[free] = torch.linalg.solve(system, -slope[free])
    return direction


def _searched(  # noqa: PLR0917
    cost: Callable[[Tensor], Tensor],
    z: Tensor,
    value: float,
    slope: Tensor,
    direction: Tensor,
    low: Tensor,
    high: Tensor,
) -> Tensor | None:
    """The first trial along the projection that descends enough; None where none does."""
    size = 1.0
    with torch.no_grad():
        for _ in range(HALVINGS):
            trial = torch.clamp(z + size * direction, low, high)
            gained = (slope @ (trial - z)).item()
            enough = value + ARMIJO * gained + ROUND_OFF * (1.0 + abs(value))
            if gained < 0.0 and cost(trial).item() <= enough:
                return trial
            size *= 0.5
    return None
