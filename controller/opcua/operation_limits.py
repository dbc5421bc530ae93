"""How many operations a server takes in one request (OPC 10000-5, OperationLimitsType).

A request with more is refused whole (BadTooManyOperations), so what is larger is split.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from asyncua import ua

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from asyncua import Client

T = TypeVar("T")

UNLIMITED = 1 << 32
"""A server may state no limit, or 0 for none."""

_BASE = "Server_ServerCapabilities_OperationLimits_"
_NODES = {
    "read": "MaxNodesPerRead",
    "write": "MaxNodesPerWrite",
    "browse": "MaxNodesPerBrowse",
    "translate": "MaxNodesPerTranslateBrowsePathsToNodeIds",
    "monitor": "MaxMonitoredItemsPerCall",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationLimits:
    """Most operations in one request of each service that is used here with several."""

    read: int = UNLIMITED
    write: int = UNLIMITED
    browse: int = UNLIMITED
    translate: int = UNLIMITED
    monitor: int = UNLIMITED


async def operation_limits(client: Client) -> OperationLimits:
    """Ask the connected server.  Raises what asyncua raises when a request as a whole fails."""
    (first,) = await _limits(client, ["read"])
    names = [name for name in _NODES if name != "read"]
    found = [limit for chunk in chunks(names, first) for limit in await _limits(client, chunk)]
    return OperationLimits(read=first, **dict(zip(names, found, strict=True)))


async def _limits(client: Client, names: list[str]) -> list[int]:
    nodes = [ua.NodeId(getattr(ua.ObjectIds, _BASE + _NODES[name])) for name in names]
    answers = await client.uaclient.read_attributes(nodes, ua.AttributeIds.Value)
    return [_stated(answer) for answer in answers]


def _stated(answer: ua.DataValue) -> int:
    content: Any = None if answer.Value is None else answer.Value.Value
    return content if isinstance(content, int) and content > 0 else UNLIMITED


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Split into lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def requests(operations: int, limit: int) -> int:
    """Number of requests that so many operations need."""
    return -(-operations // limit)


async def read_attribute(
    client: Client, nodes: Sequence[ua.NodeId], attribute: ua.AttributeIds, most: int
) -> list[ua.DataValue]:
    """One attribute of every node, in order, at most `most` nodes a request."""
    found: list[ua.DataValue] = []
    for chunk in chunks(nodes, most):
        found += await client.uaclient.read_attributes(chunk, attribute)
    return found
