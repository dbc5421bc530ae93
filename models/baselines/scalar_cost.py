"""The scalar PICNN's cost of an action at one state, and the two ways down it.

`descend`, truncated projected gradient descent from the policy's action, as arXiv 2507.22640
publishes it, and `minimise`, projected Newton to a certificate. The first stops where its steps run
out, the second where nothing is left to gain: they are different controllers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.kernels import scalar_network, scalar_search
from models.online.box_problem import Flaw, Unsolved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]


class Collapsed(NamedTuple):
    """The cost of an action at one state: `Parts` of `models.kernels.scalar_network`, in order."""

    inputs: F64
    offsets: F64
    gates: F64
    mixes: F64
    turned: F64
    last_z: F64
    last: F64
    centre: F64
    quadratic: F64

    @property
    def parts(self) -> scalar_network.Parts:
        """As a plain tuple, which is what the kernels are compiled for."""
        return (*self,)

    def rescaled(self, unit: F64) -> Collapsed:
        """The same cost of an action in other units: c'(a) = c(unit * a), unit (n_mv,) > 0."""
        n = unit.size
        return self._replace(
            inputs=self.inputs * unit[:, None],
            last=np.append(self.last[:n] * unit, self.last[n]),
            centre=self.centre / unit,
            quadratic=self.quadratic * np.outer(unit, unit),
        )

    def cost(self, action: F64) -> float:
        """c(a)."""
        return self._evaluate(action)[0]

    def gradient(self, action: F64) -> F64:
        """dc/da (n_mv,)."""
        return self._evaluate(action)[1]

    def curvature(self, action: F64) -> F64:
        """Hessian (n_mv, n_mv), positive semidefinite."""
        return self._evaluate(action)[2]

    def _evaluate(self, action: F64) -> tuple[float, F64, F64]:
        gradient, hessian = np.empty(action.size), np.empty((action.size, action.size))
        cost = scalar_network.evaluate(self.parts, action, gradient, hessian)
        return cost, gradient, hessian


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """An action (n_mv,) of the box and what is known of it: cost - min <= gap."""

    action: F64
    cost: float
    gap: float
    iterations: int


def descend(
    cost: Collapsed, action: F64, box: tuple[F64, F64], *, steps: int, rate: float
) -> Minimum | Unsolved:
    """Truncated projected gradient descent from an action (n_mv,) of the box, as published.

    In the box of `trust_box(action, radius)` this is `ScalarPicnn.correct`. Its end has the gap it
    happens to have: the published correction promises none.
    """
    a, found = np.array(action, dtype=np.float64), np.empty(3)
    code = scalar_search.descend(cost.parts, a, *box, steps, rate, found)
    return answer(code, a, found)


def minimise(
    cost: Collapsed,
    start: F64,
    low: F64,
    high: F64,
    *,
    gap_absolute: float,
    gap_relative: float,
    max_iterations: int,
) -> Minimum | Unsolved:
    """Minimise over the box [low, high] (n_mv,) to gap <= gap_absolute + gap_relative |cost|.

    At most `max_iterations` steps, whatever the input; without a certificate there is no answer.
    """
    a, found = np.array(start, dtype=np.float64), np.empty(3)
    code = scalar_search.minimise(
        cost.parts, a, low, high, (gap_absolute, gap_relative), max_iterations, found
    )
    return answer(code, a, found)


# In the order of the codes of `models.kernels.scalar_search`.
_FLAWS = (
    None,
    Flaw.NON_FINITE,
    Flaw.EMPTY_BOX,
    Flaw.UNBOUNDED,
    Flaw.NOT_CONVEX,
    Flaw.NOT_CERTIFIED,
)


def answer(code: int, action: F64, found: F64) -> Minimum | Unsolved:
    """What a kernel's code and `found` (3,) say of its action (n_mv,)."""
    flaw = _FLAWS[code]
    cost, gap, steps = found.tolist()
    iterations = 0 if math.isnan(steps) else int(steps)
    if flaw is not None:
        return Unsolved(flaw=flaw, cost=cost, gap=gap, iterations=iterations)
    return Minimum(action=action, cost=cost, gap=gap, iterations=iterations)


def trust_box(
    action: F64, radius: float | None, low: F64 | float = -1.0, high: F64 | float = 1.0
) -> tuple[F64, F64]:
    """Box (n_mv,), (n_mv,) of [low, high] within `radius` (None: any) of an action."""
    reach = np.inf if radius is None else radius
    return np.clip(action - reach, low, high), np.clip(action + reach, low, high)
