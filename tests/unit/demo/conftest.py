"""Made-up episodes and scan records for the demo's report and view."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from controller.demo.audit import condense
from controller.demo.score import Result, score
from controller.demo.trend import Trend

SPANS = (2.5, 50.0)


def make_trend(
    *,
    start: tuple[float, float] = (100.0, 350.0),
    target: tuple[float, float] = (140.0, 355.0),
    change_s: float = 3600.0,
    hours: float = 24.0,
    tau_h: float = 2.0,
    **columns: float,
) -> Trend:
    """First-order responses from `start` to `target`; `columns` replaces a column by a constant."""
    time_s = np.arange(0.0, 3600.0 * hours + 1.0, 60.0)
    since_h = np.clip(time_s - change_s, 0.0, None) / 3600.0
    changed = time_s >= change_s
    decay = np.exp(-since_h / tau_h)
    P, T = (end + (begin - end) * decay for begin, end in zip(start, target, strict=True))
    made = {
        "plant_time_s": time_s,
        "P": P,
        "T": T,
        "peak_T": T + 0.1,
        "P_sp": np.where(changed, target[0], start[0]),
        "T_sp": np.where(changed, target[1], start[1]),
        "F_I": 1.8 + 0.5 * changed * decay,
        "T_c": 340.0 + 5.0 * changed * decay,
        "active": changed * 1.0,
        "override": np.zeros_like(time_s),
        "tripped": np.zeros_like(time_s),
    }
    for name, value in columns.items():
        made[name] = np.full_like(time_s, value)
    return Trend(**made)


def make_row(**changes: Any) -> dict[str, Any]:
    """A scan record as the journal holds it: one certified move, written whole."""
    row = {
        "scan_id": 0,
        "plant_time_s": 3600.0,
        "mode_after": "AUTO",
        "reason": "",
        "written": True,
        "outcome": "written",
        "certified": True,
        "gap": 1e-7,
        "tolerance": 1e-5,
        "iterations": 3,
        "policy_move": [1.9, 341.0],
        "move": [1.8, 340.0],
        "target": [1.8, 340.0],
        "track": [1.8, 340.0],
        "cv": [100.0, 350.0],
        "sp": [140.0, 355.0],
        "mv": [1.8, 340.0],
        "duration_s": 0.004,
        "deadline_s": 0.05,
        "lateness_s": 0.001,
        "overrun": False,
        "skipped": 0,
    }
    return row | changes


@pytest.fixture
def trend() -> Callable[..., Trend]:
    return make_trend


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    return make_row


@pytest.fixture
def result() -> Callable[..., Result]:
    """Makes a Result of a scenario that went well; keyword arguments change the scan record."""

    def make(scenario: str = "grade_up", stopped: str = "", **changes: Any) -> Result:
        ours, other = make_trend(), make_trend(tau_h=4.0)
        return Result(
            scenario=scenario,
            setpoint=(140.0, 355.0),
            setpoint_s=3600.0,
            end_s=86400.0,
            stopped=stopped,
            score=score(ours, 3600.0, 86400.0),
            baseline=score(other, 3600.0, 86400.0),
            audit=condense([make_row(**changes)], SPANS),
        )

    return make
