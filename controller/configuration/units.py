"""Units of tags and their affine conversion to the units of the model's manifest.

A value converts with gain and offset, a difference (a move limit, a spike limit) with the gain
alone.  "percent" is a share of a span given in the manifest's unit; "raw" is an unscaled signal
whose scale and offset lead to the manifest's unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

# unit -> (quantity, gain, offset) with  base = gain * value + offset.  Source: SI brochure, 9th
# edition, for the degree Celsius; the degree Fahrenheit is 5/9 K with 32 degF = 273.15 K.
_UNITS: dict[str, tuple[str, float, float]] = {
    "K": ("temperature", 1.0, 0.0),
    "degC": ("temperature", 1.0, 273.15),
    "degF": ("temperature", 5.0 / 9.0, 273.15 - 32.0 * 5.0 / 9.0),
    "kg/h": ("mass flow", 1.0, 0.0),
    "kg/s": ("mass flow", 3600.0, 0.0),
    "g/s": ("mass flow", 3.6, 0.0),
    "kg/m3": ("concentration", 1.0, 0.0),
    "g/L": ("concentration", 1.0, 0.0),
}
PERCENT = "percent"
RAW = "raw"
KNOWN = (*_UNITS, PERCENT, RAW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """manifest = gain * server + offset, with gain > 0: low stays low and high stays high."""

    gain: float = 1.0
    offset: float = 0.0

    def value(self, server: float) -> float:
        """A server value in the manifest's unit."""
        return self.gain * server + self.offset

    def to_server(self, value: float) -> float:
        """A manifest value in the server's unit."""
        return (value - self.offset) / self.gain

    def resolution(self, value: float) -> float:
        """One ulp of the conversion at a manifest value, in the server's unit."""
        return math.ulp(max(abs(value), abs(self.offset))) / self.gain

    def inside(self, low: float, high: float) -> tuple[float, float]:
        """The server's interval for a manifest interval, rounded inward.

        Every value in it converts to one in [low, high], which `to_server` of an end may miss by
        the last digit.
        """
        bottom, top = self.to_server(low), self.to_server(high)
        while self.value(bottom) < low:
            bottom += self.resolution(low)
        while self.value(top) > high:
            top -= self.resolution(high)
        return bottom, top

    def difference(self, server: float) -> float:
        """A difference of server values, in the manifest's unit."""
        return self.gain * server

    def interval(self, low: float, high: float) -> tuple[float, float]:
        """A server interval in the manifest's unit."""
        return self.value(low), self.value(high)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoConversion:
    """Why there is no conversion, and what would be allowed."""

    detail: str
    allowed: str


ConversionResult: TypeAlias = Conversion | NoConversion


def conversion(
    source: str,
    target: str,
    *,
    span: tuple[float, float] | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> ConversionResult:
    """The conversion from a tag's unit to the manifest's.

    span: for "percent", what 0 and 100 % stand for, in the manifest's unit.
    scale, offset: for "raw", manifest = scale * raw + offset.
    """
    if source == PERCENT:
        return _percent(span)
    if source == RAW:
        return _raw(scale, offset)
    if source == target:
        return Conversion()
    if source not in _UNITS or target not in _UNITS:
        unknown = source if source not in _UNITS else target
        return NoConversion(detail=f'unknown unit "{unknown}"', allowed=convertible(target))
    quantity, gain, shift = _UNITS[source]
    wanted, target_gain, target_shift = _UNITS[target]
    if quantity != wanted:
        return NoConversion(
            detail=f'"{source}" is a {quantity}, "{target}" a {wanted}', allowed=convertible(target)
        )
    return Conversion(gain=gain / target_gain, offset=(shift - target_shift) / target_gain)


def convertible(target: str) -> str:
    """What can be converted to `target`, in words."""
    if target in _UNITS:
        quantity = _UNITS[target][0]
        same = [unit for unit, entry in _UNITS.items() if entry[0] == quantity]
    else:
        same = [target]
    return f"{', '.join([*same, PERCENT])} (with span), {RAW} (with scale and offset)"


def _percent(span: tuple[float, float] | None) -> ConversionResult:
    if span is None or not span[0] < span[1]:
        return NoConversion(
            detail='"percent" needs a span: what 0 and 100 % stand for',
            allowed="span = [value at 0 %, value at 100 %] in the model's unit, ascending",
        )
    return Conversion(gain=(span[1] - span[0]) / 100.0, offset=span[0])


def _raw(scale: float | None, offset: float | None) -> ConversionResult:
    if scale is None or not scale > 0.0:
        return NoConversion(
            detail='"raw" needs a scale above 0',
            allowed="scale = s and offset = o with (model's unit) = s * raw + o",
        )
    return Conversion(gain=scale, offset=offset or 0.0)
