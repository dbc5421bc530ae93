"""Score: 0 is the median published PI, 100 the optimum with a perfect model, on the same starts.

Score of a cell = 100 (sum R - sum R_PI) / (sum R* - sum R_PI), sums over its starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

RESAMPLES = 2000
CONFIDENCE = 0.95


def lower_median(returns: F64) -> int:
    """Row of the controller whose summed return is the lower median; returns: (n, starts).

    An actual controller, not a mean of two; equal sums go to the first.
    """
    order = np.argsort(returns.sum(axis=1), kind="stable")
    return int(order[(len(order) - 1) // 2])


def score(returns: F64, pi: F64, optimum: F64) -> float | None:
    """Score of a cell; all (starts,). None where the optimum is not above the PI."""
    span = float(optimum.sum() - pi.sum())
    return 100.0 * float(returns.sum() - pi.sum()) / span if span > 0.0 else None


def interval(returns: F64, pi: F64, optimum: F64) -> tuple[float, float] | None:
    """Percentile bootstrap of a cell's score over its starts; pairs stay together.

    The same starts give the same interval: the resampling is seeded by their number.
    """
    count = len(returns)
    rng = np.random.default_rng(count)
    chosen = rng.integers(count, size=(RESAMPLES, count))
    gained = (returns - pi)[chosen].sum(axis=1)
    span = (optimum - pi)[chosen].sum(axis=1)
    if not np.all(span > 0.0):
        return None
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(100.0 * gained / span, [tail, 100.0 - tail])
    return float(low), float(high)


def best_overall(returns: list[F64]) -> int:
    """Row of the controller with the best mean over cells; each cell (n, starts).

    A cell counts by the gain of the summed return over the lower median's, as a share of it.
    """
    gains = []
    for cell in returns:
        sums = cell.sum(axis=1)
        middle = sums[lower_median(cell)]
        gains.append((sums - middle) / abs(middle))
    return int(np.argmax(np.mean(gains, axis=0)))
