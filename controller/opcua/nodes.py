"""From the references of tags.toml to the node ids of one connected server.

Namespace indices belong to one run of a server, so every connection resolves anew.  What cannot be
found is returned, never raised: the caller decides whether to refuse or to try again.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from asyncua import ua
from asyncua.common.ua_utils import data_type_to_variant_type

from controller.configuration.references import BrowsePath, NodeIdRef
from controller.opcua.operation_limits import chunks, read_attribute

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncua import Client

    from controller.configuration.references import MethodRef, NodeRef
    from controller.opcua.operation_limits import OperationLimits

OBJECTS = ua.NodeId(ua.ObjectIds.ObjectsFolder)
CURRENT_TIME = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
NAMESPACE_ARRAY = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
ABSTRACT_TYPES = (ua.VariantType.Variant,)
MISSING_NODES, WRONG_TYPES = "missing nodes", "wrong types"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A reference that this server does not have, and why."""

    key: str
    reference: str
    detail: str


class NodesRefusedError(Exception):
    """Nodes of the server do not serve what tags.toml wants of them; the message names them."""

    status: ClassVar[str]


class MissingNodesError(NodesRefusedError):
    """References of tags.toml that the server does not have."""

    status = MISSING_NODES

    def __init__(self, missing: tuple[Missing, ...]) -> None:
        self.missing = missing
        lines = [f"{item.key} = {item.reference!r}: {item.detail}" for item in missing]
        super().__init__("\n".join(lines))


class WrongTypesError(NodesRefusedError):
    """Targets of tags.toml whose nodes hold no fraction: an integer or a Boolean would cut it."""

    status = WRONG_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressBook:
    """Node ids by logical tag key; methods as (object, method)."""

    nodes: Mapping[str, ua.NodeId]
    methods: Mapping[str, tuple[ua.NodeId, ua.NodeId]]
    missing: tuple[Missing, ...]


async def resolve(
    client: Client,
    references: Mapping[str, NodeRef],
    methods: Mapping[str, MethodRef],
    limits: OperationLimits,
) -> AddressBook:
    """Find every reference on the connected server, in as few requests as its limits allow.

    Raises what asyncua raises when a request as a whole fails.
    """
    uris: list[str] = list(await client.get_namespace_array())
    wanted: dict[str, NodeRef] = dict(references)
    for key, method in methods.items():
        wanted[f"{key}#object"] = method.object
        wanted[f"{key}#method"] = method.method
    found, missing = await _resolve_all(client, wanted, uris, limits)
    return AddressBook(
        nodes={key: found[key] for key in references if key in found},
        methods={
            key: (found[f"{key}#object"], found[f"{key}#method"])
            for key in methods
            if f"{key}#object" in found and f"{key}#method" in found
        },
        missing=missing,
    )


async def _resolve_all(
    client: Client, wanted: Mapping[str, NodeRef], uris: Sequence[str], limits: OperationLimits
) -> tuple[dict[str, ua.NodeId], tuple[Missing, ...]]:
    found: dict[str, ua.NodeId] = {}
    missing: list[Missing] = []
    paths: dict[str, BrowsePath] = {}
    for key, reference in wanted.items():
        problem = _unknown_namespace(reference, uris)
        if problem is not None:
            missing.append(Missing(key=key, reference=reference.text, detail=problem))
        elif isinstance(reference, NodeIdRef):
            found[key] = node_id(reference, uris)
        else:
            paths[key] = reference
    targets = await _walk(client, paths, uris, limits.translate)
    for key, target in targets.items():
        if isinstance(target, ua.NodeId):
            found[key] = target
        else:
            missing.append(Missing(key=key, reference=wanted[key].text, detail=target))
    for key, detail in (await _absent(client, found, limits.read)).items():
        del found[key]
        missing.append(Missing(key=key, reference=wanted[key].text, detail=detail))
    return found, tuple(missing)


def _unknown_namespace(reference: NodeRef, uris: Sequence[str]) -> str | None:
    if reference.uri is not None and reference.uri not in uris:
        return f'no namespace "{reference.uri}" here; there are: {", ".join(uris)}'
    return None


def node_id(reference: NodeIdRef, uris: Sequence[str]) -> ua.NodeId:
    """Return the node id with the namespace index that its URI has on this server."""
    index = reference.index if reference.uri is None else uris.index(reference.uri)
    identifier: Any
    match reference.kind:
        case "i":
            identifier = int(reference.identifier)
        case "g":
            identifier = uuid.UUID(reference.identifier)
        case "b":
            identifier = base64.b64decode(reference.identifier)
        case _:
            identifier = reference.identifier
    return ua.NodeId(identifier, index or 0)


async def _walk(
    client: Client, paths: Mapping[str, BrowsePath], uris: Sequence[str], most: int
) -> dict[str, ua.NodeId | str]:
    """Node id of each browse path, or why there is none; at most `most` paths a request."""
    relative = [_relative(path, uris.index(path.uri)) for path in paths.values()]
    results: list[ua.BrowsePathResult] = []
    for chunk in chunks(relative, most):
        results += await client.translate_browsepaths(OBJECTS, chunk)
    outcome: dict[str, ua.NodeId | str] = {}
    for (key, path), result in zip(paths.items(), results, strict=True):
        if result.StatusCode.is_good() and result.Targets:
            outcome[key] = result.Targets[0].TargetId
        else:
            outcome[key] = (
                f"no such path below Objects ({result.StatusCode.name}): {'/'.join(path.segments)}"
            )
    return outcome


def _relative(path: BrowsePath, index: int) -> ua.RelativePath:
    return ua.RelativePath(
        Elements=[
            ua.RelativePathElement(
                ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
                IsInverse=False,
                IncludeSubtypes=True,
                TargetName=ua.QualifiedName(segment, index),
            )
            for segment in path.segments
        ]
    )


async def _absent(client: Client, found: Mapping[str, ua.NodeId], most: int) -> dict[str, str]:
    """Which of the node ids do not exist, and the server's word for it."""
    ids = list(found.values())
    classes = await read_attribute(client, ids, ua.AttributeIds.NodeClass, most)
    return {
        key: f"no such node ({_status(answer).name})"
        for key, answer in zip(found, classes, strict=True)
        if not _status(answer).is_good()
    }


def _status(answer: ua.DataValue) -> ua.StatusCode:
    return answer.StatusCode if answer.StatusCode is not None else ua.StatusCode()


async def value_types(
    client: Client, nodes: Mapping[str, ua.NodeId], limits: OperationLimits
) -> dict[str, ua.VariantType]:
    """Encoding that each node's DataType asks for; servers refuse any other.

    An abstract DataType (Number) says nothing, then the present value's type is taken, and where
    there is none Double.
    """
    ids = list(nodes.values())
    declared = await read_attribute(client, ids, ua.AttributeIds.DataType, limits.read)
    present = await read_attribute(client, ids, ua.AttributeIds.Value, limits.read)
    types: dict[str, ua.VariantType] = {}
    for key, dtype, value in zip(nodes, declared, present, strict=True):
        types[key] = await _encoding(client, dtype)
        if types[key] in ABSTRACT_TYPES:
            types[key] = value.Value.VariantType if value.Value else ua.VariantType.Double
        if types[key] is ua.VariantType.Null:
            types[key] = ua.VariantType.Double
    return types


async def _encoding(client: Client, declared: ua.DataValue) -> ua.VariantType:
    if declared.Value is None or declared.Value.Value is None:
        return ua.VariantType.Variant
    return await data_type_to_variant_type(client.get_node(declared.Value.Value))
