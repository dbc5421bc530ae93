"""The tag table as OPC UA nodes: the items of every object, variable, method, type and reference.

Analogue tags are `AnalogUnitRangeType` with `EURange` and `EngineeringUnits` (codes of UNECE
Recommendation 20), enumerations are data types of their own with `EnumStrings`.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from asyncua import ua

from plant_sim.opcua.methods import METHODS
from plant_sim.unit.alarm_table import DEFINITIONS
from plant_sim.unit.alarms import Definition
from plant_sim.unit.tag_table import ENUM_TYPES, FOLDERS, NOTIFIER, TAGS
from plant_sim.unit.tags import Argument, Kind, Method, Tag

UNITS = {
    "kg/m3": ("KMQ", "kg/m³", "kilogram per cubic metre"),
    "mol/m3": ("C36", "mol/m³", "mole per cubic metre"),
    "K": ("KEL", "K", "kelvin"),
    "kg/h": ("E93", "kg/h", "kilogram per hour"),
    "s": ("SEC", "s", "second"),
    "ms": ("C26", "ms", "millisecond"),
}
"""Unit -> UNECE common code, symbol, name (UNECE Recommendation 20)."""
UNIT_NAMESPACE = "http://www.opcfoundation.org/UA/units/un/cefact"
LIMIT_NAMES = {"T_H": "High", "T_HH": "HighHigh"}
"""Alarms with a limit: which one it is (OPC 10000-9, LimitAlarmType)."""
PROPERTY_OFFSET = 100_000
"""A property's node id is this plus ten times its owner's id, plus its place."""

READ = ua.AccessLevel.CurrentRead.mask
WRITE = ua.AccessLevel.CurrentWrite.mask
HISTORY_READ = ua.AccessLevel.HistoryRead.mask
VARIANT_TYPES = {kind: ua.VariantType[kind.value] for kind in Kind}
_TAG_NUMBERS = {tag.path: tag.number for tag in TAGS}
_BLANK: dict[Kind, Any] = {
    Kind.BOOLEAN: False,
    Kind.UINT32: 0,
    Kind.DOUBLE: 0.0,
    Kind.STRING: "",
    Kind.DATETIME: None,
    Kind.ENUM: 0,
}


def unit_id(code: str) -> int:
    """UnitId of a UNECE common code: its characters as bytes, first one highest (OPC 10000-8)."""
    return int.from_bytes(code.encode("ascii"), "big")


def engineering_units(unit: str) -> ua.EUInformation:
    """The EngineeringUnits property of a unit of `UNITS`."""
    code, symbol, name = UNITS[unit]
    return ua.EUInformation(
        NamespaceUri=UNIT_NAMESPACE,
        UnitId=unit_id(code),
        DisplayName=ua.LocalizedText(symbol),
        Description=ua.LocalizedText(name),
    )


def access_level(tag: Tag, *, may_write: bool) -> int:
    """AccessLevel of a tag: everybody reads it and its history, if it has one."""
    return int(READ | (WRITE if may_write else 0) | (HISTORY_READ if tag.history else 0))


def node_items(index: int) -> Iterator[ua.AddNodesItem]:
    """Every node of the soft plant in namespace `index`, parents first."""
    for enum, number in ENUM_TYPES.items():
        yield from _enumeration(enum, number, index)
    for path, number in FOLDERS.items():
        notifies = ua.EventNotifier.SubscribeToEvents.mask if path == NOTIFIER else 0
        attributes = ua.ObjectAttributes(DisplayName=_text(_name(path)), EventNotifier=notifies)
        yield _item(
            path, number, index, ua.NodeClass.Object, attributes, type_name="BaseObjectType"
        )
    for tag in TAGS:
        yield from _variable(tag, index)
    for method in METHODS:
        yield from _method(method, index)
    for alarm in DEFINITIONS:
        yield from _alarm_properties(alarm, index)


def condition_references(index: int) -> Iterator[ua.AddReferencesItem]:
    """From what an alarm watches to its condition, so that a client finds it from the tag."""
    numbers = {**FOLDERS, **_TAG_NUMBERS}
    for alarm in DEFINITIONS:
        is_tag = alarm.source in _TAG_NUMBERS
        source = ua.NodeId(numbers[alarm.source], index)
        target = ua.NodeId(alarm.number, index)
        for one, other, forward, node_class in (
            (source, target, True, ua.NodeClass.Object),
            (target, source, False, ua.NodeClass.Variable if is_tag else ua.NodeClass.Object),
        ):
            yield ua.AddReferencesItem(
                SourceNodeId=one,
                ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasCondition),
                IsForward=forward,
                TargetNodeId=other,
                TargetNodeClass=node_class,
            )


def _alarm_properties(alarm: Definition, index: int) -> Iterator[ua.AddNodesItem]:
    """What OPC 10000-9 calls the input and the limits of an alarm; they never change here."""
    properties: dict[str, ua.Variant] = {}
    if alarm.source in _TAG_NUMBERS:
        node = ua.NodeId(_TAG_NUMBERS[alarm.source], index)
        properties["InputNode"] = ua.Variant(node, ua.VariantType.NodeId)
    if alarm.limit is not None:
        name = LIMIT_NAMES[alarm.name]
        double = ua.VariantType.Double
        properties[f"{name}Limit"] = ua.Variant(alarm.limit.value, double)
        properties[f"{name}Deadband"] = ua.Variant(alarm.limit.deadband, double)
    for place, (name, value) in enumerate(properties.items()):
        yield _property(alarm.number, place, name, value, index)


def _item(
    path: str,
    number: int,
    index: int,
    node_class: ua.NodeClass,
    attributes: Any,
    *,
    type_name: str | None = None,
) -> ua.AddNodesItem:
    """A node below its parent object, or below Objects."""
    parent = parent_path(path)
    reference = ua.ObjectIds.HasComponent if parent else ua.ObjectIds.Organizes
    item = ua.AddNodesItem()
    item.RequestedNewNodeId = ua.NodeId(number, index)
    item.BrowseName = ua.QualifiedName(_name(path), index)
    item.ParentNodeId = (
        ua.NodeId(FOLDERS[parent], index) if parent else ua.NodeId(ua.ObjectIds.ObjectsFolder)
    )
    item.ReferenceTypeId = ua.NodeId(reference)
    item.NodeClass = node_class
    item.NodeAttributes = attributes
    if type_name is not None:
        item.TypeDefinition = ua.NodeId(getattr(ua.ObjectIds, type_name))
    return item


def _variable(tag: Tag, index: int) -> Iterator[ua.AddNodesItem]:
    attributes = ua.VariableAttributes(
        DisplayName=_text(_name(tag.path)),
        Description=_text(tag.about),
        Value=ua.Variant(_BLANK[tag.kind], VARIANT_TYPES[tag.kind]),
        DataType=(
            ua.NodeId(ENUM_TYPES[tag.enum], index)
            if tag.enum
            else ua.NodeId(VARIANT_TYPES[tag.kind].value)
        ),
        ValueRank=ua.ValueRank.Scalar,
        AccessLevel=access_level(tag, may_write=tag.writer is not None),
        UserAccessLevel=access_level(tag, may_write=False),
        Historizing=tag.history,
    )
    properties: list[tuple[str, Any]] = []
    if tag.range:
        properties.append(("EURange", ua.Range(Low=tag.range[0], High=tag.range[1])))
    if tag.unit:
        properties.append(("EngineeringUnits", engineering_units(tag.unit)))
    yield _item(
        tag.path, tag.number, index, ua.NodeClass.Variable, attributes, type_name=_type_of(tag)
    )
    for place, (name, value) in enumerate(properties):
        yield _property(tag.number, place, name, ua.Variant(value), index)


def _type_of(tag: Tag) -> str:
    if tag.kind is not Kind.DOUBLE:
        return "BaseDataVariableType"
    match bool(tag.range), bool(tag.unit):
        case True, True:
            return "AnalogUnitRangeType"
        case True, False:
            return "AnalogItemType"
        case False, True:
            return "AnalogUnitType"
        case _:
            return "BaseDataVariableType"


def _method(method: Method, index: int) -> Iterator[ua.AddNodesItem]:
    attributes = ua.MethodAttributes(
        DisplayName=_text(_name(method.path)),
        Description=_text(method.about),
        Executable=True,
        UserExecutable=False,
    )
    yield _item(method.path, method.number, index, ua.NodeClass.Method, attributes)
    lists = (("InputArguments", method.inputs), ("OutputArguments", method.outputs))
    for place, (name, arguments) in enumerate(lists):
        if arguments:
            variant = ua.Variant(
                [_argument(argument) for argument in arguments], ua.VariantType.ExtensionObject
            )
            yield _property(method.number, place, name, variant, index)


def _argument(argument: Argument) -> ua.Argument:
    return ua.Argument(
        Name=argument.name,
        DataType=ua.NodeId(VARIANT_TYPES[argument.kind].value),
        ValueRank=-1,
        ArrayDimensions=[],
        Description=_text(argument.about),
    )


def _enumeration(enum: type[IntEnum], number: int, index: int) -> Iterator[ua.AddNodesItem]:
    names = [_text(member.name) for member in enum]
    fields = [
        ua.EnumField(Name=member.name, Value=int(member), DisplayName=_text(member.name))
        for member in enum
    ]
    item = ua.AddNodesItem()
    item.RequestedNewNodeId = ua.NodeId(number, index)
    item.BrowseName = ua.QualifiedName(enum.__name__, index)
    item.ParentNodeId = ua.NodeId(ua.ObjectIds.Enumeration)
    item.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HasSubtype)
    item.NodeClass = ua.NodeClass.DataType
    item.NodeAttributes = ua.DataTypeAttributes(
        DisplayName=_text(enum.__name__),
        IsAbstract=False,
        DataTypeDefinition=ua.EnumDefinition(Fields=fields),
    )
    yield item
    yield _property(
        number, 0, "EnumStrings", ua.Variant(names, ua.VariantType.LocalizedText), index
    )


def _property(owner: int, place: int, name: str, value: ua.Variant, index: int) -> ua.AddNodesItem:
    data_type = value.VariantType.value
    if value.VariantType is ua.VariantType.ExtensionObject:
        content = value.Value[0] if value.is_array else value.Value
        data_type = getattr(ua.ObjectIds, type(content).__name__)
    rank = ua.ValueRank.OneDimension if value.is_array else ua.ValueRank.Scalar
    item = ua.AddNodesItem()
    item.RequestedNewNodeId = ua.NodeId(PROPERTY_OFFSET + 10 * owner + place, index)
    item.BrowseName = ua.QualifiedName(name, 0)
    item.ParentNodeId = ua.NodeId(owner, index)
    item.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HasProperty)
    item.NodeClass = ua.NodeClass.Variable
    item.TypeDefinition = ua.NodeId(ua.ObjectIds.PropertyType)
    item.NodeAttributes = ua.VariableAttributes(
        DisplayName=_text(name),
        Value=value,
        DataType=ua.NodeId(data_type),
        ValueRank=rank,
        AccessLevel=READ,
        UserAccessLevel=READ,
    )
    return item


def _text(text: str) -> ua.LocalizedText:
    return ua.LocalizedText(text)


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def parent_path(path: str) -> str:
    """Browse path of the object that holds `path`; empty below Objects."""
    return path.rpartition("/")[0]
