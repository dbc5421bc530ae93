"""How the pictures look: colours that colour-blind readers tell apart, dark on white."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

# Okabe and Ito's palette, grey for its yellow, which is too light on white; and a dash each.
LINES: tuple[tuple[str, Any], ...] = (
    ("#8a8a8a", (0, (5, 2))),
    ("#56b4e9", (0, (5, 1, 1, 1))),
    ("#e69f00", (0, (1, 1))),
    ("#d55e00", (0, (3, 1))),
    ("#cc79a7", "-"),
    ("#0072b2", "-"),
    ("#009e73", (0, (4, 1, 1, 1, 1, 1))),
    ("#000000", (0, (1, 2))),
)
MARKERS = "ovs^DPX*"
OTHERS = "<>hdp8H1234+x|_"
WIDTH_IN = 9.0
_SETTINGS: dict[str, Any] = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "benchmark",  # ids in the file are the same in every run
    "svg.fonttype": "path",  # the same letters on every machine
    "path.simplify": True,
}
LEAST_GAP, MOST_GAP = 0.05, 1000.0
_TICKS = (99.9, 99.0, 97.0, 90.0, 50.0, 0.0, -200.0, -900.0)


@contextmanager
def drawn(path: Path, *, rows: int, columns: int, height: float) -> Iterator[tuple[Figure, Any]]:
    """A figure of `rows` x `columns` axes, `height` inches; written to `path` (.svg) at the end.

    The file is the same, byte by byte, for the same drawing.
    """
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure as Drawing  # noqa: PLC0415

    with rc_context(_SETTINGS):  # type: ignore[arg-type]  # its keys are literals there
        figure = Drawing(figsize=(WIDTH_IN, height), layout="constrained", facecolor="white")
        FigureCanvasSVG(figure)
        yield figure, figure.subplots(rows, columns, squeeze=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        text = "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines())
        path.write_text(text + "\n", encoding="utf-8")


def line_of(controller: str, shown: list[str]) -> dict[str, Any]:
    """Colour and dash of a controller whose trends are drawn."""
    colour, dash = LINES[shown.index(controller) % len(LINES)]
    return {"color": colour, "linestyle": dash, "linewidth": 1.6}


def marker_of(controller: str, controllers: list[str], shown: list[str]) -> dict[str, Any]:
    """Colour and shape; hollow and grey for those that are not in `shown`."""
    if controller in shown:
        at = shown.index(controller)
        return {"color": LINES[at % len(LINES)][0], "marker": MARKERS[at % len(MARKERS)]}
    at = [name for name in controllers if name not in shown].index(controller)
    return {"color": "#555555", "marker": OTHERS[at % len(OTHERS)], "markerfacecolor": "none"}


def height_of(score: ArrayLike) -> NDArray[np.float64]:
    """Where a score stands: the logarithm of what it lacks of 100, so that 99 and 99.9 differ."""
    gap = np.clip(100.0 - np.asarray(score, dtype=np.float64), LEAST_GAP, MOST_GAP)
    at: NDArray[np.float64] = -np.log10(gap)
    return at


def score_axis(axes: Axes, scores: list[float]) -> None:
    """Ticks of `height_of`, wide enough for `scores`."""
    at = height_of([*scores, 97.0, 99.0])
    axes.set_ylim(float(at.min()) - 0.15, float(at.max()) + 0.15)
    low, high = axes.get_ylim()
    inside = [tick for tick in _TICKS if low <= float(height_of(tick)) <= high]
    axes.set_yticks([float(height_of(tick)) for tick in inside], [f"{tick:g}" for tick in inside])
