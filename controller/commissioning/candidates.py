"""What a variable could be where no name tells: nodes whose unit or value, type and rights suit it.

A DCS that names its tags by loop (TIC101/PID.PV_Out) tells nothing by name.  A person who has its
drawings then chooses from few nodes, and not from all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua import ua

from controller.commissioning.scales import FRACTIONS, likely_units, unit_fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from controller.configuration.binding import Variable
    from controller.opcua.survey import NodeFacts

MOST = 6
"""Candidates shown for one key."""

WRITABLE = {"pv": False, "actual": False, "target": True}
"""Key -> whether its node is one that somebody writes; a setpoint may be either."""

SELECTING = frozenset({"mode", "selector", "switch", "remote", "auto"})
"""Words in the names of tags by which an operator selects."""

BY_VALUE, BY_TYPE = 0.25, 0.1
"""How well a node suits without a unit: its value could be the variable's, or it is a count."""

_CHOICES = frozenset(
    (
        ua.VariantType.Boolean,
        ua.VariantType.String,
        ua.VariantType.LocalizedText,
        ua.VariantType.Byte,
        ua.VariantType.Int16,
        ua.VariantType.UInt16,
        ua.VariantType.Int32,
        ua.VariantType.UInt32,
    )
)


def for_variable(facts: Sequence[NodeFacts], variable: Variable, key: str) -> tuple[int, ...]:
    """Places of the nodes that could be this key of a variable, the likeliest first."""
    wanted = WRITABLE.get(key)
    suits: dict[int, float] = {}
    for place, item in enumerate(facts):
        right = wanted is None or item.writable is wanted
        if item.variable and item.numeric and item.scalar and right:
            suits[place] = _suits(item, variable)
        if key == "target" and item.kind not in FRACTIONS:
            suits.pop(place, None)
    likely = [place for place, how_well in suits.items() if how_well > 0.0]
    return tuple(sorted(likely, key=lambda place: -suits[place])[:MOST])


def _suits(facts: NodeFacts, variable: Variable) -> float:
    if facts.unit is not None:
        return unit_fits(facts.unit, variable.unit)
    if facts.kind not in FRACTIONS:
        return BY_TYPE
    return BY_VALUE if likely_units(facts, variable) else 0.0


def for_selector(facts: Sequence[NodeFacts], named: Sequence[Iterable[str]]) -> tuple[int, ...]:
    """Places of the nodes that could be the operator's selector.  named: the words of each name."""
    return tuple(
        place
        for place, (item, words) in enumerate(zip(facts, named, strict=True))
        if item.variable and item.scalar and item.writable and item.kind in _CHOICES
        if SELECTING & set(words)
    )[:MOST]
