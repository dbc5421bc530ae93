"""Alarm limits of measurements, as a server tells them (LimitAlarmType, OPC 10000-9).

Where a server shows its conditions, HasCondition leads to them from the measured tag, or from the
object that the tag is part of; InputNode then says which tag is meant.  A condition of the tag's
own needs none.  What a server may make us ask and keep is bounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.hmi.alarm_events import key_of
from controller.opcua.operation_limits import chunks, read_attribute
from controller.opcua.survey import browse_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asyncua import Client

    from controller.opcua.operation_limits import OperationLimits

NAMES = {"HighHighLimit": "HH", "HighLimit": "H", "LowLimit": "L", "LowLowLimit": "LL"}
"""Property of a condition -> what operators call the limit."""

MOST_PARENTS, MOST_CONDITIONS, MOST_LIMITS = 8, 64, 16
"""Of one measurement: objects that are asked, conditions of all of them, and limits kept."""

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
    """Where the limits of these measurements are read.

    nodes: logical key of a measurement -> its node.  Raises FAULTS of `controller.opcua.endpoint`.
    """
    wanted = await _conditions(client, nodes, limits)
    conditions = dict.fromkeys(condition for _, condition in wanted)
    names = [*NAMES, _INPUT, _SETPOINT]
    asked = [(condition, name) for condition in conditions for name in names]
    properties = dict(zip(asked, await _properties(client, asked, limits), strict=True))
    inputs = await _inputs(client, properties, limits)
    return tuple(
        LimitNode(key=key, name=NAMES[name], condition=key_of(condition), node=place)
        for (key, condition), own in wanted.items()
        if properties[condition, _SETPOINT] is None
        and (inputs.get(condition) == nodes[key] or (own and _names_none(inputs, condition)))
        for name in NAMES
        if (place := properties[condition, name]) is not None
    )


async def read_limits(
    client: Client, places: Sequence[LimitNode], most: int
) -> dict[str, tuple[AlarmLimit, ...]]:
    """Key of a measurement -> its limits now, those that are good numbers, up to `MOST_LIMITS`.

    most: nodes a request.  Raises FAULTS of `controller.opcua.endpoint`.
    """
    values = await read_attribute(
        client, [place.node for place in places], ua.AttributeIds.Value, most
    )
    found: dict[str, tuple[AlarmLimit, ...]] = {}
    for place, told in zip(places, values, strict=True):
        value, before = _good(told), found.get(place.key, ())
        if isinstance(value, bool) or not isinstance(value, float | int):
            continue
        if math.isfinite(value) and len(before) < MOST_LIMITS:
            limit = AlarmLimit(name=place.name, value=float(value), condition=place.condition)
            found[place.key] = (*before, limit)
    return found


def _good(told: ua.DataValue) -> Any:
    """A value with a good status, None without."""
    good = told.StatusCode is None or told.StatusCode.is_good()
    return told.Value.Value if good and told.Value is not None else None


async def _conditions(
    client: Client, nodes: Mapping[str, ua.NodeId], limits: OperationLimits
) -> dict[tuple[str, ua.NodeId], bool]:
    """(key, condition) of each tag and of the objects it is part of -> whether it is the tag's own.

    The own come first.
    """
    parents = await _referenced(
        client,
        nodes.values(),
        _Question(
            ua.ObjectIds.HierarchicalReferences, ua.BrowseDirection.Inverse, limits, MOST_PARENTS
        ),
    )
    sources = dict.fromkeys([*nodes.values(), *(one for some in parents.values() for one in some)])
    forward = ua.BrowseDirection.Forward
    question = _Question(ua.ObjectIds.HasCondition, forward, limits, MOST_CONDITIONS)
    found = await _referenced(client, sources, question)
    wanted: dict[tuple[str, ua.NodeId], bool] = {}
    for key, node in nodes.items():
        own = dict.fromkeys(found[node], True)
        of_parents = (one for parent in parents[node] for one in found[parent])
        every = {**dict.fromkeys(of_parents, False), **own}
        first = sorted(every.items(), key=lambda item: not item[1])[:MOST_CONDITIONS]
        wanted |= {(key, condition): is_own for condition, is_own in first}
    return wanted


@dataclass(frozen=True, slots=True)
class _Question:
    """Which objects nodes refer to, at most `most` each."""

    references: int
    direction: ua.BrowseDirection
    limits: OperationLimits
    most: int


async def _referenced(
    client: Client, nodes: Iterable[ua.NodeId], question: _Question
) -> dict[ua.NodeId, list[ua.NodeId]]:
    """Node -> the objects that it refers to, less conditions whose limits are relative."""
    found: dict[ua.NodeId, list[ua.NodeId]] = {}
    for chunk in chunks(nodes, question.limits.browse):
        request = browse_request(
            chunk, question.references, ua.NodeClass.Object, page=question.most
        )
        for item in request.NodesToBrowse:
            item.BrowseDirection = question.direction
        results = await client.uaclient.browse(request)
        for node, result in zip(chunk, results, strict=True):
            references = await _pages(client, result, question.most)
            found[node] = [
                ua.NodeId(one.NodeId.Identifier, one.NodeId.NamespaceIndex, one.NodeId.NodeIdType)
                for one in references
                if one.TypeDefinition not in _RELATIVE
            ]
    return found


async def _pages(
    client: Client, result: ua.BrowseResult, most: int
) -> list[ua.ReferenceDescription]:
    """The first references of a node, from as many pages; the server forgets the others."""
    found = list(result.References or ())
    for page in range(most):
        if not result.ContinuationPoint:
            break
        enough = len(found) >= most or page == most - 1
        request = ua.BrowseNextParameters(
            ReleaseContinuationPoints=enough, ContinuationPoints=[result.ContinuationPoint]
        )
        answer = await client.uaclient.browse_next(request)
        if enough:
            break
        (result,) = answer
        found += result.References or ()
    return found[:most]


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
    properties: Mapping[tuple[ua.NodeId, str], ua.NodeId | None],
    limits: OperationLimits,
) -> dict[ua.NodeId, Any]:
    """Condition that has such a property -> the node it watches, None where that is not told."""
    places = {
        condition: place
        for (condition, name), place in properties.items()
        if name == _INPUT and place is not None
    }
    values = await read_attribute(client, list(places.values()), ua.AttributeIds.Value, limits.read)
    return {condition: _good(told) for condition, told in zip(places, values, strict=True)}


def _names_none(inputs: Mapping[ua.NodeId, Any], condition: ua.NodeId) -> bool:
    """Whether a condition does not say what it watches: no InputNode, or a null one."""
    if condition not in inputs:
        return True
    watched = inputs[condition]
    return isinstance(watched, ua.NodeId) and watched.is_null()
