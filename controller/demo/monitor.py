"""What the demo knows while it runs, and the `Frame` it shows."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.demo.room import INPUTS, LOOPS, UNITS, ApcMode, PlantImage
from controller.demo.score import LIMIT_K
from controller.demo.view import Frame, Loop, Manipulated, Scan, clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.core.types import F64

RANGES = {"InitiatorFeed": (0.0, 2.5), "CoolantTemperature": (300.0, 350.0)}
SPANS = {"PolymerConc": 200.0, "Temperature": 60.0}
"""What the trends are scaled by [kg/m3, K]."""
EVENTS = 50

NOTHING = PlantImage(
    plant_time_s=0.0,
    selector=ApcMode.MANUAL,
    permit=False,
    active=False,
    shed_reason="",
    tripped=False,
    pv=(math.nan, math.nan),
    sp=(math.nan, math.nan),
    actual=(math.nan, math.nan),
)


@dataclass(slots=True, kw_only=True)
class Monitor:
    """The latest of everything; only the demo's one event loop touches it.

    rows: scan records of the present scenario, oldest first.  scans, overruns, durations, lateness:
    over the whole run.
    """

    end_h: float
    speed: float
    of: int
    began_s: float = field(default_factory=time.monotonic)
    scenario: str = ""
    number: int = 0
    image: PlantImage = NOTHING
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    overruns: int = 0
    skipped: int = 0

    @property
    def wall_s(self) -> float:
        """Wall time since the demo began."""
        return time.monotonic() - self.began_s

    def begin(self, scenario: str, number: int) -> None:
        """A scenario begins: its trends start empty."""
        self.scenario, self.number, self.rows = scenario, number, []

    def note(self, text: str) -> str:
        """Add a line to the operator's log, with the plant's time of day; returns it."""
        line = f"{clock(self.image.plant_time_s / 3600.0)} {text}"
        self.events = [*self.events, line][-EVENTS:]
        return line

    def record(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in new scan records; a record from before the reset opens the trends anew."""
        for row in rows:
            self.durations.append(row["duration_s"])
            self.lateness.append(row["lateness_s"])
            self.overruns += bool(row["overrun"])
            self.skipped += int(row["skipped"])
            if self.rows and _time(row) < _time(self.rows[-1]):
                self.rows = []
            self.rows.append(row)

    def frame(self) -> Frame:
        """The screen for what is known now."""
        image, last = self.image, self.rows[-1] if self.rows else {}
        history = {key: self._history(key) for key in ("cv", "sp", "mv", "policy_move", "move")}
        ratios = [
            row["gap"] / row["tolerance"]
            for row in self.rows
            if row["written"] and row["gap"] is not None and row["tolerance"]
        ]
        return Frame(
            scenario=self.scenario,
            number=self.number,
            of=self.of,
            plant_h=image.plant_time_s / 3600.0,
            end_h=self.end_h,
            speed=self.speed,
            wall_s=self.wall_s,
            hours=np.array([_time(row) for row in self.rows]) / 3600.0,
            loops=[_loop(image, history, index) for index in range(len(LOOPS))],
            manipulated=[_manipulated(image, history, index) for index in range(len(INPUTS))],
            mode=str(last.get("mode_after", "-")),
            selector=image.selector.name.capitalize(),
            permit=image.permit,
            active=image.active,
            tripped=image.tripped,
            shed_reason=image.shed_reason,
            gap=_number(last.get("gap")),
            tolerance=_number(last.get("tolerance")),
            worst_ratio=max(ratios, default=math.nan),
            iterations=int(last.get("iterations") or 0),
            scan=self._scan(last),
            events=self.events,
        )

    def _history(self, key: str) -> F64:
        """(n, 2): one vector a scan; NaN where a scan had none."""
        none = [math.nan, math.nan]
        values = [[_number(x) for x in row[key] or none] for row in self.rows]
        return np.array(values, dtype=np.float64).reshape(-1, 2)

    def _scan(self, last: Mapping[str, Any]) -> Scan:
        durations = np.array(self.durations or [0.0])
        return Scan(
            count=len(self.durations),
            last_s=float(durations[-1]),
            p50_s=float(np.quantile(durations, 0.5)),
            p99_s=float(np.quantile(durations, 0.99)),
            lateness_p99_s=float(np.quantile(self.lateness or [0.0], 0.99)),
            deadline_s=_number(last.get("deadline_s", 1.0)) + _number(last.get("lateness_s", 0.0)),
            overruns=self.overruns,
            skipped=self.skipped,
        )


def _loop(image: PlantImage, history: Mapping[str, F64], index: int) -> Loop:
    name = LOOPS[index]
    return Loop(
        name=name,
        unit=UNITS[name],
        pv=image.pv[index],
        sp=image.sp[index],
        pvs=history["cv"][:, index],
        sps=history["sp"][:, index],
        span=SPANS[name],
        high_limit=LIMIT_K if name == "Temperature" else None,
    )


def _manipulated(image: PlantImage, history: Mapping[str, F64], index: int) -> Manipulated:
    name = INPUTS[index]
    policies, moves = history["policy_move"][:, index], history["move"][:, index]
    return Manipulated(
        name=name,
        unit=UNITS[name],
        policy=float(policies[-1]) if len(policies) else math.nan,
        move=float(moves[-1]) if len(moves) else math.nan,
        actual=image.actual[index],
        low=RANGES[name][0],
        high=RANGES[name][1],
        policies=policies,
        moves=moves,
        actuals=history["mv"][:, index],
    )


def _time(row: Mapping[str, Any]) -> float:
    return _number(row["plant_time_s"])


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
