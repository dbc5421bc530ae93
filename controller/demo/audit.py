"""What the journal says about the scans of one scenario."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.core.types import F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Audit:
    """Counts and certificates of a stretch of scans.

    overruns, skipped: scans past their deadline, grid points passed over.  writes: scans that
    wrote a move; uncertified_writes: those of them without a certificate, with a gap above its
    tolerance, or with targets that differ from the certified move.  worst_gap: largest gap
    written, and worst_ratio the largest gap / tolerance; None without a write.  entry_bump:
    largest distance of the first write from the plant's Track, as a share of the span.
    scan_p50_s, scan_p99_s, lateness_p99_s: durations.
    time_s (n,), policy (n, n_mv), move (n, n_mv), gap_ratio (n,): the advice over plant time; NaN
    where a scan had none.
    """

    scans: int
    overruns: int
    skipped: int
    writes: int
    uncertified_writes: int
    worst_gap: float | None
    worst_ratio: float | None
    entry_bump: float | None
    scan_p50_s: float
    scan_p99_s: float
    lateness_p99_s: float
    time_s: F64
    policy: F64
    move: F64
    gap_ratio: F64


def condense(rows: Sequence[Mapping[str, Any]], spans: Sequence[float]) -> Audit:
    """Condense the journal's scan records `rows`, in order; spans: of the MVs, in their order.

    A record from before the reset, with a plant time that runs back after it, is left out.
    """
    rows = rows[_reset(rows) :]
    written = [row for row in rows if _reached(row)]
    certain = [row for row in written if _certified(row)]
    ratios = [_ratio(row) for row in certain]
    durations = np.array([row["duration_s"] for row in rows] or [0.0])
    lateness = np.array([row["lateness_s"] for row in rows] or [0.0])
    width = len(spans)
    return Audit(
        scans=len(rows),
        overruns=sum(bool(row["overrun"]) for row in rows),
        skipped=sum(int(row["skipped"]) for row in rows),
        writes=len(written),
        uncertified_writes=len(written) - len(certain),
        worst_gap=max((_number(row["gap"]) for row in certain), default=None),
        worst_ratio=max(ratios, default=None),
        entry_bump=_bump(written[0], spans) if written else None,
        scan_p50_s=float(np.quantile(durations, 0.5)),
        scan_p99_s=float(np.quantile(durations, 0.99)),
        lateness_p99_s=float(np.quantile(lateness, 0.99)),
        time_s=np.array([_number(row["plant_time_s"]) for row in rows]),
        policy=np.array([_vector(row["policy_move"], width) for row in rows]).reshape(-1, width),
        move=np.array([_vector(row["move"], width) for row in rows]).reshape(-1, width),
        gap_ratio=np.array([_ratio(row) for row in rows]),
    )


def _reset(rows: Sequence[Mapping[str, Any]]) -> int:
    """Index of the first record after plant time last ran back; 0 when it never did."""
    times = np.array([_number(row["plant_time_s"]) for row in rows])
    back = np.flatnonzero(np.diff(times) < 0)
    return int(back[-1]) + 1 if len(back) else 0


def _reached(row: Mapping[str, Any]) -> bool:
    """True when a target reached the plant, be it on one MV only."""
    return bool(row["written"]) or row["outcome"] == "partial"


def _certified(row: Mapping[str, Any]) -> bool:
    """True when what was written is the move that the certificate is about, and it holds."""
    if not row["certified"] or not _number(row["gap"]) <= _number(row["tolerance"]):
        return False
    targets = _vector(row["target"], len(row["move"]))
    return all(
        math.isnan(target) or target == move
        for target, move in zip(targets, row["move"], strict=True)
    )


def _bump(row: Mapping[str, Any], spans: Sequence[float]) -> float:
    targets, tracks = (_vector(row[key], len(spans)) for key in ("target", "track"))
    bumps = [abs(a - b) / span for a, b, span in zip(targets, tracks, spans, strict=True)]
    return float(np.nanmax(bumps))


def _ratio(row: Mapping[str, Any]) -> float:
    tolerance = _number(row["tolerance"])
    return _number(row["gap"]) / tolerance if tolerance > 0 else math.nan


def _number(value: float | str | None) -> float:
    """A number of the journal, where null stands for NaN and "inf" for infinity."""
    return math.nan if value is None else float(value)


def _vector(values: Sequence[float | None] | None, width: int) -> list[float]:
    return [math.nan] * width if values is None else [_number(value) for value in values]
