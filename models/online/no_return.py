"""How long the moves in force may be held before a ceiling can no longer be kept, by the model.

For every block k: nothing moves before it, and from it on every MV goes as fast and as far against
a CV as its limits let it.  The prediction is linear in the moves, so the least value of each CV at
each block end is the sum of the least value of each move's part, in closed form: with g the gain
and [l, h] the box of a move, min(g l, g h).  The point of no return is the first k from which on
some CV is above its ceiling all the same.  Several CVs are judged each by itself, as no ceiling
is given up for another.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.online.advice import AdviceRequest
    from models.online.sequence import SequenceModel

    F64 = NDArray[np.float64]


class NoReturn:
    """The ceilings and blocks of one bundle."""

    def __init__(self, manifest: Manifest, model: SequenceModel) -> None:
        ceilings = [math.inf if cv.safe_high is None else cv.safe_high for cv in manifest.cvs]
        self._capped = np.flatnonzero(np.isfinite(ceilings))
        self._ceiling = np.tile(np.array(ceilings)[self._capped], len(model.starts))[:, None]
        self._half = np.array([(mv.high - mv.low) / 2.0 for mv in manifest.mvs])
        self._starts_s = (model.starts * manifest.sample_time_s).tolist()
        # Moves that are allowed by block j (column) where the first is made in block k (row).
        starts = model.starts.astype(np.float64)
        self._moves = np.maximum(starts[None, :] - starts[:, None] + 1.0, 0.0)[:, :, None]

    def time_s(self, request: AdviceRequest, *, held: F64, gains: F64) -> float:
        """Plant time for which the moves in force may be held [s]; inf: the whole horizon.

        held: (n_blocks, n_cv) predicted CVs if nothing moves [CV units].  gains: (n_blocks, n_cv,
        n_blocks, n_mv) change per scaled move.  NaN where no CV has a ceiling.  0: to hold on for
        one block loses it.  The answer is the start of the last block from which it can be kept.
        """
        if not self._capped.size:
            return math.nan
        lost = np.flatnonzero(self._lost(request, held, gains))
        if not lost.size:
            return math.inf
        return float(self._starts_s[max(int(lost[0]) - 1, 0)])

    def _lost(self, request: AdviceRequest, held: F64, gains: F64) -> NDArray[np.bool_]:
        """Per block (n_blocks,): a ceiling is broken although the recovery begins there."""
        mv = request.sample.mv
        down = np.minimum(request.low - mv, 0.0) / self._half
        up = np.maximum(request.high - mv, 0.0) / self._half
        furthest_down = np.minimum(request.range_low - mv, 0.0) / self._half
        furthest_up = np.maximum(request.range_high - mv, 0.0) / self._half
        n = len(self._moves)
        low = np.maximum(down * self._moves, furthest_down).reshape(n, -1)
        high = np.minimum(up * self._moves, furthest_up).reshape(n, -1)
        rows = gains[:, self._capped].reshape(-1, low.shape[1])
        least = np.maximum(rows, 0.0) @ low.T + np.minimum(rows, 0.0) @ high.T
        reached = held[:, self._capped].reshape(-1, 1) + least
        broken: NDArray[np.bool_] = (reached > self._ceiling).any(axis=0)
        return broken
