"""The address space of the soft plant as a NodeSet2 file (OPC 10000-6, annex F).

Only what does not change while a plant runs: nodes, references, properties; no process values and
no date, in the order of the node ids, so that two files differ where two address spaces do. The
plant's namespace is index 1 of the file.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from asyncua import ua

from plant_sim.opcua.address_space import AddressSpace
from plant_sim.opcua.internal_server import PlantInternalServer
from plant_sim.opcua.nodeset_values import value_element
from plant_sim.opcua.transport import PlantUaServer
from plant_sim.opcua.users import RoleUsers
from plant_sim.unit.tags import NAMESPACE

_SPACES = {
    "xmlns": "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd",
    "xmlns:uax": "http://opcfoundation.org/UA/2008/02/Types.xsd",
}
_STANDARD = {
    "ModelUri": "http://opcfoundation.org/UA/",
    "Version": "1.04.3",
    "PublicationDate": "2019-09-09T00:00:00Z",
}
"""The oldest standard node set that has every type the plant uses."""
_INDEX = 1
_PARENTS = frozenset(
    ua.NodeId(number)
    for number in (ua.ObjectIds.Organizes, ua.ObjectIds.HasComponent, ua.ObjectIds.HasProperty)
)
_INSTANCES = (ua.NodeClass.Object, ua.NodeClass.Variable, ua.NodeClass.Method)
_PROPERTY = ua.NodeId(ua.ObjectIds.PropertyType)
_TYPE_DEFINITION = ua.NodeId(ua.ObjectIds.HasTypeDefinition)


async def nodeset_xml() -> bytes:
    """The file, UTF-8."""
    core = PlantInternalServer(RoleUsers({}))
    server = PlantUaServer(iserver=core, name="", admit=None)
    await server.init()
    await AddressSpace.build(server)
    return _NodeSet(core.aspace, await server.get_namespace_index(NAMESPACE)).to_xml()


class _NodeSet:
    """The elements of one file, and the aliases they use."""

    def __init__(self, space: Any, index: int) -> None:
        """space: asyncua's address space.  index: of the plant's namespace there."""
        self._space = space
        self._index = index
        self._aliases: dict[str, str] = {}

    def to_xml(self) -> bytes:
        ids = [node for node in self._space.keys() if node.NamespaceIndex == self._index]  # noqa: SIM118
        elements = [self._node(node) for node in sorted(ids, key=_order)]
        root = ET.Element("UANodeSet", _SPACES)
        ET.SubElement(ET.SubElement(root, "NamespaceUris"), "Uri").text = NAMESPACE
        model = {"ModelUri": NAMESPACE, "Version": version("trimtab")}
        models = ET.SubElement(ET.SubElement(root, "Models"), "Model", model)
        ET.SubElement(models, "RequiredModel", _STANDARD)
        aliases = ET.SubElement(root, "Aliases")
        for name, node_id in sorted(self._aliases.items()):
            ET.SubElement(aliases, "Alias", {"Alias": name}).text = node_id
        root.extend(elements)
        ET.indent(root)
        return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"

    def _node(self, node_id: ua.NodeId) -> ET.Element:
        node_class = ua.NodeClass(self._read(node_id, ua.AttributeIds.NodeClass))
        name = self._read(node_id, ua.AttributeIds.BrowseName)
        own = f"{_INDEX}:" if name.NamespaceIndex == self._index else ""
        attributes = {"NodeId": self._id(node_id), "BrowseName": own + name.Name}
        parent = self._parent(node_id)
        if parent is not None and node_class in _INSTANCES:
            attributes["ParentNodeId"] = self._id(parent)
        element = ET.Element(f"UA{node_class.name}", attributes)
        for text in ("DisplayName", "Description"):
            content = self._read(node_id, ua.AttributeIds[text])
            if content is not None and content.Text:
                ET.SubElement(element, text).text = content.Text
        element.append(self._references(node_id))
        if node_class is ua.NodeClass.Variable:
            self._variable(node_id, element)
        elif node_class is ua.NodeClass.Object:
            notifier = self._read(node_id, ua.AttributeIds.EventNotifier)
            if notifier:
                element.set("EventNotifier", str(int(notifier)))
        elif node_class is ua.NodeClass.DataType:
            self._definition(node_id, name.Name, element)
        return element

    def _variable(self, node_id: ua.NodeId, element: ET.Element) -> None:
        attributes = ua.AttributeIds
        element.set("DataType", self._type(self._read(node_id, attributes.DataType)))
        rank = int(self._read(node_id, attributes.ValueRank))
        if rank != ua.ValueRank.Scalar:
            element.set("ValueRank", str(rank))
        access = int(self._read(node_id, attributes.AccessLevel))
        if access != ua.AccessLevel.CurrentRead.mask:
            element.set("AccessLevel", str(access))
        if self._read(node_id, attributes.Historizing):
            element.set("Historizing", "true")
        if self._type_definition(node_id) == _PROPERTY:
            held = self._space.read_attribute_value(node_id, attributes.Value).Value
            content = None if held is None else value_element(held, self._id)
            if content is not None:
                ET.SubElement(element, "Value").append(content)

    def _definition(self, node_id: ua.NodeId, name: str, element: ET.Element) -> None:
        held = self._read(node_id, ua.AttributeIds.DataTypeDefinition)
        if isinstance(held, ua.EnumDefinition):
            definition = ET.SubElement(element, "Definition", {"Name": name})
            for one in held.Fields:
                ET.SubElement(definition, "Field", {"Name": one.Name, "Value": str(one.Value)})

    def _references(self, node_id: ua.NodeId) -> ET.Element:
        element = ET.Element("References")
        lines = {
            (self._type(one.ReferenceTypeId), bool(one.IsForward), _order(one.NodeId)): one.NodeId
            for one in self._space[node_id].references
        }
        for (kind, forward, _), target in sorted(lines.items(), key=lambda line: line[0]):
            direction = {} if forward else {"IsForward": "false"}
            line = ET.SubElement(element, "Reference", {"ReferenceType": kind, **direction})
            line.text = self._id(target)
        return element

    def _parent(self, node_id: ua.NodeId) -> ua.NodeId | None:
        return next(self._targets(node_id, _PARENTS, forward=False), None)

    def _type_definition(self, node_id: ua.NodeId) -> ua.NodeId | None:
        return next(self._targets(node_id, frozenset({_TYPE_DEFINITION}), forward=True), None)

    def _targets(
        self, node_id: ua.NodeId, kinds: frozenset[ua.NodeId], *, forward: bool
    ) -> Iterator[ua.NodeId]:
        for one in self._space[node_id].references:
            if one.ReferenceTypeId in kinds and bool(one.IsForward) is forward:
                yield one.NodeId

    def _read(self, node_id: ua.NodeId, attribute: ua.AttributeIds) -> Any:
        held = self._space.read_attribute_value(node_id, attribute).Value
        return None if held is None else held.Value

    def _type(self, node_id: ua.NodeId) -> str:
        """A data or reference type: by its name if it is of the standard, which is an alias."""
        if node_id.NamespaceIndex:
            return self._id(node_id)
        name = str(ua.ObjectIdNames[node_id.Identifier])
        self._aliases[name] = self._id(node_id)
        return name

    def _id(self, node_id: ua.NodeId) -> str:
        """A node id as the file writes it, whose namespace 1 is the plant's."""
        text: str = ua.NodeId(node_id.Identifier, 0, node_id.NodeIdType).to_string()
        return text if node_id.NamespaceIndex != self._index else f"ns={_INDEX};{text}"


def _order(node_id: ua.NodeId) -> tuple[int, bool, int, str]:
    number = node_id.Identifier
    whole = isinstance(number, int)
    return node_id.NamespaceIndex, not whole, number if whole else 0, str(number)
