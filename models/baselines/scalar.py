"""The scalar PICNN c(s, a) in NumPy and compiled kernels: the correction of arXiv 2507.22640.

Two ways to use the cost: `descend`, truncated projected gradient descent from the policy's
action, as published, and `minimise`, projected Newton to a certificate. The first stops where
its steps run out, the second where nothing is left to gain: they are different controllers.
No torch here; `models.learning.scalar_picnn.ScalarPicnn` is the same network for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.baselines import kernels
from models.bundle import BundleError
from models.online.forward import mlp_from, silu, softplus, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]


# The curvature factor of an untrained quadratic part is softplus of this.
CURVATURE_SHIFT = 4.0


class Collapsed(NamedTuple):
    """The cost of an action at one state; the parts of `models.baselines.kernels`, in its order."""

    inputs: F64
    offsets: F64
    mixes: F64
    last_z: F64
    last: F64
    centre: F64
    quadratic: F64

    @property
    def parts(self) -> kernels.Parts:
        """As a plain tuple, which is what the kernels are compiled for."""
        return (*self,)

    def rescaled(self, unit: F64) -> Collapsed:
        """The same cost of an action in other units: c'(a) = c(unit * a), unit (n_mv,) > 0."""
        n = unit.size
        return self._replace(
            inputs=self.inputs * unit,
            last=np.append(self.last[:n] * unit, self.last[n]),
            centre=self.centre / unit,
            quadratic=self.quadratic * np.outer(unit, unit),
        )

    def cost(self, action: F64) -> float:
        """c(a)."""
        return float(kernels.evaluate(self.parts, action)[0])

    def gradient(self, action: F64) -> F64:
        """dc/da (n_mv,)."""
        slope: F64 = kernels.evaluate(self.parts, action)[1]
        return slope

    def curvature(self, action: F64) -> F64:
        """Hessian (n_mv, n_mv), positive semidefinite."""
        bend: F64 = kernels.evaluate(self.parts, action)[2]
        return bend


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """An action (n_mv,) of the box and its certificate: cost - min <= gap (NaN: none)."""

    action: F64
    cost: float
    gap: float
    iterations: int


class ScalarModel:
    """The network c(s, a) >= 0, convex in a for every s."""

    def __init__(
        self,
        tensors: Mapping[str, F64],
        prefix: str,
        *,
        layers: int,
        n_features: int,
        n_mv: int,
        n_cv: int = 0,
    ) -> None:
        """Collect `<prefix>.*`; raise BundleError where a tensor is missing or misshapen.

        With `n_cv` there is a quadratic part too, `<prefix>.bowl`; see `models.baselines.held`.
        """
        width = take(tensors, f"{prefix}.z.1").shape[-1]
        states, outs = [n_features] + [width] * layers, [width] * layers + [1]
        self._layers, self._n_mv = layers, n_mv

        def dense(name: str, index: int, n_out: int, n_in: int) -> tuple[F64, F64]:
            at = f"{prefix}.{name}.{index}"
            return take(tensors, f"{at}.weight", (n_out, n_in)), take(
                tensors, f"{at}.bias", (n_out,)
            )

        self._state = [dense("state", i, width, states[i]) for i in range(layers)]
        self._a_gate = [dense("a_gate", i, n_mv, states[i]) for i in range(layers + 1)]
        self._u_path = [dense("u_path", i, outs[i], states[i]) for i in range(layers + 1)]
        self._z_gate = [dense("z_gate", i, width, states[i + 1]) for i in range(layers)]
        self._a_path = [
            take(tensors, f"{prefix}.a_path.{i}.weight", (outs[i], n_mv)) for i in range(layers + 1)
        ]
        self._z = [
            take(tensors, f"{prefix}.z.{i + 1}", (outs[i + 1], width)) for i in range(layers)
        ]
        if any(np.any(weight < 0.0) for weight in self._z):
            raise BundleError(f"{prefix}.z: a negative weight on a convex path; train again")
        n_out = n_mv * (n_cv + 1) + n_mv * (n_mv + 1) // 2
        self._bowl = (
            mlp_from(tensors, f"{prefix}.bowl", layers=layers, n_in=n_features, n_out=n_out)
            if n_cv
            else None
        )

    def at(self, features: F64, error: F64 | None = None) -> Collapsed:
        """Everything that depends on the state, for scaled features (n_features,).

        error: (n_cv,) scaled control error, which the quadratic part needs.
        """
        u = features
        inputs, offsets, mixes = [], [], []
        for i in range(self._layers + 1):
            gate, offset = _affine(self._a_gate[i], u), _affine(self._u_path[i], u)
            inputs.append(self._a_path[i] * gate)
            offsets.append(offset)
            if i > 0:
                mixes.append(self._z[i - 1] * np.maximum(_affine(self._z_gate[i - 1], u), 0.0))
            if i < self._layers:
                u = silu(_affine(self._state[i], u))
        width = len(offsets[0])
        centre, quadratic = self._quadratic(features, error)
        return Collapsed(
            inputs=np.array(inputs[:-1]),
            offsets=np.array(offsets[:-1]),
            mixes=np.array(mixes[:-1]).reshape(-1, width, width),
            last_z=mixes[-1][0],
            last=np.append(inputs[-1][0], offsets[-1]),
            centre=centre,
            quadratic=quadratic,
        )

    def _quadratic(self, features: F64, error: F64 | None) -> tuple[F64, F64]:
        """Centre (n_mv,) and matrix Q = L'L (n_mv, n_mv) of the quadratic part; 0 without one."""
        n = self._n_mv
        if self._bowl is None or error is None:
            return np.zeros(n), np.zeros((n, n))
        out, k = self._bowl(features), n * error.size
        centre: F64 = out[:k].reshape(n, error.size) @ error + out[k : k + n]
        lower = np.zeros((n, n))
        lower[np.tril_indices(n)] = out[k + n :]
        diagonal = np.arange(n)
        lower[diagonal, diagonal] = softplus(lower[diagonal, diagonal] + CURVATURE_SHIFT)
        return centre, lower.T @ lower


def descend(cost: Collapsed, action: F64, box: tuple[F64, F64], *, steps: int, rate: float) -> F64:
    """Truncated projected gradient descent from an action (n_mv,) of the box, as published.

    In the box of `trust_box(action, radius)` this is `ScalarPicnn.correct`.
    """
    corrected: F64 = kernels.descend(cost.parts, action, *box, steps, rate)
    return corrected


def minimise(
    cost: Collapsed,
    start: F64,
    low: F64,
    high: F64,
    *,
    gap_absolute: float,
    gap_relative: float,
    max_iterations: int,
) -> Minimum:
    """Minimise over the box [low, high] (n_mv,); the caller judges the gap."""
    found = kernels.minimise(
        cost.parts, start, low, high, gap_absolute, gap_relative, max_iterations
    )
    return Minimum(action=found[0], cost=found[1], gap=found[2], iterations=found[3])


def trust_box(
    action: F64, radius: float | None, low: F64 | float = -1.0, high: F64 | float = 1.0
) -> tuple[F64, F64]:
    """Box (n_mv,), (n_mv,) of [low, high] within `radius` (None: any) of an action."""
    reach = np.inf if radius is None else radius
    return np.clip(action - reach, low, high), np.clip(action + reach, low, high)


def _affine(layer: tuple[F64, F64], u: F64) -> F64:
    out: F64 = layer[0] @ u + layer[1]
    return out
