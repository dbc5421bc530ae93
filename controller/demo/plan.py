"""What the demo plays: the plant's scenarios, and when the operator acts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.demo.processes import DemoError
from controller.demo.room import LOOPS

if TYPE_CHECKING:
    from pathlib import Path

ORDER = ("startup", "grade_up", "grade_down")
AUTO_AT_S = {"startup": 600.0}
OTHERWISE_S = 3600.0
FULL_H = 24.0
QUICK_H = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line.

    speed: plant seconds a wall second.  out: folder for the run's folder.  bundle: the model.
    """

    headless: bool
    quick: bool
    seed: int
    speed: float
    out: Path
    bundle: Path

    @property
    def hours(self) -> float:
        """Plant time of each scenario."""
        return QUICK_H if self.quick else FULL_H


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioPlan:
    """One scenario: target setpoints in the order of `LOOPS`, and when AUTO is selected [s]."""

    name: str
    setpoint: tuple[float, float]
    auto_at_s: float
    end_s: float


def plans(listing: str, hours: float) -> list[ScenarioPlan]:
    """The plans, from what `trimtab-plant scenarios --json` prints; raises DemoError."""
    try:
        known = json.loads(listing)
        targets = {name: tuple(float(known[name][loop]) for loop in LOOPS) for name in ORDER}
    except (ValueError, KeyError, TypeError) as error:
        raise DemoError(f"trimtab-plant scenarios --json: not understood: {error!r}") from error
    return [
        ScenarioPlan(
            name=name,
            setpoint=(target[0], target[1]),
            auto_at_s=AUTO_AT_S.get(name, OTHERWISE_S),
            end_s=3600.0 * hours,
        )
        for name, target in targets.items()
    ]
