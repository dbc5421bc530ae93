"""Alarm limits of measurements, as a server tells them (LimitAlarmType, OPC 10000-9).

Where a server shows its conditions, HasCondition leads to them from the measured tag, or from the
object that the tag is part of; InputNode then says which tag is meant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.hmi.alarm_events import key_of
from controller.opcua.operation_limits import chunks, read_attribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asyncua import Client

    from controller.opcua.operation_limits import OperationLimits

NAMES = {"HighHighLimit": "HH", "HighLimit": "H", "LowLimit": "L", "LowLowLimit": "LL"}
"""Property of a condition -> what operators call the limit."""

_INPUT, _SETPOINT = "InputNode", "SetpointNode"
_RELATIVE = frozenset(
    ua.NodeId(getattr(ua.ObjectIds, f"{how}{what}AlarmType"))
    for how in ("Exclusive", "NonExclusive")
    for what in ("Deviation", "RateOfChange")
)
"""Types whose limits are no values of the measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmLimit:
    """A limit in the server's unit.  name: HH, H, L or LL.  condition: key of its alarm."""

    name: str
    value: float
    condition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitNode:
    """Where a limit of a measurement is read.  key: of the measured tag."""

    key: str
    name: str
    condition: str
    node: ua.NodeId


async def find_limits(
    client: Client, nodes: Mapping[str, ua.NodeId], limits: OperationLimits
) -> tuple[LimitNode, ...]:
    """The limits of these measurements; none where the server refuses the question.

    nodes: logical key of a measurement -> its node.  Raises what asyncua raises when the line
    fails.
    """
    try:
        found = [await _conditions(client, key, node) for key, node in nodes.items()]
        pairs = dict.fromkeys(pair for some in found for pair in some)
        names = [*NAMES, _INPUT, _SETPOINT]
        asked = [(key, condition, name) for key, condition in pairs for name in names]
        places = await _properties(client, [(one, name) for _, one, name in asked], limits)
        properties = dict(zip(asked, places, strict=True))
        inputs = await _inputs(client, properties, limits)
    except ua.UaStatusCodeError:
        return ()
    return tuple(
        LimitNode(key=key, name=NAMES[name], condition=key_of(condition), node=place)
        for (key, condition, name), place in properties.items()
        if name in NAMES
        and place is not None
        and properties[key, condition, _SETPOINT] is None
        and inputs.get(condition) == nodes[key]
    )


async def read_limits(
    client: Client, places: Sequence[LimitNode], most: int
) -> dict[str, tuple[AlarmLimit, ...]]:
    """Key of a measurement -> its limits now, those that are numbers; most: nodes a request."""
    if not places:
        return {}
    values = await read_attribute(
        client, [place.node for place in places], ua.AttributeIds.Value, most
    )
    found: dict[str, tuple[AlarmLimit, ...]] = {}
    for place, told in zip(places, values, strict=True):
        value = None if told.Value is None else told.Value.Value
        if isinstance(value, float | int) and math.isfinite(value):
            limit = AlarmLimit(name=place.name, value=float(value), condition=place.condition)
            found[place.key] = (*found.get(place.key, ()), limit)
    return found


async def _conditions(client: Client, key: str, node: ua.NodeId) -> list[tuple[str, ua.NodeId]]:
    """(key, condition) of every condition of a tag and of the objects it is part of."""
    parents = await client.get_node(node).get_references(
        ua.ObjectIds.HierarchicalReferences, ua.BrowseDirection.Inverse, ua.NodeClass.Object
    )
    found = []
    for source in (node, *(parent.NodeId for parent in parents)):
        references = await client.get_node(source).get_references(
            ua.ObjectIds.HasCondition, ua.BrowseDirection.Forward, ua.NodeClass.Object
        )
        found += [(key, one.NodeId) for one in references if one.TypeDefinition not in _RELATIVE]
    return found


async def _properties(
    client: Client, wanted: Iterable[tuple[ua.NodeId, str]], limits: OperationLimits
) -> list[ua.NodeId | None]:
    """The node of each (owner, name of a property), None where there is none."""
    found: list[ua.NodeId | None] = []
    for chunk in chunks(wanted, limits.translate):
        results = await client.uaclient.session.translate_browsepaths_to_nodeids(
            [property_path(owner, name) for owner, name in chunk]
        )
        found += [
            one.Targets[0].TargetId if one.StatusCode.is_good() and one.Targets else None
            for one in results
        ]
    return found


def property_path(owner: ua.NodeId, name: str) -> ua.BrowsePath:
    """The path to a property of the standard's."""
    element = ua.RelativePathElement(
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasProperty),
        IsInverse=False,
        IncludeSubtypes=True,
        TargetName=ua.QualifiedName(name, 0),
    )
    return ua.BrowsePath(StartingNode=owner, RelativePath=ua.RelativePath(Elements=[element]))


async def _inputs(
    client: Client,
    properties: Mapping[tuple[str, ua.NodeId, str], ua.NodeId | None],
    limits: OperationLimits,
) -> dict[ua.NodeId, Any]:
    """Condition -> the node it watches."""
    places = {
        condition: place
        for (_, condition, name), place in properties.items()
        if name == _INPUT and place is not None
    }
    values = await read_attribute(client, list(places.values()), ua.AttributeIds.Value, limits.read)
    return {
        condition: None if told.Value is None else told.Value.Value
        for condition, told in zip(places, values, strict=True)
    }
