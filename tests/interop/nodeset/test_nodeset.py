"""The soft plant's NodeSet2 file in node-opcua: every tag and method, as another make reads it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from plant_sim.cli import main
from plant_sim.opcua.methods import METHODS
from plant_sim.opcua.node_items import engineering_units
from plant_sim.unit.tag_table import ENUM_TYPES, FOLDERS, TAGS
from plant_sim.unit.tags import NAMESPACE, Kind
from tests.interop.conftest import MODULES

LOAD = Path(__file__).with_name("load.js")
LIMIT_S = 120.0
HISTORY_READ, CURRENT_WRITE = 4, 2


@pytest.fixture(scope="module")
def loaded(node_opcua, tmp_path_factory):  # noqa: ARG001
    """Browse path -> what node-opcua makes of the node."""
    file = tmp_path_factory.mktemp("nodeset") / "plant.xml"
    written = CliRunner().invoke(main, ["nodeset", "--out", str(file)])
    assert written.exit_code == 0, written.output
    done = subprocess.run(
        ["node", str(LOAD), NAMESPACE, str(file)],
        env={**os.environ, "NODE_PATH": str(MODULES)},
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = (done.stderr + done.stdout).decode().splitlines()
    (answer,) = [line for line in lines if line.startswith('{"index"')]
    said = [line for line in lines if line and line != answer and "CVE-" not in line]
    assert all("pcks1" in line for line in said), said  # of its own, about every process
    answer = json.loads(answer)
    assert answer["index"] == 1
    return answer["nodes"]


def test_everything_is_there_by_its_path_and_nothing_else(loaded):
    ours = {*FOLDERS, *(tag.path for tag in TAGS), *(method.path for method in METHODS)}
    assert ours <= set(loaded)
    numbers = {path: loaded[path]["id"] for path in ours}
    assert numbers == {
        **FOLDERS,
        **{item.path: item.number for item in (*TAGS, *METHODS)},
    }


@pytest.mark.parametrize("tag", TAGS, ids=lambda tag: tag.path)
def test_a_tag_is_what_it_is_on_the_plant(loaded, tag):
    told = loaded[tag.path]
    assert told["class"] == "Variable"
    if tag.kind is Kind.ENUM:
        assert told["encoding"] in {"Int32", "Enumeration"}
        assert told["names"] == [member.name for member in tag.enum]
    else:
        assert told["dataType"] == told["encoding"] == tag.kind.value
    if tag.range:
        assert (told["range"]["low"], told["range"]["high"]) == tag.range
    if tag.unit:
        unit = engineering_units(tag.unit)
        assert told["unit"]["unitId"] == unit.UnitId
        assert told["unit"]["displayName"]["text"] == unit.DisplayName.Text
        assert told["unit"]["namespaceUri"] == unit.NamespaceUri
    assert bool(told["access"] & CURRENT_WRITE) is bool(tag.writer)
    assert bool(told["access"] & HISTORY_READ) is tag.history


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_a_method_has_its_arguments(loaded, method):
    told = loaded[method.path]
    assert told["class"] == "Method"
    for given, wanted in ((told["inputs"], method.inputs), (told["outputs"], method.outputs)):
        assert given == [[one.name, one.kind.value, one.about] for one in wanted]


def test_the_enumerations_of_the_plant_are_all_used(loaded):
    told = {tuple(node["names"]) for node in loaded.values() if node.get("names")}
    assert told == {tuple(member.name for member in enum) for enum in ENUM_TYPES}
