"""The sequence PICNN at run time: everything that depends on the state, collapsed once a scan.

    c(s, U) = sum_h w_h || e - E_h(s) - b_h - B_h(s) U ||^2_W
              + k sum_{h near} max(0, y_h(s, U) - ceiling)^2 + lambda || D U ||^2
              + rho / 2 || U_0 - pi(s) ||^2

U holds the moves of all blocks as scaled deviations from the moves in force; E_h is the
predicted change of the CVs if nothing is moved, with the effect of the disturbance that the
tracker has estimated; B_h the shared gains times a positive factor of the state for every
horizon and pair, b_h the bias learned from past errors, D the difference between blocks.
For a given s this is a convex piecewise quadratic in U by construction (partially input
convex, Amos et al. 2017, arXiv 1609.07152).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.bundle import BundleError, horizon_ends
from models.online.box_problem import BoxProblem
from models.online.forward import mlp_from, softplus, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.bundle import Manifest

    F64 = NDArray[np.float64]

# softplus(FACTOR_SHIFT) = 1: an untrained factor is one.
FACTOR_SHIFT = float(np.log(np.e - 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The model at one state, in CV units.

    free: (n_blocks, n_cv) predicted change at each block end if nothing moves.
    factors: (members, n_blocks, n_cv, n_mv) positive. gains: (n_blocks, n_cv, n_blocks, n_mv)
    change per scaled move, mean of the members. disturbed: (n_blocks, n_cv, n_cv) change per
    unmeasured disturbance of the CVs' rates [CV unit a sample], vanishing as the manifest says.
    """

    free: F64
    factors: F64
    gains: F64
    disturbed: F64

    def under(self, disturbance: F64) -> Response:
        """The response with a disturbance (n_cv,) [CV unit a sample] in its free part."""
        return Response(
            free=self.free + self.disturbed @ disturbance,
            factors=self.factors,
            gains=self.gains,
            disturbed=self.disturbed,
        )


class SequenceModel:
    """The networks of the sequence PICNN and the constants of its cost."""

    def __init__(self, manifest: Manifest, tensors: Mapping[str, F64]) -> None:
        cost = manifest.cost
        self.n_blocks, self.n_cv, self.n_mv = len(cost.blocks), len(manifest.cvs), len(manifest.mvs)
        self.ends = np.array(horizon_ends(cost.blocks))
        self.starts = self.ends - np.array(cost.blocks)
        self.scale = np.array([cv.scale for cv in manifest.cvs])
        shape = (self.n_blocks, self.n_cv, self.n_blocks, self.n_mv)
        n_out = self.n_blocks * self.n_cv * (1 + self.n_mv + self.n_cv)
        self._nets = [
            mlp_from(
                tensors,
                f"cost.{m}.net",
                layers=cost.layers,
                n_in=len(cost.features),
                n_out=n_out,
            )
            for m in range(cost.members)
        ]
        shared = np.stack([take(tensors, f"cost.{m}.gains", shape) for m in range(cost.members)])
        check_gains(shared, np.array(cost.gain_signs))
        self.shared = shared * self.scale[:, None, None]
        self._lasting = lasting(self.ends, cost.disturbance_keep)[:, None, None] * (
            self.scale[:, None] / self.scale
        )
        self._horizon = np.array(cost.horizon_weights)
        self._weight = np.array([cv.weight for cv in manifest.cvs])
        self._ceiling = np.array(
            [np.inf if cv.safe_high is None else cv.safe_high for cv in manifest.cvs]
        )
        self._ceiling_penalty = cost.ceiling_penalty
        self._capped = np.zeros((self.n_blocks, self.n_cv), dtype=np.bool_)
        self._capped[: cost.ceiling_blocks] = np.isfinite(self._ceiling)
        self._proximal = cost.proximal
        self._movement = 2.0 * cost.move_penalty * _difference_square(self.n_blocks, self.n_mv)

    def response(self, features: F64) -> Response:
        """Networks at scaled features (n_features,)."""
        split = self.n_blocks * self.n_cv
        outs = [net(features) for net in self._nets]
        shape = (self.n_blocks, self.n_cv, self.n_mv)
        free = sum(out[:split] for out in outs) / len(outs)
        end = split * (1 + self.n_mv)
        factors = np.stack([softplus(out[split:end] + FACTOR_SHIFT).reshape(shape) for out in outs])
        rates = np.asarray(sum(out[end:] for out in outs)) / len(outs)
        gains = (self.shared * factors[:, :, :, None, :]).sum(axis=0) / len(outs)
        return Response(
            free=np.asarray(free).reshape(self.n_blocks, self.n_cv) * self.scale,
            factors=factors,
            gains=gains,
            disturbed=rates.reshape(self.n_blocks, self.n_cv, self.n_cv) * self._lasting,
        )

    def problem(
        self,
        response: Response,
        *,
        now: F64,
        error: F64,
        bias: F64,
        policy: F64,
        low: F64,
        high: F64,
    ) -> BoxProblem:
        """The box problem in z = U flattened (n_blocks * n_mv,).

        now, error: (n_cv,) estimate and SP - estimate [CV units]. bias: (n_blocks, n_cv).
        policy: (n_mv,) the policy's move as a scaled deviation. low, high: (n_blocks, n_mv).
        """
        n = self.n_blocks * self.n_mv
        rows = response.gains.reshape(self.n_blocks * self.n_cv, n)
        drift = response.free + bias
        weight = (self._horizon[:, None] * self._weight).ravel()
        miss = (error - drift).ravel()
        hessian = 2.0 * (rows.T * weight) @ rows + self._movement
        linear = -2.0 * (rows.T @ (weight * miss))
        first = np.arange(self.n_mv)
        hessian[first, first] += self._proximal
        linear[first] -= self._proximal * policy
        constant = float(weight @ (miss * miss)) + 0.5 * self._proximal * float(policy @ policy)
        capped = self._capped.ravel()
        excess = (now + drift - np.where(np.isfinite(self._ceiling), self._ceiling, 0.0)).ravel()
        return BoxProblem(
            hessian=hessian,
            linear=linear,
            constant=constant,
            ceiling_rows=rows[capped],
            ceiling_offset=excess[capped],
            ceiling_penalty=self._ceiling_penalty,
            low=low.ravel(),
            high=high.ravel(),
        )


def lasting(ends: NDArray[np.int_], keep: float) -> F64:
    """Samples (n_blocks,) for which a disturbance has counted at each block end, as it vanishes."""
    return np.asarray((1.0 - keep**ends) / (1.0 - keep), dtype=np.float64)


def check_gains(shared: F64, signs: NDArray[np.int_]) -> None:
    """Refuse gains that act backwards in time or against the process's signs.

    shared: (members, n_blocks, n_cv, n_blocks, n_mv). signs: (n_cv, n_mv).
    """
    n_blocks = shared.shape[1]
    early = np.triu(np.ones((n_blocks, n_blocks), dtype=bool), k=1)
    if np.any(np.moveaxis(shared, 3, 2)[:, early] != 0.0):
        raise BundleError("weights.safetensors: cost.*.gains: an effect stands before its cause")
    allowed = signs[:, None, :]
    if np.any(np.where(allowed == 0, shared != 0.0, shared * allowed < 0.0)):
        raise BundleError(
            "weights.safetensors: cost.*.gains: a sign differs from the manifest's gain_signs"
        )


def _difference_square(n_blocks: int, n_mv: int) -> F64:
    """D'D (n, n) for D U = (U_0, U_1 - U_0, ...), block-major."""
    step = np.eye(n_blocks) - np.eye(n_blocks, k=-1)
    return np.asarray(np.kron(step.T @ step, np.eye(n_mv)), dtype=np.float64)
