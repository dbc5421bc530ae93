"""The trend file of the soft plant: the true state, once a minute of plant time."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from controller.demo.processes import DemoError

if TYPE_CHECKING:
    from pathlib import Path

    from controller.core.types import F64

TIME = "plant_time_s"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trend:
    """One episode; every field is a column, (n,), named as in the file.

    plant_time_s [s].  P, P_sp [kg/m3], T, T_sp [K]: true value and setpoint.  peak_T: highest true
    T since the row before, inside the integration steps.  F_I [kg/h], T_c [K]: actual outputs.
    active, override, tripped: 0 or 1.
    """

    plant_time_s: F64
    P: F64
    T: F64
    peak_T: F64
    P_sp: F64
    T_sp: F64
    F_I: F64
    T_c: F64
    active: F64
    override: F64
    tripped: F64

    def between(self, start_s: float, end_s: float) -> Trend:
        """The rows with start_s <= plant_time_s <= end_s."""
        inside = (self.plant_time_s >= start_s) & (self.plant_time_s <= end_s)
        return Trend(**{item.name: getattr(self, item.name)[inside] for item in fields(self)})

    def __len__(self) -> int:
        return len(self.plant_time_s)


def read_trend(path: Path, episode: int) -> Trend:
    """Read the rows of one episode (the plant counts its resets).

    The plant may be writing the file: a last line without its end is left out.  Raises DemoError
    when the file or a column is missing.
    """
    columns = [item.name for item in fields(Trend)]
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DemoError(f"{path}: the plant's trend cannot be read: {error.strerror}") from error
    reader = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    missing = {"episode", *columns} - set(reader.fieldnames or ())
    if missing:
        raise DemoError(f"{path}: columns missing in the trend: {', '.join(sorted(missing))}")
    rows = [
        [float(row[name]) for name in columns] for row in reader if int(row["episode"]) == episode
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, len(columns))
    return Trend(**{name: table[:, index] for index, name in enumerate(columns)})
