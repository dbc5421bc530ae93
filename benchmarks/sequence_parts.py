"""The constants of a bundle's sequence cost, as PyTorch and ONNX Runtime take them.

Straight from the manifest and the formula at the head of `models.online.sequence`; nothing of our
own kernels is in it, so that a mistake there shows as a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from models.bundle import horizon_ends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.bundle import Manifest

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceParts:
    """What does not depend on the state; h: blocks, c: CVs, u: MVs, n = h u.

    tensors: weights `cost.<member>.net.*`. shared: of each member (h, c, h, u) [CV units]. scale:
    (h c,). lasting: (h, c, c). weight: (h c,) of a squared error. fixed: (n, n) curvature of moves
    and proximal term. capped: rows of h c with a ceiling; ceiling: (len(capped),).
    """

    tensors: Mapping[str, F64]
    members: int
    layers: int
    n_features: int
    n_blocks: int
    n_cv: int
    n_mv: int
    shared: tuple[F64, ...]
    scale: F64
    lasting: F64
    weight: F64
    fixed: F64
    proximal: float
    capped: NDArray[np.int_]
    ceiling: F64
    penalty: float

    @classmethod
    def of(cls, manifest: Manifest, tensors: Mapping[str, F64]) -> Self:
        """From a bundle."""
        cost, cvs = manifest.cost, manifest.cvs
        n_blocks, n_cv, n_mv = len(cost.blocks), len(cvs), len(manifest.mvs)
        scale = np.array([cv.scale for cv in cvs])
        tops = [np.inf if cv.safe_high is None else cv.safe_high for cv in cvs]
        near = n_blocks if cost.ceiling_blocks is None else cost.ceiling_blocks
        tall = np.array([tops if block < near else [np.inf] * n_cv for block in range(n_blocks)])
        counted = [
            sum(cost.disturbance_keep**k for k in range(end)) for end in horizon_ends(cost.blocks)
        ]
        steps = np.eye(n_blocks) - np.eye(n_blocks, k=-1)
        fixed = 2.0 * cost.move_penalty * np.kron(steps.T @ steps, np.eye(n_mv))
        fixed[np.arange(n_mv), np.arange(n_mv)] += cost.proximal
        return cls(
            tensors=tensors,
            members=cost.members,
            layers=cost.layers,
            n_features=len(cost.features),
            n_blocks=n_blocks,
            n_cv=n_cv,
            n_mv=n_mv,
            shared=tuple(
                tensors[f"cost.{m}.gains"] * scale[:, None, None] for m in range(cost.members)
            ),
            scale=np.tile(scale, n_blocks),
            lasting=np.array(counted)[:, None, None] * (scale[:, None] / scale),
            weight=np.outer(cost.horizon_weights, [cv.weight for cv in cvs]).ravel(),
            fixed=np.asarray(fixed, dtype=np.float64),
            proximal=cost.proximal,
            capped=np.flatnonzero(np.isfinite(tall.ravel())),
            ceiling=tall.ravel()[np.isfinite(tall.ravel())],
            penalty=cost.ceiling_penalty,
        )

    @property
    def cuts(self) -> tuple[int, int, int]:
        """Ends of the parts of a network's output: free change, factors, rates."""
        rows = self.n_blocks * self.n_cv
        return rows, rows * (1 + self.n_mv), rows * (1 + self.n_mv + self.n_cv)
