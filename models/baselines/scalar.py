"""The scalar PICNN c(s, a) in NumPy and compiled kernels: the correction of arXiv 2507.22640.

No torch here; `models.learning.scalar_picnn.ScalarPicnn` is the same network for training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.baselines.scalar_cost import Collapsed, Minimum, answer
from models.bundle import BundleError
from models.kernels import scalar_network, scalar_solve
from models.online.forward import mlp_from, softplus, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.online.box_problem import Unsolved

    F64 = NDArray[np.float64]


# The curvature factor of an untrained quadratic part is softplus of this.
CURVATURE_SHIFT = 4.0


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
        self._layers, self._width, self._n_mv = layers, width, n_mv

        def affine(name: str, index: int, n_out: int) -> F64:
            """Weights (n_in, n_out) over a row of biases: (n_in + 1, n_out)."""
            at = f"{prefix}.{name}.{index}"
            weight = take(tensors, f"{at}.weight", (n_out, states[index]))
            return np.vstack((weight.T, take(tensors, f"{at}.bias", (n_out,))))

        def of_layer(i: int) -> F64:
            """All that is affine in the input of layer i, side by side."""
            parts = [affine("a_gate", i, n_mv), affine("u_path", i, outs[i])]
            if i > 0:
                at = f"{prefix}.z_gate.{i - 1}"
                weight = take(tensors, f"{at}.weight", (width, states[i]))
                parts.append(np.vstack((weight.T, take(tensors, f"{at}.bias", (width,)))))
            if i < layers:
                parts.append(affine("state", i, width))
            return np.hstack(parts)

        blocks = [of_layer(i) for i in range(layers + 1)]
        a_path = [
            take(tensors, f"{prefix}.a_path.{i}.weight", (outs[i], n_mv)) for i in range(layers + 1)
        ]
        z = [take(tensors, f"{prefix}.z.{i + 1}", (outs[i + 1], width)) for i in range(layers)]
        if any(np.any(weight < 0.0) for weight in z):
            raise BundleError(f"{prefix}.z: a negative weight on a convex path; train again")
        # In the order of the kernels: packed, sizes, a_path, a_last, mixes, turned, z_last.
        self._model = (
            np.concatenate([block.ravel() for block in blocks]),
            np.array([(len(block) - 1, block.shape[1]) for block in blocks]),
            np.ascontiguousarray([path.T for path in a_path[:-1]]),
            a_path[-1][0].copy(),
            np.ascontiguousarray([path.T for path in z[:-1]]).reshape(-1, width, width),
            np.array(z[:-1], dtype=np.float64).reshape(-1, width, width),
            z[-1][0].copy(),
        )
        self._flat = np.zeros(n_mv), np.zeros((n_mv, n_mv))
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
        layers, width, n = self._layers, self._width, self._n_mv
        centre, quadratic = self._quadratic(features, error)
        collapsed = Collapsed(
            inputs=np.empty((layers, n, width)),
            offsets=np.empty((layers, width)),
            gates=np.empty((layers - 1, width)),
            mixes=self._model[4],
            turned=self._model[5],
            last_z=np.empty(width),
            last=np.empty(n + 1),
            centre=centre,
            quadratic=quadratic,
        )
        packed, sizes, a_path, a_last, _, _, z_last = self._model
        scalar_network.collapse(
            packed,
            sizes,
            a_path,
            a_last,
            z_last,
            np.ascontiguousarray(features, dtype=np.float64),
            collapsed.parts,
        )
        return collapsed

    def minimise(
        self,
        features: F64,
        start: F64,
        box: tuple[F64, F64],
        *,
        gap_absolute: float,
        gap_relative: float,
        max_iterations: int,
        error: F64 | None = None,
    ) -> Minimum | Unsolved:
        """`minimise` at a state, without the detour over its `Collapsed`; arguments as of `at`."""
        a, found = np.array(start, dtype=np.float64), np.empty(3)
        state = self._state(features, error)
        code = scalar_solve.solve(
            *self._model, *state, a, *box, gap_absolute, gap_relative, max_iterations, found
        )
        return answer(code, a, found)

    def descend(
        self,
        features: F64,
        action: F64,
        box: tuple[F64, F64],
        *,
        steps: int,
        rate: float,
        error: F64 | None = None,
    ) -> Minimum | Unsolved:
        """`descend` at a state, without the detour over its `Collapsed`; arguments as of `at`."""
        a, found = np.array(action, dtype=np.float64), np.empty(3)
        state = self._state(features, error)
        code = scalar_solve.follow(*self._model, *state, a, *box, steps, rate, found)
        return answer(code, a, found)

    def _state(self, features: F64, error: F64 | None) -> tuple[F64, F64, F64]:
        centre, quadratic = self._quadratic(features, error)
        return np.ascontiguousarray(features, dtype=np.float64), centre, quadratic

    def _quadratic(self, features: F64, error: F64 | None) -> tuple[F64, F64]:
        """Centre (n_mv,) and matrix Q = L'L (n_mv, n_mv) of the quadratic part; 0 without one."""
        n = self._n_mv
        if self._bowl is None or error is None:
            return self._flat
        out, k = self._bowl(features), n * error.size
        centre: F64 = out[:k].reshape(n, error.size) @ error + out[k : k + n]
        lower = np.zeros((n, n))
        lower[np.tril_indices(n)] = out[k + n :]
        diagonal = np.arange(n)
        lower[diagonal, diagonal] = softplus(lower[diagonal, diagonal] + CURVATURE_SHIFT)
        return centre, lower.T @ lower
