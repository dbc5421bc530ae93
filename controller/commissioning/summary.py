"""What is found at a tag, in words that a person can hold against a display of the DCS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.commissioning.enumerations import listed
from controller.commissioning.scales import DIFFERENCES, IN_UNIT, Scale, number

if TYPE_CHECKING:
    from controller.opcua.survey import NodeFacts

LONGEST_TEXT = 40


def summary(key: str, facts: NodeFacts, scale: Scale | None) -> str:
    """Type, unit, range, names, rights and present value, the last in the model's unit too."""
    limits = "" if facts.range is None else f"{facts.range[0]:g} to {facts.range[1]:g}"
    access = "writable" if facts.user_writable else ""
    words = (facts.kind_name, facts.unit_text, limits, listed(facts.names), access)
    said = ", ".join(word for word in words if word)
    return f"{said}{now(facts)}{_converted(key, facts, scale)}"


def now(facts: NodeFacts) -> str:
    """The present value; "" where there is none that is good."""
    held = facts.content
    if isinstance(held, bool):
        return f"; now {held}"
    if isinstance(held, str):
        return f"; now {held[:LONGEST_TEXT]!r}" if held else ""
    value = number(facts)
    return "" if value is None else f"; now {value:.6g}"


def _converted(key: str, facts: NodeFacts, scale: Scale | None) -> str:
    """The present value in the model's unit, where that is another."""
    value, name = number(facts), key.rsplit(".", 1)[-1]
    if scale is None or value is None or name not in IN_UNIT:
        return ""
    if scale.table.unit == scale.variable.unit:
        return ""
    way = scale.conversion
    converted = way.difference(value) if name in DIFFERENCES else way.value(value)
    return f" = {converted:.6g} {scale.variable.unit}"
