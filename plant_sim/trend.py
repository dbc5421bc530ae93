"""The trend file: one CSV row of truth and DCS state every minute of plant time."""

import csv
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ROW_PERIOD_S = 60.0

COLUMNS = (
    "episode",
    "plant_time_s",
    "scenario",
    "A",
    "I",
    "R",
    "P",
    "T",
    "peak_T",
    "P_meas",
    "T_meas",
    "P_sp",
    "T_sp",
    "F_I",
    "T_c",
    "active",
    "override",
    "tripped",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendRow:
    """One row.

    state: true A, I [kg/m3], R [mol/m3], P [kg/m3], T [K].  peak_T: highest true temperature since
    the row before [K].  measured, setpoint: P, T.  actual: F_I [kg/h], T_c [K].
    """

    episode: int
    plant_time_s: float
    scenario: str
    state: tuple[float, ...]
    peak_T: float
    measured: tuple[float, float]
    setpoint: tuple[float, float]
    actual: tuple[float, ...]
    active: bool
    override: bool
    tripped: bool

    def cells(self) -> tuple[object, ...]:
        """The row in the order of `COLUMNS`; floats in full precision, flags as 0 and 1."""
        return (
            self.episode,
            round(self.plant_time_s, 6),
            self.scenario,
            *self.state,
            self.peak_T,
            *self.measured,
            *self.setpoint,
            *self.actual,
            int(self.active),
            int(self.override),
            int(self.tripped),
        )


def may_begin(path: Path) -> bool:
    """Whether a trend may be begun at `path`: nothing is there, nothing in it, or a trend.

    Raises OSError where a file cannot be read.
    """
    if not path.exists():
        return True
    if not path.is_file():
        return False
    header = (",".join(COLUMNS) + "\n").encode()
    with path.open("rb") as file:
        return file.read(len(header)) in (b"", header)


class TrendFile:
    """A CSV file that rows are appended to; `flush` puts them where readers see them."""

    def __init__(self, path: Path) -> None:
        """Begin the file anew with its header; raises OSError where that cannot be done."""
        self.path = path
        self._file = path.open("w", newline="", encoding="utf-8")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow(COLUMNS)
        self.failure = ""
        self.flush()

    def record(self, row: TrendRow) -> None:
        """Append one row. A disk that is full ends the trend (see `failure`), never the plant."""
        if not self.failure:
            try:
                self._csv.writerow(row.cells())
            except OSError as error:
                self.failure = str(error)

    def flush(self) -> None:
        """Write buffered rows to the file."""
        if not self.failure:
            try:
                self._file.flush()
            except OSError as error:
                self.failure = str(error)

    def close(self) -> None:
        """Flush and close."""
        try:
            self._file.close()
        except OSError as error:
            self.failure = self.failure or str(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
