"""Time series for a chart: fewer points that keep every extreme."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

HELD_BUCKETS = 2
"""A measured value is held over gaps of at most this many buckets, or ten of its own intervals."""

HELD_INTERVALS = 10.0


def decimated(time_s: F64, values: F64, points: int) -> tuple[F64, F64]:
    """At most `points` rows of values (n, k) at time_s (n,) [s].

    Of each bucket the least and the greatest of every column stay, in their order; NaN is a gap.
    """
    count = len(time_s)
    if count <= points:
        return time_s, values
    edges = np.linspace(0, count, points // 2 + 1).astype(int)
    times, rows = [], []
    for first, last in pairwise(edges):
        times += [time_s[first], time_s[(first + last) // 2]]
        rows += list(_extremes(values[first:last]))
    return np.array(times), np.array(rows)


def bucketed(time_s: F64, values: F64, edges_s: F64, *, hold: bool) -> F64:
    """(2 (n_edges - 1),) least and greatest of a series in each bucket, in their order.

    time_s, values: (n,) ascending, one value a sample, NaN where it was bad.  hold: a step series,
    which stands until the next sample; another one is held over short gaps alone.
    """
    buckets = len(edges_s) - 1
    found = np.full(2 * buckets, np.nan)
    if len(time_s) == 0:
        return found
    places = np.searchsorted(time_s, edges_s)
    width_s = float(edges_s[1] - edges_s[0])
    usual_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else width_s
    longest_s = np.inf if hold else max(HELD_BUCKETS * width_s, HELD_INTERVALS * usual_s)
    for place in range(buckets):
        first, last = places[place], places[place + 1]
        if first < last:
            found[2 * place : 2 * place + 2] = _extremes(values[first:last, None])[:, 0]
        elif first > 0 and edges_s[place] - time_s[first - 1] <= longest_s:
            found[2 * place : 2 * place + 2] = values[first - 1]
    return found


def axis(edges_s: F64) -> F64:
    """(2 (n_edges - 1),) where the values of `bucketed` are drawn: begin and middle of each."""
    middle = 0.5 * (edges_s[:-1] + edges_s[1:])
    return np.column_stack([edges_s[:-1], middle]).ravel()


def listed(values: F64, digits: int = 7) -> list[float | None]:
    """A column as JSON holds it: null for NaN and infinities, `digits` significant digits."""
    return [
        None if not np.isfinite(value) else float(f"{value:.{digits}g}")
        for value in values.tolist()
    ]


def _extremes(rows: F64) -> F64:
    """(2, k) least and greatest of each column of (n, k), the earlier first; NaN of none."""
    present = ~np.isnan(rows)
    low = np.where(present, rows, np.inf).argmin(axis=0)
    high = np.where(present, rows, -np.inf).argmax(axis=0)
    columns = np.arange(rows.shape[1])
    pair: F64 = np.stack(
        [rows[np.minimum(low, high), columns], rows[np.maximum(low, high), columns]]
    )
    pair[:, ~present.any(axis=0)] = np.nan
    return pair
