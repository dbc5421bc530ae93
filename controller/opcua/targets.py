"""What goes to an MV's Target: the certified move in the server's unit and the node's type.

A move is certified and guarded in the manifest's unit.  On its way it is converted and, for a Float
node, rounded to single precision, and each may carry it past a limit by the last digit: 350 K is
76.85000000000002 degC, against HiLim = 76.85.  So the value is cut to the limits as the server
states them, rounded inward to what the node can hold.  The cut is the rounding's own size (a few
ulp, for a Float node one of its ulp), hence the written value is the certified move as far as the
node can tell.  A larger cut would be another move, which nobody certified: it is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from asyncua import ua

from controller.core.types import Quality

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.configuration.binding import BoundMv
    from controller.core.types import Measurement

ANALOG = frozenset({ua.VariantType.Float, ua.VariantType.Double})
"""Types that hold a target; an integer or a Boolean would make another move of it."""

ROUNDING_STEPS = 8.0
"""Ulp that a conversion there and back may cost: a product, a sum, a difference, a quotient."""

LARGEST_SINGLE = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """Why a move cannot be written as it was certified."""

    detail: str


def server_target(
    mv: BoundMv, target: float, kind: ua.VariantType, image: Mapping[str, Measurement]
) -> float | Unfit:
    """The value to write, in the server's unit, exactly representable in a node of type `kind`.

    target: in the manifest's unit.  image: the snapshot that the move was made from; LoLim and
    HiLim are read from it.
    """
    wanted = mv.conversion.to_server(target)
    low, high = _limits(mv, image)
    allowed = ROUNDING_STEPS * mv.conversion.resolution(target)
    rounded = wanted
    if kind is ua.VariantType.Float:
        low, high = _upward(max(low, -LARGEST_SINGLE)), _downward(min(high, LARGEST_SINGLE))
        if abs(wanted) <= LARGEST_SINGLE:
            rounded = float(np.float32(wanted))
        allowed += float(np.spacing(np.float32(abs(rounded))))
    if not low <= high:
        return Unfit(detail=f"{mv.target_key}: no {kind.name} between the limits of the server")
    value = min(max(rounded, low), high)
    if not abs(value - wanted) <= allowed:
        return Unfit(detail=f"{mv.target_key}: {wanted!r} is outside {low!r} to {high!r}")
    return value


def _limits(mv: BoundMv, image: Mapping[str, Measurement]) -> tuple[float, float]:
    """Every limit of an MV in the server's unit: tags.toml's, the manifest's, LoLim and HiLim."""
    inner_low, inner_high = mv.conversion.inside(mv.low, mv.high)
    low = max(mv.server_range[0], inner_low, _number(image, mv.keys.get("lo_lim"), -math.inf))
    high = min(mv.server_range[1], inner_high, _number(image, mv.keys.get("hi_lim"), math.inf))
    return low, high


def _number(image: Mapping[str, Measurement], key: str | None, absent: float) -> float:
    """A limit tag's value; an unusable one has already emptied the box of the move."""
    held = None if key is None else image.get(key)
    if held is None or held.quality is Quality.BAD or isinstance(held.value, bool | str | None):
        return absent
    return float(held.value) if math.isfinite(held.value) else absent


def _upward(value: float) -> float:
    """The smallest single-precision number that is not below `value`."""
    single = np.float32(value)
    return float(single if float(single) >= value else np.nextafter(single, np.float32(np.inf)))


def _downward(value: float) -> float:
    """The largest single-precision number that is not above `value`."""
    return -_upward(-value)
