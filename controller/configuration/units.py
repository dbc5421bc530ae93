"""Units of tags and their affine conversion to the units of the model's manifest.

A value converts with gain and offset, a difference (a move limit, a spike limit) with the gain
alone.  "percent" is a share of a span given in the manifest's unit; "raw" is an unscaled signal,
the counts of a converter, whose two ends, or whose scale and offset, lead to the manifest's unit.
A unit that is not in the table is used as it is where the manifest has the very same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

Interval: TypeAlias = tuple[float, float]

# unit -> (quantity, gain, offset) with  base = gain * value + offset.  Source: SI brochure, 9th
# edition, for the degree Celsius, litre, tonne and bar; the degree Fahrenheit is 5/9 K with 32 degF
# = 273.15 K; the pound is 0.45359237 kg and the inch 0.0254 m exactly (1959), hence the psi.
_UNITS: dict[str, tuple[str, float, float]] = {
    "K": ("temperature", 1.0, 0.0),
    "degC": ("temperature", 1.0, 273.15),
    "degF": ("temperature", 5.0 / 9.0, 273.15 - 32.0 * 5.0 / 9.0),
    "kg/h": ("mass flow", 1.0, 0.0),
    "kg/min": ("mass flow", 60.0, 0.0),
    "kg/s": ("mass flow", 3600.0, 0.0),
    "g/h": ("mass flow", 1e-3, 0.0),
    "g/s": ("mass flow", 3.6, 0.0),
    "t/h": ("mass flow", 1e3, 0.0),
    "lb/h": ("mass flow", 0.45359237, 0.0),
    "kg/m3": ("concentration", 1.0, 0.0),
    "g/L": ("concentration", 1.0, 0.0),
    "g/m3": ("concentration", 1e-3, 0.0),
    "g/cm3": ("concentration", 1e3, 0.0),
    "m3/h": ("volume flow", 1.0, 0.0),
    "m3/s": ("volume flow", 3600.0, 0.0),
    "L/h": ("volume flow", 1e-3, 0.0),
    "L/min": ("volume flow", 0.06, 0.0),
    "Pa": ("pressure", 1.0, 0.0),
    "kPa": ("pressure", 1e3, 0.0),
    "mbar": ("pressure", 1e2, 0.0),
    "bar": ("pressure", 1e5, 0.0),
    "psi": ("pressure", 0.45359237 * 9.80665 / 0.0254**2, 0.0),
    "m": ("length", 1.0, 0.0),
    "mm": ("length", 1e-3, 0.0),
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

    def inside(self, low: float, high: float) -> Interval:
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

    def interval(self, low: float, high: float) -> Interval:
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
    span: Interval | None = None,
    scale: float | None = None,
    offset: float | None = None,
    counts: Interval | None = None,
) -> ConversionResult:
    """The conversion from a tag's unit to the manifest's.

    span: what 0 and 100 % ("percent"), or the two counts ("raw"), stand for, in the manifest's
    unit.  scale, offset: for "raw" without counts, manifest = scale * raw + offset.
    """
    if source == PERCENT:
        return _percent(span)
    if source == RAW:
        return _raw(scale, offset) if counts is None else _counted(counts, span)
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


def alike(target: str) -> list[str]:
    """The units of the same quantity, `target` itself first."""
    if target not in _UNITS:
        return [target]
    quantity = _UNITS[target][0]
    return [target, *(u for u, entry in _UNITS.items() if entry[0] == quantity and u != target)]


def convertible(target: str) -> str:
    """What can be converted to `target`, in words."""
    units = ", ".join([*alike(target), PERCENT])
    return f"{units} (with span), {RAW} (with counts and span, or scale and offset)"


def _percent(span: Interval | None) -> ConversionResult:
    if span is None or not span[0] < span[1]:
        return NoConversion(
            detail='"percent" needs a span: what 0 and 100 % stand for',
            allowed="span = [value at 0 %, value at 100 %] in the model's unit, ascending",
        )
    return Conversion(gain=(span[1] - span[0]) / 100.0, offset=span[0])


def _raw(scale: float | None, offset: float | None) -> ConversionResult:
    if scale is None or not scale > 0.0:
        return NoConversion(
            detail='"raw" needs a scale above 0, or counts and a span',
            allowed="scale = s and offset = o with (model's unit) = s * raw + o",
        )
    return Conversion(gain=scale, offset=offset or 0.0)


def _counted(counts: Interval, span: Interval | None) -> ConversionResult:
    if span is None or not (span[0] < span[1] and counts[0] < counts[1]):
        return NoConversion(
            detail='"raw" with counts needs a span: what the two counts stand for',
            allowed="counts = [low, high], and span = [value at counts[0], value at counts[1]] "
            "in the model's unit, both ascending",
        )
    gain = (span[1] - span[0]) / (counts[1] - counts[0])
    return Conversion(gain=gain, offset=span[0] - gain * counts[0])
