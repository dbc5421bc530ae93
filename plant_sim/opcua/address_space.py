"""The nodes of the soft plant on a server, and the publishing of a tag image into them.

Every value carries a StatusCode and a SourceTimestamp. UserAccessLevel is per role, so the session
answers it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncua import Server, ua

from plant_sim.opcua.history_recorder import HistoryRecorder
from plant_sim.opcua.methods import METHODS
from plant_sim.opcua.node_items import (
    VARIANT_TYPES,
    condition_references,
    node_items,
    parent_path,
)
from plant_sim.unit.faults import Quality, Reading
from plant_sim.unit.tag_image import Shown
from plant_sim.unit.tag_table import FOLDERS, TAGS
from plant_sim.unit.tags import NAMESPACE, Kind, Tag

_STATUS = {quality: ua.StatusCode(getattr(ua.StatusCodes, quality.value)) for quality in Quality}


class _Published(ua.DataValue):
    """A data value that nothing changes once it is published.

    asyncua clones every value for every item that watches it, which costs more than all the rest of
    a tick; a plain value under fixed stamps is its own clone.
    """

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Published":
        return self


@dataclass(slots=True)
class _Node:
    """A tag's node, what it shows, and when its source last spoke."""

    tag: Tag
    node_id: ua.NodeId
    shown: Shown | None = None
    source_time: datetime | None = None


class AddressSpace:
    """The nodes of the soft plant on one server."""

    def __init__(self, server: Server, index: int) -> None:
        """Bind to nodes already added by `build`; index: of the namespace."""
        self._space = server.iserver.aspace
        self.index = index
        self._nodes = {tag.path: _Node(tag, ua.NodeId(tag.number, index)) for tag in TAGS}
        self.tags = {node.node_id: node.tag for node in self._nodes.values()}
        self.methods = {ua.NodeId(method.number, index): method for method in METHODS}
        self.method_objects = {
            ua.NodeId(method.number, index): ua.NodeId(FOLDERS[parent_path(method.path)], index)
            for method in METHODS
        }

    @classmethod
    async def build(cls, server: Server) -> "AddressSpace":
        """Register the namespace and add every node."""
        index = await server.register_namespace(NAMESPACE)
        results = await server.iserver.isession.add_nodes(list(node_items(index)))
        for result in results:
            result.StatusCode.check()
        references = list(condition_references(index))
        for linked in await server.iserver.isession.add_references(references):
            linked.check()
        return cls(server, index)

    async def publish(
        self, image: Mapping[str, Shown], utc: datetime, history: HistoryRecorder | None = None
    ) -> None:
        """Write what changed, and every scanned tag, with SourceTimestamp `utc`.

        history: keeps what tags with a history show; what a source has not said anew is of `utc`.
        """
        for path, value in image.items():
            node = self._nodes[path]
            if value == node.shown and not node.tag.scanned:
                continue
            moving = value.moving if isinstance(value, Reading) else True
            if not moving and value == node.shown:
                continue
            node.shown = value
            if moving or node.source_time is None:
                node.source_time = utc
            data = data_value(node.tag.kind, value, node.source_time, utc)
            await self._space.write_attribute_value(node.node_id, ua.AttributeIds.Value, data)
            if history is not None and node.tag.history:
                history.record(node.tag, data.Value.Value, data.StatusCode.value, utc)


def data_value(kind: Kind, value: Shown, source: datetime, server: datetime) -> ua.DataValue:
    """What a tag shows, as it is published.  source, server: the two time stamps."""
    quality = Quality.GOOD
    content: Any = value
    if isinstance(value, Reading):
        quality, content = value.quality, value.value
    variant = ua.Variant() if content is None else ua.Variant(content, VARIANT_TYPES[kind])
    return _Published(
        Value=variant,
        StatusCode=_STATUS[quality],
        SourceTimestamp=source,
        ServerTimestamp=server,
    )
