"""The parts of the benchmark by name, each imported only when it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from benchmarks.rows import Row, skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = {
    "plant": "a step of the plant, one and many at once",
    "scalar": "the scalar PICNN's correction",
    "sequence": "the sequence PICNN's correction and a whole advice",
    "choice": "NumPy beside numba for the minimiser of a scan",
    "scan": "a whole scan over OPC UA beside the bare round trip",
    "secure": "the same, signed and encrypted",
    "scrape": "a scrape of /metrics, and a scan while it is scraped",
    "viewers": "a scan while the HMI has twenty viewers",
    "process": "memory, start and imports of the controller's process",
    "foreign": "foreign stacks and servers",
    "iql": "a step of training beside d3rlpy",
    "scaling": "cost against horizon, width, variables; with --plots only",
}
MODULES = {"scalar": "scalar_correction", "sequence": "sequence_correction", "secure": "scan"}


def chosen(only: Sequence[str], *, plots: bool) -> list[str]:
    """The named parts, or all; `scaling` by itself only where its plots are wanted."""
    return list(only) or [name for name in PARTS if name != "scaling" or plots]


def rows_of(part: str, seconds: float) -> list[Row]:
    """Rows of one part, about `seconds` for each of its comparisons."""
    name = f"benchmarks.{MODULES.get(part, part)}"
    if importlib.util.find_spec(name) is None:
        return [skipped(PARTS[part], f"{name} is not part of this checkout")]
    module = importlib.import_module(name)
    measured = module.secure_rows if part == "secure" else module.rows
    return [Row.of(row) for row in measured(seconds)]
