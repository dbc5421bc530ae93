"""Values of properties as elements of a NodeSet2 file (OPC 10000-6, 5.3)."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

from asyncua import ua

_PLAIN = frozenset(
    (
        ua.VariantType.SByte,
        ua.VariantType.Byte,
        ua.VariantType.Int16,
        ua.VariantType.UInt16,
        ua.VariantType.Int32,
        ua.VariantType.UInt32,
        ua.VariantType.Int64,
        ua.VariantType.UInt64,
        ua.VariantType.Double,
        ua.VariantType.String,
    )
)

Name = Callable[[ua.NodeId], str]
"""A node id as the file writes it."""


def value_element(value: ua.Variant, name: Name) -> ET.Element | None:
    """The element of a value; None for one of a type that the plant's properties do not have."""
    kind = value.VariantType
    if value.Value is None:
        return None
    if not isinstance(value.Value, list):
        return _one(kind, value.Value, name)
    elements = [_one(kind, one, name) for one in value.Value]
    whole = [one for one in elements if one is not None]
    if len(whole) < len(elements):
        return None
    array = ET.Element(f"uax:ListOf{kind.name}")
    array.extend(whole)
    return array


def _one(kind: ua.VariantType, value: Any, name: Name) -> ET.Element | None:
    element = ET.Element(f"uax:{kind.name}")
    if kind in _PLAIN:
        element.text = str(value)
    elif kind is ua.VariantType.Boolean:
        element.text = "true" if value else "false"
    elif kind is ua.VariantType.LocalizedText:
        _text(element, value)
    elif kind is ua.VariantType.NodeId:
        _child(element, "Identifier", name(value))
    elif kind is ua.VariantType.ExtensionObject and type(value) in _FIELDS:
        _structure(element, value, name)
    else:
        return None
    return element


def _structure(element: ET.Element, value: Any, name: Name) -> None:
    type_name = type(value).__name__
    encoding = getattr(ua.ObjectIds, f"{type_name}_Encoding_DefaultXml")
    _child(ET.SubElement(element, "uax:TypeId"), "Identifier", name(ua.NodeId(encoding)))
    body = ET.SubElement(ET.SubElement(element, "uax:Body"), f"uax:{type_name}")
    _FIELDS[type(value)](body, value, name)


def _range(body: ET.Element, value: ua.Range, name: Name) -> None:  # noqa: ARG001
    _child(body, "Low", str(value.Low))
    _child(body, "High", str(value.High))


def _unit(body: ET.Element, value: ua.EUInformation, name: Name) -> None:  # noqa: ARG001
    _child(body, "NamespaceUri", value.NamespaceUri)
    _child(body, "UnitId", str(value.UnitId))
    _text(ET.SubElement(body, "uax:DisplayName"), value.DisplayName)
    _text(ET.SubElement(body, "uax:Description"), value.Description)


def _argument(body: ET.Element, value: ua.Argument, name: Name) -> None:
    _child(body, "Name", value.Name)
    _child(ET.SubElement(body, "uax:DataType"), "Identifier", name(value.DataType))
    _child(body, "ValueRank", str(int(value.ValueRank)))
    ET.SubElement(body, "uax:ArrayDimensions")
    _text(ET.SubElement(body, "uax:Description"), value.Description)


_FIELDS: dict[type, Callable[[ET.Element, Any, Name], None]] = {
    ua.Range: _range,
    ua.EUInformation: _unit,
    ua.Argument: _argument,
}


def _text(element: ET.Element, text: ua.LocalizedText) -> None:
    _child(element, "Text", text.Text or "")


def _child(element: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(element, f"uax:{tag}").text = text
