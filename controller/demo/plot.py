"""A trend in the terminal: lines of braille dots, two by four to a character."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from controller.core.types import F64

BLANK = 0x2800
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bit of each dot of a braille character, (4 rows, 2 columns); Unicode, block U+2800."""
LABEL_WIDTH = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """One line: x and y are (n,), x ascending.  step: y holds until the next x."""

    x: F64
    y: F64
    style: str
    step: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plot:
    """A renderable that fills the height and width it is given; later lines lie on top.

    y_range: smallest span shown; it widens to hold the data.  digits: decimals of the labels.
    """

    lines: Sequence[Line]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    digits: int = 0
    height: int = 5

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Any width from a label and a few columns on."""
        return Measurement(LABEL_WIDTH + 4, options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Labels at the left for the top and the bottom, then the dots."""
        rows = max(2, options.height or self.height)
        columns = max(4, options.max_width - LABEL_WIDTH - 1)
        low, high = self.span()
        bits, styles = self._raster(rows, columns, low, high)
        for row in range(rows):
            label = {0: high, rows - 1: low}.get(row)
            text = "" if label is None else f"{label:.{self.digits}f}"
            yield Segment(f"{text:>{LABEL_WIDTH}} ", Style.parse("grey50"))
            yield from _segments(bits[row], styles[row])
            yield Segment.line()

    def span(self) -> tuple[float, float]:
        """The range of y that is shown."""
        low, high = self.y_range
        for line in self.lines:
            seen = line.y[np.isfinite(line.y)]
            if len(seen):
                low, high = min(low, float(seen.min())), max(high, float(seen.max()))
        return low, high

    def _raster(
        self, rows: int, columns: int, low: float, high: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """(rows, columns): the braille bits, and the index of the line on top (-1: none)."""
        bits = np.zeros((rows, columns), dtype=np.int64)
        owner = np.full((rows, columns), -1, dtype=np.int64)
        for index, line in enumerate(self.lines):
            for y, x in self._dots(line, rows, columns, low, high):
                cell = y // 4, x // 2
                if owner[cell] != index:
                    bits[cell], owner[cell] = 0, index
                bits[cell] |= DOTS[y % 4, x % 2]
        styles = np.array([*(line.style for line in self.lines), ""], dtype=object)
        return bits, styles[owner]

    def _dots(
        self, line: Line, rows: int, columns: int, low: float, high: float
    ) -> Iterator[tuple[int, int]]:
        """(y, x) of the dots, joined vertically so that a steep line has no holes."""
        fine = 4 * rows - 1
        last = None
        for x, value in enumerate(self._sampled(line, 2 * columns)):
            if not np.isfinite(value):
                last = None
                continue
            y = round(float(np.clip((high - value) / (high - low or 1.0), 0.0, 1.0)) * fine)
            begin, end = (y, y) if last is None else (min(y, last), max(y, last))
            last = y
            if not (line.dashed and x % 4 > 1):
                yield from ((dot, x) for dot in range(begin, end + 1))

    def _sampled(self, line: Line, columns: int) -> F64:
        """The line at each column of dots; NaN outside its data."""
        found = np.full(columns, np.nan)
        if len(line.x) == 0:
            return found
        at = np.linspace(*self.x_range, columns)
        inside = (at >= line.x[0]) & (at <= line.x[-1] + (self.x_range[1] / columns))
        if line.step:
            index = np.clip(np.searchsorted(line.x, at[inside], side="right") - 1, 0, None)
            found[inside] = line.y[index]
        else:
            found[inside] = np.interp(at[inside], line.x, line.y)
        return found


def _segments(bits: np.ndarray, styles: np.ndarray) -> Iterator[Segment]:
    """One row as runs of equal style."""
    start = 0
    for end in range(1, len(bits) + 1):
        if end == len(bits) or styles[end] != styles[start]:
            text = "".join(chr(BLANK + bit) if bit else " " for bit in bits[start:end])
            yield Segment(text, Style.parse(styles[start]))
            start = end
