"""How long the moves in force may be held before a ceiling can no longer be kept, by the model.

For every block k: nothing is written before it, and from it on every MV goes as fast and as far
against a CV as it is known to be able to.  What is assumed of an MV on its way:

- before it, Actual may go on to the target in force, where that is worse.  The target is the middle
  of this scan's box, or, where limits cut the box, the value nearest to Actual that it may be;
- its first move ends at the side of the box, which is `max_move` from the target in force, wherever
  Actual has got to; every later one is half the box's width, so an MV that lags behind its target
  does not count the distance again each time.  A box cut by limits is narrower: slower;
- every move is in force a sample after it is written, and never sooner.  An actuator with a
  first-order lag of T follows a ramp T behind, so that covers every lag up to the sample time;
- it ends at the limits of its range; one that is not ours to move stays.

The prediction is linear in the moves, so the least value of each CV at each block end is the sum
of the least value of each move's part, in closed form: with g the gain and [l, h] the way of an MV
by then, min(g l, g h).  As a gain keeps its sign, that is one and the same way at every block end.
The point of no return is the first k from which on some CV is above its ceiling all the same.

The answer is rounded down to the start of a block.  It is an upper bound nevertheless where an
actuator is slower than that, where the model is wrong, beyond the horizon, where the judgement
ends, and where CVs with ceilings ask for opposite moves: each is judged by itself.
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
        # Samples from the first move, in block k (row), to the start of block j (column): as many
        # moves are in force there, as each is a sample after it is written.
        passed = model.starts[None, :] - model.starts[:, None]
        self._begun = (passed > 0)[:, :, None]
        self._later = np.maximum(passed - 1.0, 0.0)[:, :, None]

    def time_s(self, request: AdviceRequest, *, held: F64, gains: F64) -> float:
        """Plant time for which the moves in force may be held [s]; inf: the whole horizon.

        held: (n_blocks, n_cv) predicted CVs if nothing moves [CV units].  gains: (n_blocks, n_cv,
        n_blocks, n_mv) change per scaled move.  NaN where no CV has a ceiling.  0: to hold on for
        one block loses it, or it is lost already.  inf: no ceiling is broken within the horizon
        if nothing is written.  Otherwise the start of the last block from which it can be kept.
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
        low, high = (request.low - mv) / self._half, (request.high - mv) / self._half
        least = (request.range_low - mv) / self._half
        most = (request.range_high - mv) / self._half
        middle, step = (low + high) / 2.0, (high - low) / 2.0
        under = np.where(low <= least, low, middle)
        above = np.where(high >= most, high, middle)
        target = np.minimum(np.maximum(0.0, under), above)
        down = np.maximum(low - step * self._later, least)
        up = np.minimum(high + step * self._later, most)
        n = len(self._later)
        down = np.where(self._begun, down, np.maximum(target, 0.0)).reshape(n, -1)
        up = np.where(self._begun, up, np.minimum(target, 0.0)).reshape(n, -1)
        rows = gains[:, self._capped].reshape(-1, down.shape[1])
        change = np.maximum(rows, 0.0) @ down.T + np.minimum(rows, 0.0) @ up.T
        reached = held[:, self._capped].reshape(-1, 1) + change
        broken: NDArray[np.bool_] = (reached > self._ceiling).any(axis=0)
        return broken
