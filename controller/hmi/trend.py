"""The last hours of a unit, sampled: what a unit page begins its charts with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from controller.hmi.series import decimated, listed
from controller.journal.document import restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.configuration.binding import Binding
    from controller.hmi.series import F64
    from controller.journal.document import Document

ROWS = 7200
"""Samples kept: two hours at a second."""

POINTS = 1200
"""Most points of an answer."""

JOURNALED = {"policy": "policy_move", "corrected": "move", "applied": "target", "actual": "mv"}
"""Series of an MV -> where the journal has it."""


def names(binding: Binding) -> list[str]:
    """Every series, in the order of the columns."""
    loops = [f"{kind}/{cv.name}" for cv in binding.cvs for kind in ("pv", "sp")]
    moves = [f"{kind}/{mv.name}" for mv in binding.mvs for kind in JOURNALED]
    return [*loops, *moves, "scan_s", "deadline_s"]


class Trend:
    """A ring of samples, all series on one axis of time."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self.names = names(binding)
        self._time_s: F64 = np.full(ROWS, np.nan)
        self._values: F64 = np.full((ROWS, len(self.names)), np.nan)
        self._count = 0

    def add(self, time_s: float, values: Mapping[str, float | None]) -> None:
        """Take a sample, later than the last one [s since 1970]; absent or None is a gap."""
        if self._count and time_s <= self._time_s[(self._count - 1) % ROWS]:
            return
        place = self._count % ROWS
        self._time_s[place] = time_s
        self._values[place] = [_number(values.get(name)) for name in self.names]
        self._count += 1

    def prefill(self, scans: Iterable[tuple[float, Document]]) -> None:
        """Begin with scans of the journal, (seconds since 1970, document), before any sample."""
        if self._count:
            return
        for time_s, scan in scans:
            self.add(time_s, journaled(self._binding, scan, loops=True))

    def since(self, seconds: float, points: int = POINTS) -> dict[str, Any]:
        """{"time": [s since 1970], "series": {name: [number or null]}} of the last seconds."""
        order = np.arange(max(0, self._count - ROWS), self._count) % ROWS
        time_s, values = self._time_s[order], self._values[order]
        if len(time_s):
            kept = time_s >= time_s[-1] - seconds
            time_s, values = decimated(time_s[kept], values[kept], points)
        return {
            "time": [round(float(value), 3) for value in time_s],
            "series": {name: listed(values[:, place]) for place, name in enumerate(self.names)},
        }


def journaled(binding: Binding, scan: Document, *, loops: bool) -> dict[str, float | None]:
    """A scan's values by series; loops: those of the CVs and `actual` too."""
    found: dict[str, float | None] = {
        "scan_s": restore(scan["duration_s"]),
        "deadline_s": restore(scan["deadline_s"]),
    }
    for place, mv in enumerate(binding.mvs):
        for kind, key in JOURNALED.items():
            if kind == "actual" and not loops:
                continue
            if kind == "applied" and not scan["written"]:
                continue
            found[f"{kind}/{mv.name}"] = _at(scan[key], place)
    if loops:
        for place, cv in enumerate(binding.cvs):
            found[f"pv/{cv.name}"] = _at(scan["cv"], place)
            found[f"sp/{cv.name}"] = _at(scan["sp"], place)
    return found


def _at(values: Sequence[Any] | None, place: int) -> float | None:
    return None if values is None or place >= len(values) else restore(values[place])


def _number(value: float | None) -> float:
    return np.nan if value is None else value
