"""What a server says about its variables: type, unit, range, access, present value.

Used by `trimtab check` and `trimtab tags browse`; every request is batched.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.ua_utils import data_type_to_variant_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from asyncua import Client

CHUNK = 200
"""Nodes in one request; servers limit it, and 200 is below every limit met so far."""

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


def unece(code: str) -> int:
    """UnitId of a UNECE common code: its letters as bytes (OPC 10000-8, 5.6.3)."""
    return int.from_bytes(code.encode("ascii"), "big")


UNIT_IDS = {
    unece("KEL"): "K",
    unece("CEL"): "degC",
    unece("FAH"): "degF",
    unece("E93"): "kg/h",
    unece("KGS"): "kg/s",
    unece("KMQ"): "kg/m3",
    unece("GL"): "g/L",
    unece("P1"): "percent",
}
"""UNECE Recommendation 20 code -> the name in tags.toml."""

UNIT_TEXTS = {
    "k": "K",
    "°c": "degC",
    "degc": "degC",
    "deg c": "degC",
    "°f": "degF",
    "degf": "degF",
    "kg/h": "kg/h",
    "kg/hr": "kg/h",
    "kg/s": "kg/s",
    "g/s": "g/s",
    "kg/m³": "kg/m3",
    "kg/m3": "kg/m3",
    "kg/m^3": "kg/m3",
    "g/l": "g/L",
    "%": "percent",
    "percent": "percent",
}
"""What servers show, in lower case -> the name in tags.toml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node as the server describes it.

    kind: encoding of the value, None where it is none that is known.  unit: the name that
    tags.toml uses, None where unknown; unit_text: what the server shows.  range: its EURange.
    writable: by somebody; user_writable: by the connected user.
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

    @property
    def numeric(self) -> bool:
        """True for a number."""
        return self.kind in NUMERIC

    @property
    def kind_name(self) -> str:
        """Return the type in OPC UA's words."""
        return "unknown" if self.kind is None else str(self.kind.name)


def unit_name(unit_id: int, text: str) -> str | None:
    """Return the unit as tags.toml calls it, None where it is not known."""
    return UNIT_IDS.get(unit_id) or UNIT_TEXTS.get(text.strip().lower())


def chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    """Split into lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


async def survey(client: Client, ids: Sequence[ua.NodeId]) -> list[NodeFacts]:
    """Facts of every node, in order.  Raises what asyncua raises when a request fails."""
    columns = [await _attribute(client, ids, attribute) for attribute in ATTRIBUTES]
    properties = await _properties(client, ids)
    kinds: dict[ua.NodeId, ua.VariantType | None] = {}
    facts = []
    for place, node in enumerate(ids):
        row = [column[place] for column in columns]
        facts.append(await _facts(client, row, properties.get(node, {}), kinds))
    return facts


async def _attribute(
    client: Client, ids: Sequence[ua.NodeId], attribute: ua.AttributeIds
) -> list[ua.DataValue]:
    found: list[ua.DataValue] = []
    for chunk in chunks(ids):
        found += await client.uaclient.read_attributes(chunk, attribute)
    return found


async def _properties(client: Client, ids: Sequence[ua.NodeId]) -> dict[ua.NodeId, dict[str, Any]]:
    """EURange and EngineeringUnits of every node that has them."""
    owners: list[tuple[ua.NodeId, str, ua.NodeId]] = []
    for chunk in chunks(ids):
        results = await client.uaclient.browse(browse_request(chunk, ua.ObjectIds.HasProperty))
        for node, result in zip(chunk, results, strict=True):
            owners += [
                (node, reference.BrowseName.Name, reference.NodeId)
                for reference in result.References or ()
                if reference.BrowseName.Name in {"EURange", "EngineeringUnits"}
            ]
    values = await _attribute(client, [owner[2] for owner in owners], ua.AttributeIds.Value)
    found: dict[ua.NodeId, dict[str, Any]] = {}
    for (node, name, _), value in zip(owners, values, strict=True):
        found.setdefault(node, {})[name] = _content(value)
    return found


def browse_request(
    nodes: Sequence[ua.NodeId], references: int, classes: int = 0
) -> ua.BrowseParameters:
    """Ask for the forward references of nodes, by type and, unless 0, by class of the target."""
    return ua.BrowseParameters(
        View=ua.ViewDescription(),
        RequestedMaxReferencesPerNode=0,
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


async def _facts(
    client: Client,
    row: Sequence[ua.DataValue],
    properties: dict[str, Any],
    kinds: dict[ua.NodeId, ua.VariantType | None],
) -> NodeFacts:
    node_class, data_type, rank, access, user_access = (_content(cell) for cell in row[:5])
    if node_class is None:
        return NodeFacts(exists=False)
    if data_type is not None and data_type not in kinds:
        kinds[data_type] = await _kind(client, data_type)
    units, limits = properties.get("EngineeringUnits"), properties.get("EURange")
    text = str(getattr(getattr(units, "DisplayName", None), "Text", None) or "")
    level, user_level = int(access or 0), int(user_access or 0)
    return NodeFacts(
        exists=True,
        variable=node_class == ua.NodeClass.Variable,
        kind=None if data_type is None else kinds[data_type],
        scalar=rank is not None and int(rank) < 0,
        readable=bool(level & user_level & ua.AccessLevel.CurrentRead.mask),
        writable=bool(level & ua.AccessLevel.CurrentWrite.mask),
        user_writable=bool(level & user_level & ua.AccessLevel.CurrentWrite.mask),
        unit=unit_name(int(getattr(units, "UnitId", -1)), text),
        unit_text=text,
        range=None if limits is None else _range(limits),
        value=row[5],
    )


def _range(limits: Any) -> tuple[float, float] | None:
    low, high = getattr(limits, "Low", None), getattr(limits, "High", None)
    return (float(low), float(high)) if low is not None and high is not None else None


def _content(answer: ua.DataValue) -> Any:
    status = answer.StatusCode
    if status is not None and not status.is_good():
        return None
    return None if answer.Value is None else answer.Value.Value


async def _kind(client: Client, data_type: ua.NodeId) -> ua.VariantType | None:
    try:
        kind = await data_type_to_variant_type(client.get_node(data_type))
    except (ua.UaError, ValueError):
        return None
    return None if kind is ua.VariantType.Variant else kind
