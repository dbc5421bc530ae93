"""From the address of a DCS that names its tags by loop to a checked tags.toml."""

import re

import pytest
from typer.testing import CliRunner

from controller.cli import main
from tests.interop.conftest import Controller, checked

PATH = "leitsystem:/RK1/"
CHOSEN = {
    "cv.PolymerConc": {
        "pv": "AIC4711&/MonAn.PV_Out",
        "sp": "AIC4711&/PID.SP",
        "unit": "g/L",
        "range": [-10.0, 400.0],
    },
    "cv.Temperature": {
        "pv": "TIC101&/PID.PV_Out",
        "sp": "TIC101&/PID.SP",
        "unit": "degC",
        "range": [0.0, 250.0],
    },
    "mv.InitiatorFeed": {
        "target": "FIC12&/PID.SP_Ext",
        "actual": "FIC12&/PID.SP_Out",
        "unit": "percent",
        "span": [0.0, 2.5],
        "range": [0.0, 100.0],
        "max_move": 5.0,
    },
    "mv.CoolantTemperature": {
        "target": "TIC77&/PID.SP_Ext",
        "actual": "TIC77&/PID.SP_Out",
        "unit": "degC",
        "range": [26.85, 76.85],
        "max_move": 2.5,
    },
    "dv.MonomerConc": {
        "pv": "AI4710&/MonAn.Raw",
        "unit": "raw",
        "counts": [0, 27648],
        "span": [0.0, 700.0],
        "range": [0, 27648],
    },
    "handshake": {
        "mode": "SEQ&/ControllerMode",
        "mode_values": '{ manual = "LOCAL", shadow = "ADVISE", auto = "REMOTE" }',
        "mode_on_shed": "LOCAL",
    },
    "clock": {"speed": "OTS&/TimeFactor", "plant_time": "OTS&/ProcessTime"},
}
"""What somebody with the DCS's drawings makes of the proposal, in the words of tags.toml."""
NODES = {"pv", "sp", "target", "actual", "mode", "speed", "plant_time"}


def literal(key, value):
    if isinstance(value, list) or not isinstance(value, str) or value.startswith("{"):
        return str(value)
    return f'"{PATH}{value}"' if key in NODES else f'"{value}"'


def edited(text):
    """The proposal with the tables above taken over, as in an editor; the rest stays remarks."""
    tables = [
        "\n".join((f"[{name}]", *(f"{key} = {literal(key, value)}" for key, value in keys.items())))
        for name, keys in CHOSEN.items()
    ]
    return text + "\n" + "\n\n".join(tables) + "\n"


def browsed(plant):
    found = CliRunner().invoke(main, ["tags", "browse", "--url", plant.url, "--insecure"])
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture(scope="module")
def proposal(fast_plant):
    return browsed(fast_plant)


def candidates(text, table, key):
    """The nodes that the proposal names for a key, with what it says of each."""
    block = text.partition(f"#[{table}]\n")[2].partition("\n\n")[0]
    listed = re.search(rf"^## {key} could be:\n((?:##   .*\n?)+)", block, re.MULTILINE)
    if listed is None:
        return {}
    lines = [line.removeprefix("##   ") for line in listed[1].splitlines()]
    return dict(line.split("  ", 1) for line in lines)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (table, key)
        for table, keys in CHOSEN.items()
        for key in keys
        if key in NODES and table not in {"clock", "dv.MonomerConc"}
    ],
)
def test_the_right_node_is_among_few_that_suit(proposal, table, key):
    offered = candidates(proposal, table, key)
    assert 0 < len(offered) <= 6
    assert "now" in offered[PATH + CHOSEN[table][key]]


def test_every_node_is_listed_with_its_present_value(proposal):
    (line,) = re.findall(r"^## \S+AI4710&/MonAn\.Raw .*$", proposal, re.MULTILINE)
    assert re.search(r"Int32  r  now 1\d{4}$", line)


@pytest.mark.parametrize("name", ["fast_plant", "habits_plant"])
def test_what_is_chosen_from_it_passes_the_check(request, tmp_path, name):
    plant, tags = request.getfixturevalue(name), tmp_path / "tags.toml"
    tags.write_text(edited(browsed(plant)), encoding="utf-8")
    code, text = checked(Controller(tmp_path, plant, tags))
    assert code == 0, text
    assert "0 to correct in the configuration, 0 at the plant" in text
    assert re.search(r"dv.MonomerConc.pv +ok +Int32; now \d+ = 4\d\d", text)
