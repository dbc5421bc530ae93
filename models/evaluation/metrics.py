"""Figures of one episode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.evaluation.episode import Trace
    from models.evaluation.suites import Setting

    F64 = NDArray[np.float64]

Measures = dict[str, float | bool | list[float] | None]

_STEP_BANDS = 5.0
"""A CV that starts nearer to its setpoint than this many settling bands makes no step, so that a
percentage of it would say nothing."""


def measures(trace: Trace, setting: Setting) -> Measures:
    """Figures by column name.

    return: sum of the rewards. offset_*: true CV - setpoint, mean over the recipe's `last_hours`.
    peak_*: highest inside the samples; violated: strictly above its limit. settling_h: until all
    CVs stay inside their bands, None if they do not. overshoot_*_pct: furthest past the setpoint,
    of the step (None where there is no step); overshoot_pct: the largest of them. iae_*: integral
    of the absolute error [CV unit h]. movement_*: sum of an MV's moves as shares of its span;
    movement: over all MVs. policy_distance: median over the episode. refused: moves without
    advice.
    """
    recipe, rules = setting.recipe, setting.rules
    symbols = [rules.symbols[cv.name] for cv in recipe.cvs]
    error = trace.cv - trace.setpoint
    bands = settle_bands(trace.setpoint, setting)
    offset = error[-setting.last_samples :].mean(axis=0)
    over = overshoot_pct(error, bands)
    iae = np.abs(error[1:]).sum(axis=0) * setting.sample_time_s / 3600.0
    span = np.array([mv.high - mv.low for mv in recipe.mvs])
    movement = np.abs(np.diff(trace.mv, axis=0)).sum(axis=0) / span
    peak = dict(zip(rules.limits, trace.peaks.max(axis=0).tolist(), strict=True))
    return {
        "start": trace.start.tolist(),
        "return": float(trace.reward.sum()),
        **{f"offset_{name}": float(x) for name, x in zip(symbols, offset, strict=True)},
        **{f"peak_{rules.symbols[name]}": value for name, value in peak.items()},
        "settling_h": settling_h(error, bands, setting.sample_time_s),
        "overshoot_pct": _or_none(np.nan if np.isnan(over).all() else np.nanmax(over)),
        **{f"overshoot_{name}_pct": _or_none(x) for name, x in zip(symbols, over, strict=True)},
        **{f"iae_{name}": float(x) for name, x in zip(symbols, iae, strict=True)},
        "movement": float(movement.sum()),
        **{f"movement_{mv.name}": float(x) for mv, x in zip(recipe.mvs, movement, strict=True)},
        "violated": any(value > rules.limits[name] for name, value in peak.items()),
        "tripped": trace.tripped,
        "cpu_us_per_move": float(trace.cpu_s.mean() * 1e6),
        "refused": float(np.sum(trace.noted["refused"])) if "refused" in trace.noted else None,
        "policy_distance": _median(trace.noted.get("policy_distance")),
    }


def settle_bands(setpoint: F64, setting: Setting) -> F64:
    """Half width (n_cv,) [CV unit] of the band in which each CV counts as settled."""
    rules = setting.rules
    return np.array(
        [
            rules.settle_band.get(cv.name, rules.settle_share.get(cv.name, np.inf) * abs(aim))
            for cv, aim in zip(setting.recipe.cvs, setpoint, strict=True)
        ]
    )


def settling_h(error: F64, bands: F64, sample_time_s: float) -> float | None:
    """Hours until every CV stays inside its band, or None; error: (N + 1, n_cv)."""
    outside = np.flatnonzero((np.abs(error) > bands).any(axis=1))
    if not outside.size:
        return 0.0
    first_inside = int(outside[-1]) + 1
    return None if first_inside == len(error) else first_inside * sample_time_s / 3600.0


def overshoot_pct(error: F64, bands: F64) -> F64:
    """Furthest error (n_cv,) on the far side of the setpoint [% of step]; NaN without one."""
    step = -error[0]
    past = np.where(step >= 0, error.max(axis=0), -error.min(axis=0))
    size = np.where(np.abs(step) < _STEP_BANDS * bands, np.nan, np.abs(step))
    percent: F64 = 100.0 * np.maximum(past, 0.0) / size
    return percent


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _median(values: F64 | None) -> float | None:
    if values is None or not np.isfinite(values).any():
        return None
    return float(np.nanmedian(values))
