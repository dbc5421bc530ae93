"""What a server says about its variables: type, unit, range, access, present value.

Used by `trimtab check` and `trimtab tags browse`; every request is batched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.ua_utils import data_type_to_variant_type

from controller.opcua.operation_limits import chunks, operation_limits, read_attribute
from controller.opcua.time_limit import time_limit
from controller.opcua.unit_names import unit_name
from controller.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asyncua import Client

CHUNK = 200
"""Nodes in one request, unless the server's own limit is lower."""

KIND_S = 5.0
"""Time allowed to find out what one data type is encoded as [s]."""

LONGEST_TEXT = 200
"""Characters of a server's word that are shown."""

MOST_NAMES = 100
"""Names of one enumeration that are looked at."""

NUMERIC = frozenset(
    (
        ua.VariantType.SByte,
        ua.VariantType.Byte,
        ua.VariantType.Int16,
        ua.VariantType.UInt16,
        ua.VariantType.Int32,
        ua.VariantType.UInt32,
        ua.VariantType.Int64,
        ua.VariantType.UInt64,
        ua.VariantType.Float,
        ua.VariantType.Double,
    )
)
ATTRIBUTES = (
    ua.AttributeIds.NodeClass,
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.AccessLevel,
    ua.AttributeIds.UserAccessLevel,
    ua.AttributeIds.Value,
)
PROPERTIES = frozenset({"EURange", "EngineeringUnits", "EnumStrings", "EnumValues"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node as the server describes it.

    kind: encoding of the value, None where it is none that is known.  unit: the name that
    tags.toml uses, None where unknown; unit_text: what the server shows.  range: its EURange.
    writable: by somebody; user_writable: by the connected user.  names: those of an enumeration's
    numbers.
    """

    exists: bool
    variable: bool = False
    kind: ua.VariantType | None = None
    scalar: bool = False
    readable: bool = False
    writable: bool = False
    user_writable: bool = False
    unit: str | None = None
    unit_text: str = ""
    range: tuple[float, float] | None = None
    value: ua.DataValue | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def numeric(self) -> bool:
        """True for a number."""
        return self.kind in NUMERIC

    @property
    def kind_name(self) -> str:
        """Return the type in OPC UA's words."""
        return "unknown" if self.kind is None else str(self.kind.name)

    @property
    def content(self) -> Any:
        """Return the present value, None where there is none of good quality."""
        return None if self.value is None else _content(self.value)


async def batch(client: Client) -> int:
    """Nodes that one request may name: the server's own limits, at most `CHUNK`."""
    limits = await operation_limits(client)
    return min(CHUNK, limits.read, limits.browse)


async def survey(client: Client, ids: Sequence[ua.NodeId]) -> list[NodeFacts]:
    """Facts of every node, in order.  Raises what asyncua raises when a request fails."""
    size = await batch(client)
    columns = [await read_attribute(client, ids, attribute, size) for attribute in ATTRIBUTES]
    properties = await _properties(client, ids, size)
    types = {kind for cell in columns[1] if isinstance(kind := _content(cell), ua.NodeId)}
    kinds = {kind: await _kind(client, kind) for kind in types}
    names = await _enumerations(client, types, size)
    facts = []
    for place, node in enumerate(ids):
        row = [_content(column[place]) for column in columns[:-1]]
        held = properties.get(node, {})
        facts.append(_facts(row, columns[-1][place], held, kinds, names))
    return facts


async def _properties(
    client: Client, ids: Sequence[ua.NodeId], size: int
) -> dict[ua.NodeId, dict[str, Any]]:
    """The `PROPERTIES` of every node that has them."""
    owners: list[tuple[ua.NodeId, str, ua.NodeId]] = []
    for chunk in chunks(ids, size):
        results = await client.uaclient.browse(browse_request(chunk, ua.ObjectIds.HasProperty))
        for node, result in zip(chunk, results, strict=True):
            owners += [
                (node, reference.BrowseName.Name, reference.NodeId)
                for reference in result.References or ()
                if reference.BrowseName.Name in PROPERTIES
            ]
    values = await read_attribute(client, [o[2] for o in owners], ua.AttributeIds.Value, size)
    found: dict[ua.NodeId, dict[str, Any]] = {}
    for (node, name, _), value in zip(owners, values, strict=True):
        found.setdefault(node, {})[name] = _content(value)
    return found


async def _enumerations(
    client: Client, types: Iterable[ua.NodeId], size: int
) -> dict[ua.NodeId, dict[int, str]]:
    """The names of the numbers of every enumeration among the server's own data types."""
    own = [kind for kind in types if kind.NamespaceIndex != 0]
    held = await _properties(client, own, size)
    answers = await read_attribute(client, own, ua.AttributeIds.DataTypeDefinition, size)
    found: dict[ua.NodeId, dict[int, str]] = {}
    for kind, answer in zip(own, answers, strict=True):
        definition = _content(answer)
        fields = definition.Fields if isinstance(definition, ua.EnumDefinition) else ()
        defined = {
            int(item.Value): printable(str(item.Name or "")[:LONGEST_TEXT])
            for item in (fields or ())[:MOST_NAMES]
        }
        found[kind] = _names(held.get(kind, {})) or defined
    return found


def _names(properties: Mapping[str, Any]) -> dict[int, str]:
    """EnumValues, or EnumStrings, whose places are the numbers."""
    values, strings = properties.get("EnumValues"), properties.get("EnumStrings")
    if isinstance(values, list):
        known = [item for item in values[:MOST_NAMES] if isinstance(item, ua.EnumValueType)]
        return {int(item.Value): _text(item.DisplayName) for item in known}
    texts = strings[:MOST_NAMES] if isinstance(strings, list) else ()
    return {number: _text(text) for number, text in enumerate(texts)}


def _text(localized: Any) -> str:
    """The first words of a text, as one printable line."""
    text = str(getattr(localized, "Text", None) or "")
    return printable(text[:LONGEST_TEXT])


def browse_request(
    nodes: Sequence[ua.NodeId], references: int, classes: int = 0, *, page: int = 0
) -> ua.BrowseParameters:
    """Ask for the forward references of nodes, by type and, unless 0, by class of the target.

    page: most references of a node in one answer; 0: as the server likes.
    """
    return ua.BrowseParameters(
        View=ua.ViewDescription(),
        RequestedMaxReferencesPerNode=page,
        NodesToBrowse=[
            ua.BrowseDescription(
                NodeId=node,
                BrowseDirection=ua.BrowseDirection.Forward,
                ReferenceTypeId=ua.NodeId(references),
                IncludeSubtypes=True,
                NodeClassMask=classes,
                ResultMask=ua.BrowseResultMask.All,
            )
            for node in nodes
        ],
    )


def _facts(
    row: Sequence[Any],
    value: ua.DataValue,
    properties: Mapping[str, Any],
    kinds: Mapping[ua.NodeId, ua.VariantType | None],
    names: Mapping[ua.NodeId, Mapping[int, str]],
) -> NodeFacts:
    node_class, data_type, *numbers = row
    if node_class is None:
        return NodeFacts(exists=False)
    if not isinstance(data_type, ua.NodeId):
        data_type = None
    rank, access, user_access = (_whole(number) for number in numbers)
    units, limits = properties.get("EngineeringUnits"), properties.get("EURange")
    text = _text(getattr(units, "DisplayName", None))
    level, user_level = access or 0, user_access or 0
    return NodeFacts(
        exists=True,
        variable=node_class == ua.NodeClass.Variable,
        kind=None if data_type is None else kinds[data_type],
        scalar=rank is not None and rank < 0,
        readable=bool(level & user_level & ua.AccessLevel.CurrentRead.mask),
        writable=bool(level & ua.AccessLevel.CurrentWrite.mask),
        user_writable=bool(level & user_level & ua.AccessLevel.CurrentWrite.mask),
        unit=unit_name(_whole(getattr(units, "UnitId", None)) or -1, text),
        unit_text=text,
        range=None if limits is None else _range(limits),
        value=value,
        names=_names(properties) or ({} if data_type is None else names.get(data_type, {})),
    )


def _whole(content: Any) -> int | None:
    return int(content) if isinstance(content, int) else None


def _range(limits: Any) -> tuple[float, float] | None:
    """EURange, where it is one: two finite numbers."""
    ends = (getattr(limits, "Low", None), getattr(limits, "High", None))
    low, high = (float(end) if isinstance(end, int | float) else math.nan for end in ends)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _content(answer: ua.DataValue) -> Any:
    status = answer.StatusCode
    if status is not None and not status.is_good():
        return None
    return None if answer.Value is None else answer.Value.Value


async def _kind(client: Client, data_type: ua.NodeId) -> ua.VariantType | None:
    try:
        async with time_limit(KIND_S):  # the types above it may lead in a circle
            kind = await data_type_to_variant_type(client.get_node(data_type))
    except (ua.UaError, ValueError, TypeError, TimeoutError):
        return None
    return None if kind is ua.VariantType.Variant else kind
