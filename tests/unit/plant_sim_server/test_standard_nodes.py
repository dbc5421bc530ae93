from asyncua import ua
from asyncua.server.address_space import AddressSpace, NodeManagementService
from asyncua.server.standard_address_space import standard_address_space

from plant_sim.opcua.standard_nodes import StandardNodes

VALUE = ua.AttributeIds.Value
NAME = ua.AttributeIds.DisplayName
ARRAY = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
OBJECTS = ua.NodeId(ua.ObjectIds.ObjectsFolder)


def contents(space):
    return {
        node_id: (
            {name: held.value for name, held in space[node_id].attributes.items()},
            space[node_id].references,
        )
        for node_id in space.keys()  # noqa: SIM118
    }


async def test_copies_are_what_a_server_builds_and_stand_alone():
    built = AddressSpace()
    standard_address_space.fill_address_space(NodeManagementService(built))
    expected = contents(built)
    standard = StandardNodes()
    first, second = AddressSpace(), AddressSpace()
    for space in (first, second):
        standard.copy_into(space)
        assert contents(space) == expected

    await first.write_attribute_value(ARRAY, VALUE, ua.DataValue(["urn:one"]))
    _, handle = first.add_datachange_callback(ARRAY, VALUE, print)
    first[OBJECTS].references.clear()
    for node_id in first.keys():  # noqa: SIM118
        value = first.read_attribute_value(node_id, VALUE).Value.Value
        if isinstance(value, list):
            value.clear()
    assert handle
    assert not second[ARRAY].attributes[VALUE].datachange_callbacks
    assert contents(second) == expected
    third = AddressSpace()
    standard.copy_into(third)
    assert contents(third) == expected
