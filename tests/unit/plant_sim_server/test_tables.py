from pathlib import Path

import pytest

from plant_sim.opcua.methods import METHODS
from plant_sim.opcua.node_items import PROPERTY_OFFSET, UNITS, engineering_units, unit_id
from plant_sim.tag_page import tag_page
from plant_sim.unit.tag_table import ENUM_TYPES, FOLDERS, TAGS
from plant_sim.unit.tags import Kind, Role

PAGE = Path(__file__).parents[3] / "docs" / "address_space.md"


def test_node_ids_and_paths_are_unique():
    numbers = [*FOLDERS.values(), *ENUM_TYPES.values()]
    numbers += [item.number for item in (*TAGS, *METHODS)]
    assert len(numbers) == len(set(numbers))
    assert max(numbers) < PROPERTY_OFFSET
    paths = [*FOLDERS, *(item.path for item in (*TAGS, *METHODS))]
    assert len(paths) == len(set(paths))


def test_every_node_has_its_parent():
    for item in (*TAGS, *METHODS):
        assert item.path.rpartition("/")[0] in FOLDERS
    order = list(FOLDERS)
    for path in order:
        parent = path.rpartition("/")[0]
        assert not parent or order.index(parent) < order.index(path)


def test_tags_are_complete():
    for tag in TAGS:
        assert not tag.unit or tag.unit in UNITS
        assert (tag.enum is not None) == (tag.kind is Kind.ENUM)
        assert tag.range is None or tag.range[0] < tag.range[1]
        assert tag.enum is None or tag.enum in ENUM_TYPES


def test_node_ids_stay_what_clients_have_configured():
    numbers = {tag.path: tag.number for tag in TAGS}
    assert numbers["R101/PV/PolymerConc"] == 1102
    assert numbers["R101/MV/InitiatorFeed/Target"] == 1311
    assert numbers["R101/MV/CoolantTemperature/Target"] == 1331
    assert numbers["APC/HeartbeatIn"] == 2001
    assert numbers["Sim/PlantTime"] == 3002


def test_who_writes_what():
    writers = {tag.path: tag.writer for tag in TAGS if tag.writer}
    assert {path for path, role in writers.items() if role is Role.OBSERVER} == set()
    assert writers["R101/MV/InitiatorFeed/Target"] is Role.APC
    assert writers["R101/MV/InitiatorFeed/LoLim"] is Role.OPERATOR
    assert writers["APC/Mode"] is Role.OPERATOR
    assert writers["APC/HeartbeatTimeout"] is Role.ENGINEER
    assert writers["Sim/Speed"] is Role.ENGINEER
    for path in ("SIS/Tripped", "APC/Active", "APC/Permit", "Sim/PlantTime", "R101/PV/Temperature"):
        assert path not in writers


@pytest.mark.parametrize(
    ("code", "number"),
    [("CEL", 4408652), ("KEL", 4932940), ("KMQ", 4934993), ("E93", 4536627), ("SEC", 5457219)],
)
def test_unit_ids_are_the_bytes_of_the_code(code, number):
    # CEL 4408652 and SEC 5457219 stand in the OPC Foundation's own table of UNECE units
    assert unit_id(code) == number


def test_engineering_units_carry_the_symbol():
    units = engineering_units("kg/h")
    assert units.DisplayName.Text == "kg/h"
    assert units.UnitId == unit_id("E93")
    assert units.NamespaceUri == "http://www.opcfoundation.org/UA/units/un/cefact"


def test_the_committed_page_is_the_table():
    assert PAGE.read_text(encoding="utf-8") == tag_page()
