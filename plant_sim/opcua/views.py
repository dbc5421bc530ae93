"""Browse and TranslateBrowsePathsToNodeIds within bounds.

asyncua collects the subtypes of what is named as reference type anew for every reference that it
looks at: 500 times the references of i=22 below i=24, a request of 12 kB, took three minutes, in
which nobody was served. Reference types do not change here, so their subtypes are collected once;
and the paths of a request may lead past so many references and no more.
"""

from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import AddressSpace, ViewService

from plant_sim.opcua import limits

_ANY = ua.NodeId(ua.ObjectIds.Null)


class BoundedView(ViewService):
    """asyncua's view service, whose requests end in time."""

    def __init__(self, space: AddressSpace) -> None:
        super().__init__(space)
        self._subtypes: dict[ua.NodeId, frozenset[ua.NodeId]] = {}
        self._room = 0

    def translate_browsepaths_to_nodeids(
        self, browsepaths: list[ua.BrowsePath]
    ) -> list[ua.BrowsePathResult]:
        """Follow browse paths; raises ServiceError where they lead through too much."""
        self._room = limits.MAX_FOLLOWED
        results: list[ua.BrowsePathResult] = super().translate_browsepaths_to_nodeids(browsepaths)
        return results

    def _translate_browsepath_to_nodeid(self, path: ua.BrowsePath) -> ua.BrowsePathResult:
        if not path.RelativePath.Elements:
            return ua.BrowsePathResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadNothingToDo))
        return super()._translate_browsepath_to_nodeid(path)

    def _navigate(self, start_nodeid: ua.NodeId, elements: list[Any]) -> list[ua.NodeId]:
        reached = [start_nodeid]
        for element in elements:
            ends = (end for node in reached for end in self._find_elements_in_node(element, node))
            reached = list(dict.fromkeys(ends))
        return reached

    def _find_elements_in_node(self, el: Any, nodeid: ua.NodeId) -> list[ua.NodeId]:
        node = self._aspace.get(nodeid)
        if node is None:
            return []
        self._room -= 1 + len(node.references)
        if self._room < 0:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        found: list[ua.NodeId] = super()._find_elements_in_node(el, nodeid)
        return found

    def _suitable_reftype(self, ref1: ua.NodeId, ref2: ua.NodeId, subtypes: bool) -> bool:  # noqa: FBT001
        if ref1 in (_ANY, ref2):
            return True
        return subtypes and ref2 in self._below(ref1)

    def _below(self, kind: ua.NodeId) -> frozenset[ua.NodeId]:
        """The subtypes of a reference type; of what is no such type none."""
        known = self._subtypes.get(kind)
        if known is None:
            node_class = self._aspace.read_attribute_value(kind, ua.AttributeIds.NodeClass)
            held = None if node_class.Value is None else node_class.Value.Value
            if held != ua.NodeClass.ReferenceType:
                return frozenset()
            known = self._subtypes[kind] = frozenset(self._get_sub_ref(kind))
        return known
