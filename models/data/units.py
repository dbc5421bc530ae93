"""Which unit a column may be in that does not lie in its range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.bundle import Signal

    F64 = NDArray[np.float64]

# To the signal's unit, from the unit that is named; tried in this order.
_TEMPERATURE: dict[str, dict[str, Callable[[F64], F64]]] = {
    "K": {"degC": lambda v: v + 273.15, "degF": lambda v: (v + 459.67) / 1.8},
    "degC": {"K": lambda v: v - 273.15, "degF": lambda v: (v - 32.0) / 1.8},
}
_FITS = 0.95  # share of the samples that must lie in the range after conversion


def likely_unit(column: F64, signal: Signal) -> str:
    """Name of the unit in which most of a column (M,) would lie in the signal's range, or ""."""
    span = signal.high - signal.low
    guesses = _TEMPERATURE.get(signal.unit, {}) | {
        "percent of the range": lambda v: signal.low + v * span / 100.0,
        "a share of the range": lambda v: signal.low + v * span,
        f"1000 times {signal.unit}": lambda v: v * 1000.0,
        f"a thousandth of {signal.unit}": lambda v: v / 1000.0,
    }
    for name, convert in guesses.items():
        value = convert(column)
        if np.mean((value >= signal.low) & (value <= signal.high)) >= _FITS:
            return str(name)
    return ""
