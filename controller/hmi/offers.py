"""What operators may ask for, and what they have selected.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.configuration.choices import among
from controller.hmi.values import digits, finite

if TYPE_CHECKING:
    from controller.configuration.binding import BoundCv
    from controller.hmi.fleet import Unit
    from controller.hmi.values import Seen


def actions(unit: Unit, seen: Seen) -> dict[str, Any]:
    """What may be asked for; whether the user may is the plant's to say."""
    values = [name.upper() for name in dict.fromkeys(unit.binding.mode_values.values())]
    return {
        "mode": values if "mode" in unit.binding.handshake else [],
        "selected": selector(unit, seen),
        "setpoints": [_limits(unit, cv, seen) for cv in unit.binding.cvs],
        "acknowledge_shed": bool(unit.tags.operator_methods()),
    }


def setpoint_limits(cv: BoundCv, seen: Seen) -> tuple[float, float]:
    """Lowest and highest setpoint, in the model's unit: tags.toml's range cut with the server's."""
    low, high = cv.sp.low, cv.sp.high
    told = seen.ranges.get(cv.sp.key)
    if told is not None:
        bottom, top = cv.sp.conversion.interval(*told)
        low, high = max(low, bottom), min(high, top)
    return low, high


def _limits(unit: Unit, cv: BoundCv, seen: Seen) -> dict[str, Any]:
    low, high = setpoint_limits(cv, seen)
    place = unit.binding.cvs.index(cv)
    model = unit.manifest.cvs[place]
    return {
        "tag": cv.name,
        "low": finite(low),
        "high": finite(high),
        "unit": cv.unit,
        "digits": digits(model.low, model.high),
        "sp": seen.number(cv.sp.key, cv.sp.conversion),
    }


def selector(unit: Unit, seen: Seen) -> str | None:
    """What the operator has selected: MANUAL, SHADOW or AUTO; None where that cannot be read."""
    key = unit.binding.handshake.get("mode")
    held = None if key is None else seen.image.get(key)
    for choice, name in unit.binding.mode_values.items():
        if held is not None and among(held.value, (choice,)):
            return name.upper()
    return None
