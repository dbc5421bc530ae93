"""References to OPC UA nodes as they are written in tags.toml.

Two forms.  A browse path below the Objects folder, every segment in one namespace:
`plant:/R101/PV/PolymerConc`; a segment with "/", "#" or "&" in its name escapes it with "&", as in
the relative paths of OPC UA (Part 4, A.2).  Or a node id: `nsu=urn:vendor;s=FT101`, `ns=2;i=1001`,
`i=2258`, or with a prefix of [namespaces]: `plant:i=1001`.  A method is written as
`<object>#<method>`, two references.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = re.compile(r"^([A-Za-z][A-Za-z0-9_-]*):(?=/|[isgb]=)")
_NODE_ID = re.compile(r"^(?:nsu=(?P<uri>[^;]+);|ns=(?P<index>\d+);)?(?P<kind>[isgb])=(?P<id>.+)$")
_SPLIT_PATH = re.compile(r"(?<!&)(?:&&)*/")
_ESCAPED = re.compile(r"&([/#&])")
_MAX_NUMERIC = 2**32 - 1
_MAX_INDEX = 2**16 - 1

FORMS = (
    '"<prefix>:/A/B/C" (browse path below Objects, prefix from [namespaces]), '
    '"nsu=<uri>;s=<name>", "ns=<index>;i=<number>" or "<prefix>:i=<number>"'
)


class ReferenceFormatError(ValueError):
    """A reference that cannot be read; the message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowsePath:
    """A path below the Objects folder; every segment is in the namespace `uri`."""

    text: str
    uri: str
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdRef:
    """A node id.  kind: "i", "s", "g" or "b".  Exactly one of uri and index is not None."""

    text: str
    kind: str
    identifier: str
    uri: str | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRef:
    """A method and the object it is called on."""

    object: BrowsePath | NodeIdRef
    method: BrowsePath | NodeIdRef


NodeRef: TypeAlias = BrowsePath | NodeIdRef


def parse_reference(text: str, namespaces: Mapping[str, str]) -> NodeRef:
    """Read one reference.  Raises ReferenceFormatError."""
    prefix = _PREFIX.match(text)
    if prefix is None:
        return _node_id(text, text, uri=None)
    name, rest = prefix.group(1), text[prefix.end() :]
    if name not in namespaces:
        known = ", ".join(namespaces) or "none"
        raise ReferenceFormatError(
            f'a reference whose prefix stands in [namespaces]; "{name}" does not (known: {known})'
        )
    if rest.startswith("/"):
        return _browse_path(text, rest, namespaces[name])
    return _node_id(text, rest, uri=namespaces[name])


def parse_method(text: str, namespaces: Mapping[str, str]) -> MethodRef:
    """Read `<object>#<method>`.  Raises ReferenceFormatError."""
    parts = re.split(r"(?<!&)#", text)
    if len(parts) != 2:
        raise ReferenceFormatError(
            'a method, "<object reference>#<method reference>", for instance '
            '"plant:/APC#plant:/APC/TakeLease"'
        )
    return MethodRef(
        object=parse_reference(parts[0], namespaces), method=parse_reference(parts[1], namespaces)
    )


def _browse_path(text: str, path: str, uri: str) -> BrowsePath:
    segments = tuple(_ESCAPED.sub(r"\1", part) for part in _split(path[1:]))
    if not all(segment.strip() for segment in segments):
        raise ReferenceFormatError("a browse path without empty segments, such as plant:/A/B/C")
    return BrowsePath(text=text, uri=uri, segments=segments)


def _split(path: str) -> list[str]:
    """Split at every "/" that no "&" escapes; "&&" is an escaped "&"."""
    parts, start = [], 0
    for match in _SPLIT_PATH.finditer(path):
        parts.append(path[start : match.end() - 1])
        start = match.end()
    return [*parts, path[start:]]


def _node_id(text: str, rest: str, *, uri: str | None) -> NodeIdRef:
    match = _NODE_ID.match(rest)
    if match is None:
        raise ReferenceFormatError(FORMS)
    kind, identifier = match.group("kind"), match.group("id")
    given_uri, index = match.group("uri"), match.group("index")
    if uri is not None and (given_uri or index):
        raise ReferenceFormatError("a prefix or a namespace, not both")
    _check_identifier(kind, identifier)
    if index is not None and int(index) > _MAX_INDEX:
        raise ReferenceFormatError(f"a namespace index from 0 to {_MAX_INDEX}")
    uri = uri or given_uri
    number = None if uri else int(index or 0)
    return NodeIdRef(text=text, kind=kind, identifier=identifier, uri=uri, index=number)


def _check_identifier(kind: str, identifier: str) -> None:
    try:
        match kind:
            case "i":
                valid = identifier.isdecimal() and int(identifier) <= _MAX_NUMERIC
            case "g":
                valid = bool(uuid.UUID(identifier))
            case "b":
                valid = bool(base64.b64decode(identifier, validate=True))
            case _:
                valid = True
    except (ValueError, binascii.Error):
        valid = False
    if not valid:
        names = {"i": f"a number up to {_MAX_NUMERIC}", "g": "a GUID", "b": "base64 text"}
        raise ReferenceFormatError(f'{names[kind]} after "{kind}="')
