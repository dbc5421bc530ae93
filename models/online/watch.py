"""How far a scan is from the data, and how often the model has missed of late.

Distances and bands are those of the bundle's section `conformal`; see `models.bundle.conformal`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.online.prediction import Memory
    from models.online.sequence import SequenceModel

    F64 = NDArray[np.float64]


class ConformalWatch:
    """Novelty and recent misses of a scan; NaN for a bundle without the section."""

    def __init__(self, manifest: Manifest, model: SequenceModel) -> None:
        self._section = manifest.conformal
        self._shared = model.shared[:, 0, :, 0, :]
        self._length = manifest.cost.blocks[0]
        self._half = np.array([(mv.high - mv.low) / 2.0 for mv in manifest.mvs])
        if self._section is not None:
            self._band = np.array(self._section.bands[0])
            self._whitening = np.array(self._section.ood_whitening) / self._section.ood_threshold
            self._centres = np.array(self._section.ood_centres) @ self._whitening.T

    def novelty(self, features: F64) -> float:
        """Distance of scaled features (n,) from the data over its threshold; > 1: unlike them."""
        if self._section is None:
            return math.nan
        apart = self._centres - self._whitening @ features
        return math.sqrt(float(np.min(np.einsum("kn,kn->k", apart, apart))))

    def outside_bands(self, memory: Memory) -> float:
        """Share of the remembered one-block predictions with a CV outside its band.

        Predictions are compared as the bands were made: without the bias learned on line. NaN
        before the first that can be judged.
        """
        count = memory.filled - self._length
        if self._section is None or count <= 0:
            return math.nan
        first = len(memory.past_cv) - memory.filled
        base = slice(first, len(memory.past_cv) - self._length)
        total = memory.past_mv[first:].cumsum(axis=0)
        mean = (total[self._length :] - total[:count]) / self._length
        moved = (mean - memory.past_mv[base]) / self._half
        factors = memory.past_factors[base, :, 0]
        gains = (self._shared * factors).sum(axis=1) / factors.shape[1]
        change = memory.past_free[base, 0] + (gains @ moved[..., None])[..., 0]
        miss = memory.past_cv[first + self._length :] - memory.past_cv[base] - change
        return float((np.abs(miss) > self._band).any(axis=1).sum()) / count
