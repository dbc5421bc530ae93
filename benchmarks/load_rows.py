"""Rows of `benchmarks.soft_plant_load`, and their table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.  goal: what it may be at most; floor: at least; None where it only informs."""

    name: str
    size: str
    value: float
    unit: str
    goal: float | None = None
    floor: float | None = None

    @property
    def missed(self) -> bool:
        """Whether there is a goal and this is beyond it."""
        above = self.goal is not None and abs(self.value) > self.goal
        return above or (self.floor is not None and self.value < self.floor)


def table(rows: Sequence[Row]) -> Table:
    """The rows for people."""
    shown = Table("figure", "size", "value", "goal", "unit")
    for row in rows:
        wanted = "" if row.goal is None else f"at most {row.goal:g}"
        wanted = wanted if row.floor is None else f"at least {row.floor:g}"
        goal = f"{wanted}{' MISSED' if row.missed else ''}"
        shown.add_row(row.name, row.size, f"{row.value:.2f}", goal, row.unit)
    return shown
