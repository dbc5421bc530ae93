"""The NodeSet2 file, imported by a server that knows nothing of the plant."""

import xml.etree.ElementTree as ET

import pytest
from asyncua import Server, ua
from typer.testing import CliRunner

from plant_sim.cli import main
from plant_sim.opcua.methods import METHODS
from plant_sim.opcua.node_items import engineering_units
from plant_sim.opcua.nodeset import nodeset_xml
from plant_sim.opcua.nodeset_values import value_element
from plant_sim.unit.tag_table import ENUM_TYPES, FOLDERS, TAGS
from plant_sim.unit.tags import NAMESPACE, Kind

SPACES = {"n": "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"}


@pytest.fixture(scope="module")
def nodeset(tmp_path_factory):
    path = tmp_path_factory.mktemp("nodeset") / "plant.xml"
    result = CliRunner().invoke(main, ["nodeset", "--out", str(path)])
    assert result.exit_code == 0, result.output
    return path


async def test_the_same_plant_gives_the_same_file(nodeset):
    assert nodeset.read_bytes() == await nodeset_xml()


def test_the_file_names_its_namespace_and_holds_every_node_in_order(nodeset):
    root = ET.parse(nodeset).getroot()  # noqa: S314  (our own file)
    assert [one.text for one in root.findall("n:NamespaceUris/n:Uri", SPACES)] == [NAMESPACE]
    model = root.find("n:Models/n:Model", SPACES)
    assert model.get("ModelUri") == NAMESPACE
    numbers = [int(one.get("NodeId").removeprefix("ns=1;i=")) for one in root if one.get("NodeId")]
    assert numbers == sorted(set(numbers))
    assert set(numbers) >= {
        *FOLDERS.values(),
        *ENUM_TYPES.values(),
        *(item.number for item in (*TAGS, *METHODS)),
    }


async def test_a_foreign_server_imports_it(nodeset):
    server = Server()
    await server.init()
    await server.register_namespace("urn:somebody:else")  # so that the index is another one
    await server.import_xml(nodeset)
    index = await server.get_namespace_index(NAMESPACE)
    assert index != 1
    for tag in TAGS:
        path = [f"{index}:{name}" for name in tag.path.split("/")]
        node = await server.nodes.objects.get_child(path)
        assert node.nodeid == ua.NodeId(tag.number, index)
        expected = (
            ua.NodeId(ENUM_TYPES[tag.enum], index)
            if tag.kind is Kind.ENUM
            else ua.NodeId(ua.VariantType[tag.kind.value].value)
        )
        assert await node.read_data_type() == expected
        assert (ua.AccessLevel.HistoryRead in await node.get_access_level()) is tag.history
        assert (ua.AccessLevel.CurrentWrite in await node.get_access_level()) is bool(tag.writer)
        description = await node.read_description()
        assert description.Text == tag.about
        if tag.range:
            span = await (await node.get_child("0:EURange")).read_value()
            assert (span.Low, span.High) == tag.range
        if tag.unit:
            unit = await (await node.get_child("0:EngineeringUnits")).read_value()
            assert unit.UnitId == engineering_units(tag.unit).UnitId
            assert unit.DisplayName.Text == engineering_units(tag.unit).DisplayName.Text
    for enum, number in ENUM_TYPES.items():
        node = server.get_node(ua.NodeId(number, index))
        names = await (await node.get_child("0:EnumStrings")).read_value()
        assert [name.Text for name in names] == [member.name for member in enum]
        definition = await node.read_data_type_definition()
        assert {f.Name: f.Value for f in definition.Fields} == {m.name: m.value for m in enum}
    for method in METHODS:
        node = server.get_node(ua.NodeId(method.number, index))
        assert await node.read_node_class() is ua.NodeClass.Method
        if method.inputs:
            given = await (await node.get_child("0:InputArguments")).read_value()
            assert [(a.Name, a.DataType) for a in given] == [
                (a.name, ua.NodeId(ua.VariantType[a.kind.value].value)) for a in method.inputs
            ]


def test_what_cannot_be_written_is_said(tmp_path):
    result = CliRunner().invoke(main, ["nodeset", "--out", str(tmp_path / "no" / "x.xml")])
    assert result.exit_code == 2
    assert "not written" in result.output


def test_values_of_other_types_are_left_out_and_plain_ones_written():
    def name(node_id):
        return node_id.to_string()

    assert value_element(ua.Variant(None), name) is None
    assert value_element(ua.Variant(ua.StatusCode()), name) is None
    assert value_element(ua.Variant([ua.StatusCode()]), name) is None
    assert value_element(ua.Variant(True), name).text == "true"  # noqa: FBT003
    numbers = value_element(ua.Variant([1, 2], ua.VariantType.UInt16), name)
    assert numbers.tag == "uax:ListOfUInt16"
    assert [one.text for one in numbers] == ["1", "2"]
