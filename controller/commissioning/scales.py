"""Which unit, span and range a tag has, as far as the server says it or its value betrays it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from asyncua import ua

from controller.configuration.units import PERCENT, RAW, Conversion, alike, conversion

if TYPE_CHECKING:
    from controller.configuration.binding import Variable
    from controller.configuration.tags import Scaled
    from controller.opcua.survey import NodeFacts

Row: TypeAlias = tuple[str, str, str]
"""Key of tags.toml, TOML value, remark."""

FULL_SCALE = 27648.0
"""Counts of a full-scale signal where nothing is known: the nominal range of SIMATIC S7 inputs."""

FRACTIONS = frozenset({ua.VariantType.Float, ua.VariantType.Double})

IN_UNIT = frozenset({"pv", "sp", "target", "actual", "track", "lo_lim", "hi_lim", "max_move_node"})
"""Tags whose values are in the unit of their table."""

DIFFERENCES = frozenset({"max_move_node"})
"""Those of them that hold a difference: it converts without an offset and has no range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How a tag's values are read.  table: that of tags.toml.  variable: the model's."""

    table: Scaled
    variable: Variable
    conversion: Conversion


def number(facts: NodeFacts | None) -> float | None:
    """The present value, where it is a finite number of good quality."""
    held = None if facts is None else facts.content
    if isinstance(held, bool) or not isinstance(held, int | float) or not math.isfinite(held):
        return None
    return float(held)


def unit_fits(unit: str | None, wanted: str) -> float:
    """How well a server's unit suits a variable; below 0: it does not convert."""
    if unit is None or unit == RAW:
        return 0.0
    if unit == PERCENT:
        return 0.5
    if unit == wanted:
        return 1.5
    return 1.0 if isinstance(conversion(unit, wanted), Conversion) else -1.0


def likely_units(facts: NodeFacts, variable: Variable) -> list[str]:
    """Units in which the present value and the EURange could be the variable's, likeliest first."""
    low, high = facts.range or (-math.inf, math.inf)
    held = number(facts)
    found = []
    for unit in (*alike(variable.unit), PERCENT):
        bottom, top = limits_in(unit, variable)
        meets = low < top and bottom < high
        if unit == PERCENT and facts.range is not None:
            meets = facts.range == (bottom, top)
        if meets and (held is None or bottom <= held <= top):
            found.append(unit)
    return found


def limits_in(unit: str, variable: Variable) -> tuple[float, float]:
    """The variable's range in another unit."""
    span = (float(variable.low), float(variable.high))
    way = conversion(unit, variable.unit, span=span)
    if not isinstance(way, Conversion):
        return span
    return round(way.to_server(span[0]), 6), round(way.to_server(span[1]), 6)


def unit_of(facts: NodeFacts | None, variable: Variable) -> tuple[str, str]:
    """The unit to propose, and what a person should know about it."""
    if facts is None:
        return variable.unit, "no node was found: check"
    if facts.unit is not None:
        return facts.unit, ""
    said = f"the server says {facts.unit_text!r}" if facts.unit_text else "the server names no unit"
    if facts.numeric and facts.kind not in FRACTIONS:
        return RAW, f"{said}, and a whole number is likely a count: check"
    fitting = likely_units(facts, variable)
    held = number(facts)
    value = "" if held is None else f", and {held:.6g}"
    if not fitting:
        return variable.unit, f"{said}{value} fits none that is known: check"
    return fitting[0], f"{said}{value} fits {', '.join(fitting)}: check"


def scale(facts: NodeFacts | None, variable: Variable) -> list[Row]:
    """Unit, what it needs beside it, and range."""
    unit, note = unit_of(facts, variable)
    low, high = limits(facts, unit, variable)
    rows = [("unit", f'"{unit}"', note)]
    if unit == RAW:
        rows.append(("counts", f"[{low}, {high}]", "two readings of the converter: ask"))
    if unit in {RAW, PERCENT}:
        ends = "the two counts" if unit == RAW else "0 and 100 %"
        span = f"[{float(variable.low)}, {float(variable.high)}]"
        rows.append(("span", span, f"what {ends} stand for, in {variable.unit}: ask"))
    rows.append(("range", f"[{low}, {high}]", "the instrument's, in `unit`; outside it is bad"))
    return rows


def limits(facts: NodeFacts | None, unit: str, variable: Variable) -> tuple[float, float]:
    """The instrument's range in `unit`: the server's, else the model's."""
    stated = None if facts is None else facts.range
    if stated is not None and stated[0] < stated[1]:
        return stated
    if unit == RAW:
        return 0.0, FULL_SCALE
    return limits_in(unit, variable)


def largest_move(facts: NodeFacts | None, span: tuple[float, float]) -> Row:
    """What the DCS allows now, where it says so; else 5 % of the range."""
    held = number(facts)
    if held is not None and held > 0.0:
        return ("max_move", f"{held:.6g}", "largest move a scan, as the DCS has it now")
    share = 0.05 * (span[1] - span[0])
    return ("max_move", f"{share:.6g}", "largest move a scan; 5 % of the range")
