"""How well a scenario went: figures from the true state, and the verdict in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.core.types import F64
    from controller.demo.audit import Audit
    from controller.demo.trend import Trend

LIMIT_K = 365.0
"""Hard limit of the reactor; a violation is strictly above it, inside the steps."""
SETTLED_P_RATIO = 0.02
SETTLED_T_K = 0.5
"""A loop has settled when it stays within 2 % of the setpoint (P) and 0.5 K of it (T)."""
ON_SPEC_P = 1.0
ON_SPEC_T = 0.3
"""On spec at the end [kg/m3, K]: means of the true state over the last `END_S`."""
END_S = 2 * 3600.0
FALLING_S = 1800.0
"""The quick run compares the error of its first and last half hour."""
SPANS = {"InitiatorFeed": ("F_I", 2.5), "CoolantTemperature": ("T_c", 50.0)}
"""MV -> (column of the trend, span [kg/h, K])."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Figures of one controller over one window of one scenario, all from the true state.

    iae_P [kg/m3 h], iae_T [K h].  settling_h: from the window's start until both loops stay
    settled; None when they do not.  offset_P [kg/m3], offset_T [K]: PV - SP, mean of the last 2 h.
    peak_T [K]: over the whole episode.  movement: sum of |move| / span, by MV.
    first_error, last_error: settling bands away from the setpoint, mean of the first and the last
    half hour, both loops added.
    """

    iae_P: float
    iae_T: float
    settling_h: float | None
    offset_P: float
    offset_T: float
    peak_T: float
    movement: Mapping[str, float]
    first_error: float
    last_error: float

    @property
    def on_spec(self) -> bool:
        """True when both loops ended on their setpoints."""
        return abs(self.offset_P) <= ON_SPEC_P and abs(self.offset_T) <= ON_SPEC_T


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One scenario as it was played.

    setpoint_s, end_s: plant time of the setpoint change and of the end.  score and baseline are
    None when too little ran to be scored.  stopped: why it ended early; empty when it did not.
    """

    scenario: str
    setpoint: tuple[float, float]
    setpoint_s: float | None
    end_s: float
    stopped: str
    score: Score | None
    baseline: Score | None
    audit: Audit


def score(episode: Trend, start_s: float, end_s: float) -> Score | None:
    """Figures of `episode` over [start_s, end_s] of plant time; None for fewer than three rows."""
    window = episode.between(start_s, end_s)
    if len(window) < 3:
        return None
    hours = window.plant_time_s / 3600.0
    error_P, error_T = window.P - window.P_sp, window.T - window.T_sp
    band_P = SETTLED_P_RATIO * window.P_sp
    distance = np.abs(error_P) / band_P + np.abs(error_T) / SETTLED_T_K
    late = window.plant_time_s > window.plant_time_s[-1] - END_S
    first = window.plant_time_s <= window.plant_time_s[0] + FALLING_S
    last = window.plant_time_s >= window.plant_time_s[-1] - FALLING_S
    settled = (np.abs(error_P) <= band_P) & (np.abs(error_T) <= SETTLED_T_K)
    return Score(
        iae_P=float(np.trapezoid(np.abs(error_P), hours)),
        iae_T=float(np.trapezoid(np.abs(error_T), hours)),
        settling_h=_settling(hours, settled),
        offset_P=float(error_P[late].mean()),
        offset_T=float(error_T[late].mean()),
        peak_T=float(episode.between(0.0, end_s).peak_T.max()),
        movement={name: _movement(window, *column) for name, column in SPANS.items()},
        first_error=float(distance[first].mean()),
        last_error=float(distance[last].mean()),
    )


def _settling(hours: F64, settled: np.ndarray) -> float | None:
    outside = np.flatnonzero(~settled)
    if len(outside) == 0:
        return 0.0
    if outside[-1] == len(hours) - 1:
        return None
    return float(hours[outside[-1] + 1] - hours[0])


def _movement(window: Trend, column: str, span: float) -> float:
    return float(np.abs(np.diff(getattr(window, column))).sum() / span)


def verdict(results: Sequence[Result], planned: Sequence[str], *, quick: bool) -> list[str]:
    """Why the demo did not pass, one sentence a reason; empty when it did."""
    reasons = [reason for result in results for reason in _reasons(result, quick=quick)]
    missing = [name for name in planned if name not in {result.scenario for result in results}]
    return reasons + [f"{name}: was not run" for name in missing]


def _reasons(result: Result, *, quick: bool) -> list[str]:
    name, found, audit = result.scenario, result.score, result.audit
    reasons = [f"{name}: {result.stopped}"] if result.stopped else []
    if audit.uncertified_writes:
        reasons.append(f"{name}: {audit.uncertified_writes} moves were written uncertified")
    if not audit.writes:
        reasons.append(f"{name}: the controller wrote no move")
    if found is None:
        return [*reasons, f"{name}: too little ran to be judged"]
    if found.peak_T > LIMIT_K:
        reasons.append(
            f"{name}: the temperature reached {found.peak_T:.2f} K, above {LIMIT_K:.0f} K"
        )
    if result.stopped:
        return reasons  # what did not run to its end is not judged by its end
    if quick and found.last_error >= found.first_error:
        reasons.append(
            f"{name}: the error did not fall: {found.first_error:.1f} settling bands at first, "
            f"{found.last_error:.1f} at the end"
        )
    if not quick and not found.on_spec:
        reasons.append(
            f"{name}: ended off spec: P {found.offset_P:+.2f} kg/m3 (allowed {ON_SPEC_P:g}), "
            f"T {found.offset_T:+.2f} K (allowed {ON_SPEC_T:g})"
        )
    return reasons
