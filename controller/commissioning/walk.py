"""The walk through a server's address space: bounded in depth, variables, nodes and pages.

A server may have a million nodes and answers page by page (BrowseNext).  No more is fetched than
the limits allow, and what the server keeps for later pages is given back to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncua import ua

from controller.opcua.operation_limits import chunks
from controller.opcua.survey import batch, browse_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncua import Client

CLASSES = int(ua.NodeClass.Object | ua.NodeClass.Variable | ua.NodeClass.Method)
"""What is walked through: folders, tags, methods."""

PAGE = 100
"""References of one node asked for at once; a server may send fewer."""

NODES_A_VARIABLE = 4
"""Nodes visited for each variable that may be listed: folders and methods count too."""

REFERENCES_A_NODE = 10
"""References looked at for each node that may be visited: a node may hang in many folders."""

LONGEST_NAME, LONGEST_ID = 512, 4096
"""Characters of a BrowseName (OPC 10000-3, 5.2.4) and of a node id (8.2.4)."""

_EXHAUSTED = frozenset(
    {ua.StatusCodes.BadNoContinuationPoints, ua.StatusCodes.BadContinuationPointInvalid}
)
"""Statuses of a server that keeps too few pages open: the node is asked again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """depth: deepest level below Objects.  variables: most variables that are listed."""

    depth: int = 12
    variables: int = 5000

    @property
    def nodes(self) -> int:
        """Most nodes that are visited."""
        return NODES_A_VARIABLE * self.variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A node that the walk came to.  path: browse names from below Objects on."""

    node: ua.NodeId
    node_class: ua.NodeClass
    path: tuple[ua.QualifiedName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What was found, in the order of the walk; truncated when a limit ended it."""

    places: tuple[Place, ...]
    truncated: bool


@dataclass(slots=True, kw_only=True)
class _Level:
    """The nodes of one level as they come; cut when there is room for no more.

    patience: references that are still looked at, so that pages without end have one.
    """

    room: int
    seen: set[ua.NodeId]
    patience: int
    places: list[Place] = field(default_factory=list)
    cut: bool = False

    def add(self, parent: Place, references: Sequence[ua.ReferenceDescription]) -> None:
        self.patience -= 1 + len(references)
        self.cut = self.cut or self.patience < 0
        for reference in references:
            node = _node_id(reference.NodeId)
            if not _worth_a_visit(reference) or node in self.seen:
                continue
            self.cut = self.cut or len(self.places) >= self.room
            if self.cut:
                return
            self.seen.add(node)
            path = (*parent.path, reference.BrowseName)
            self.places.append(Place(node=node, node_class=reference.NodeClass, path=path))


async def walk(client: Client, limits: Limits) -> Walk:
    """Every variable and method below Objects, outside namespace 0, level by level."""
    size = await batch(client)
    objects = ua.NodeId(ua.ObjectIds.ObjectsFolder)
    seen = {objects}
    places = [Place(node=objects, node_class=ua.NodeClass.Object, path=())]
    kept: list[Place] = []
    cut = False
    patience = REFERENCES_A_NODE * limits.nodes
    for _ in range(limits.depth):
        level = _Level(room=limits.nodes - len(seen), seen=seen, patience=patience)
        await _descend(client, places, level, size)
        places, cut = level.places, cut or level.cut
        kept += [place for place in places if place.node_class != ua.NodeClass.Object]
        if not places or cut or len(kept) > limits.variables:
            break
    else:
        beyond = _Level(room=0, seen=seen, patience=patience)
        await _descend(client, places, beyond, size)
        cut = beyond.cut
    truncated = cut or len(kept) > limits.variables
    return Walk(places=tuple(kept[: limits.variables]), truncated=truncated)


async def _descend(client: Client, parents: Sequence[Place], level: _Level, size: int) -> None:
    """Everything one level deeper, as far as there is room."""
    parents = [place for place in parents if place.node_class != ua.NodeClass.Method]
    alone: list[Place] = []
    for chunk in chunks(parents, size):
        alone += await _browse(client, chunk, level)
        if level.cut:
            return
    for parent in alone:
        if await _browse(client, [parent], level):
            level.cut = True  # not even one node's pages are kept: the list is not complete
        if level.cut:
            return


async def _browse(client: Client, parents: Sequence[Place], level: _Level) -> list[Place]:
    """Browse these parents; return those whose pages the server did not keep."""
    nodes = [parent.node for parent in parents]
    request = browse_request(nodes, ua.ObjectIds.HierarchicalReferences, CLASSES, page=PAGE)
    results = await client.uaclient.browse(request)
    lost = []
    for parent, result in zip(parents, results, strict=True):
        if not await _take(client, parent, result, level):
            lost.append(parent)
    return lost


async def _take(client: Client, parent: Place, result: ua.BrowseResult, level: _Level) -> bool:
    """Take in all pages of one node, while there is room; False when the server lost them."""
    while result.StatusCode.value not in _EXHAUSTED:
        level.add(parent, result.References or ())
        point = result.ContinuationPoint
        if not point:
            return True
        if level.cut:
            await client.uaclient.browse_next(_next(point, release=True))
            return True
        (result,) = await client.uaclient.browse_next(_next(point, release=False))
    return False


def _next(point: bytes, *, release: bool) -> ua.BrowseNextParameters:
    """The next page, or none any more: then the server forgets them and answers nothing."""
    return ua.BrowseNextParameters(ReleaseContinuationPoints=release, ContinuationPoints=[point])


def _node_id(expanded: ua.ExpandedNodeId) -> ua.NodeId:
    """Return a plain node id; references carry expanded ones, which compare unequal."""
    return ua.NodeId(expanded.Identifier, expanded.NamespaceIndex, expanded.NodeIdType)


def _worth_a_visit(reference: ua.ReferenceDescription) -> bool:
    """No properties, nothing of the server itself (namespace 0), no name beyond the standard's."""
    return bool(
        reference.NodeId.NamespaceIndex != 0
        and len(reference.BrowseName.Name or "") <= LONGEST_NAME
        and len(str(reference.NodeId.Identifier)) <= LONGEST_ID
        and reference.ReferenceTypeId != ua.NodeId(ua.ObjectIds.HasProperty)
    )
