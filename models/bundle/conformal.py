"""Where the model may be believed: error bands and novelty, calibrated on held-out episodes.

Split conformal prediction (Vovk, Gammerman & Shafer 2005; Lei et al. 2018, arXiv 1604.04173) over
whole episodes: scans of one episode resemble each other, episodes are exchangeable. An episode
counts with one score, and of n held-out scores the ceil((n + 1) level)-th smallest holds for a
further episode with probability `level` at least, whatever the model and the distribution. That
is said of episodes as the data have them: another controller, or a plant that differs from the
data, is just what novelty and bands are to show.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.online.prediction import Memory
    from models.online.sequence import SequenceModel

    F64 = NDArray[np.float64]

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Level = Annotated[float, Field(gt=0, lt=1)]


class Conformal(BaseModel):
    """The section `conformal` of a manifest.

    `episodes`: numbers of the held-out episodes in the dataset. `bands`: (n_blocks, n_cv)
    [CV units]: in a further episode at least the share `within` of the predictions to the end of
    a block miss by at most this, with probability `level`. The distance of a state from the
    data is min over c of |W (x - c)|: x the features of the cost, W `ood_whitening` (n, n), c
    one of the `ood_centres` (k, n), states of the data. `ood_threshold`: the largest distance of
    a further episode stays below it with probability `ood_level`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    episodes: Annotated[list[int], Field(min_length=1)]
    level: Level
    within: Level
    bands: list[list[Positive]]
    ood_level: Level
    ood_centres: Annotated[list[list[Number]], Field(min_length=1)]
    ood_whitening: list[list[Number]]
    ood_threshold: Positive

    def lengths(self, n_blocks: int, n_cv: int, n_features: int) -> dict[str, tuple[int, int]]:
        """Entries that each list has and needs, by key."""
        found = {
            "conformal.bands": (len(self.bands), n_blocks),
            "conformal.ood_whitening": (len(self.ood_whitening), n_features),
        }
        found |= {f"conformal.bands[{i}]": (len(r), n_cv) for i, r in enumerate(self.bands)}
        found |= {
            f"conformal.ood_centres[{i}]": (len(row), n_features)
            for i, row in enumerate(self.ood_centres)
        }
        return found | {
            f"conformal.ood_whitening[{i}]": (len(row), n_features)
            for i, row in enumerate(self.ood_whitening)
        }


def finite_sample_quantile(scores: F64, level: float) -> float:
    """The ceil((n + 1) level)-th smallest of n scores; infinite where n is too small for it."""
    rank = math.ceil(round((len(scores) + 1) * level, 9))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def episodes_needed(level: float) -> int:
    """The least number of scores that makes `finite_sample_quantile` finite."""
    return math.ceil(round(level / (1.0 - level), 9))


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
        base = slice(len(memory.past_cv) - memory.filled, len(memory.past_cv) - self._length)
        total = np.cumsum(memory.past_mv[base.start :], axis=0)
        moved = (total[self._length :] - total[:count]) / self._length - memory.past_mv[base]
        gains = (self._shared * memory.past_factors[base, :, 0]).mean(axis=1)
        change = memory.past_free[base, 0] + (gains @ (moved / self._half)[..., None])[..., 0]
        miss = memory.past_cv[base.start + self._length :] - memory.past_cv[base] - change
        return float(np.mean(np.any(np.abs(miss) > self._band, axis=1)))
