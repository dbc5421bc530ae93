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
from pydantic import Field

from models.bundle.fields import Finite, Frozen, Positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

Level = Annotated[float, Field(gt=0, lt=1)]


class Conformal(Frozen):
    """The section `conformal` of a manifest.

    `episodes`: numbers of the held-out episodes in the dataset. `bands`: (n_blocks, n_cv)
    [CV units]: in a further episode at least the share `within` of the predictions to the end of
    a block miss by at most this, with probability `level`. The distance of a state from the
    data is min over c of |W (x - c)|: x the features of the cost, W `ood_whitening` (n, n), c
    one of the `ood_centres` (k, n), states of the data. `ood_threshold`: the largest distance of
    a further episode stays below it with probability `ood_level`.
    """

    episodes: Annotated[list[int], Field(min_length=1)]
    level: Level
    within: Level
    bands: list[list[Positive]]
    ood_level: Level
    ood_centres: Annotated[list[list[Finite]], Field(min_length=1)]
    ood_whitening: list[list[Finite]]
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
