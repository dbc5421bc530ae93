"""The nodes of namespace 0, built once for all servers of a process.

Each server needs its own: values, subscriptions and methods hang on the nodes. But names, types and
references of the standard's nodes never change, and they are nearly all of the memory and of the
time that a server takes to start. So they are built once, and every server gets nodes of its own
that hold the same attributes' contents.
"""

import copy

from asyncua import ua
from asyncua.server.address_space import (
    AddressSpace,
    AttributeValue,
    NodeData,
    NodeManagementService,
)
from asyncua.server.standard_address_space import standard_address_space

_PLAIN = (bool, int, float, str, bytes, type(None), ua.NodeId, ua.QualifiedName, ua.LocalizedText)


class StandardNodes:
    """A pristine namespace 0."""

    def __init__(self) -> None:
        """Build it; takes half a second."""
        space = AddressSpace()
        standard_address_space.fill_address_space(NodeManagementService(space))
        self._nodes: list[NodeData] = [space[node_id] for node_id in space.keys()]  # noqa: SIM118

    def copy_into(self, space: AddressSpace) -> None:
        """Give `space` nodes of its own, as if it had built them."""
        for node in self._nodes:
            own = NodeData(node.nodeid)
            own.attributes = {
                name: AttributeValue(_own(held.value)) for name, held in node.attributes.items()
            }
            own.references = list(node.references)
            space[node.nodeid] = own


def _own(value: ua.DataValue) -> ua.DataValue:
    """The value itself where nothing can change it from within, else a copy."""
    return value if isinstance(value.Value.Value, _PLAIN) else copy.deepcopy(value)
