"""The proposed tags.toml: TOML whatever the server's names are, and guesses that make sense."""

import re
import tomllib

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from controller.commissioning.enumerations import selector
from controller.commissioning.guesses import Found
from controller.commissioning.proposal import prefixes, propose, references
from controller.commissioning.vocabulary import likeness, squeezed, words
from controller.configuration.references import parse_reference
from controller.configuration.units import KNOWN
from controller.opcua.survey import NodeFacts
from controller.opcua.unit_names import UNIT_IDS, UNIT_TEXTS, unece, unit_name
from models.bundle import default_bundle, load_manifest

URI = "urn:vendor:plc7"
NUMBER = {"exists": True, "variable": True, "kind": ua.VariantType.Double, "scalar": True}
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


def found(*path: str, index: int = 1, node: object = None, **facts: object) -> Found:
    return Found(
        node=ua.NodeId(node if node is not None else ".".join(path), index),
        path=tuple(ua.QualifiedName(name, index) for name in path),
        facts=NodeFacts(**{**NUMBER, "readable": True, **facts}),
    )


def taken_over(text: str) -> str:
    return re.sub(r"(?m)^#(?!#)", "", text)


@given(
    names=st.lists(st.lists(TEXT, min_size=1, max_size=4), max_size=6),
    unit=TEXT,
    uri=TEXT,
    node=TEXT,
    url=TEXT,
)
def test_any_name_gives_toml_before_and_after_taking_over(names, unit, uri, node, url):
    items = [
        found(*path, node=f"{node}{place}", unit_text=unit, writable=bool(place % 2))
        for place, path in enumerate(names)
    ]
    text = propose(
        items,
        uris=["http://opcfoundation.org/UA/", uri],
        url=url,
        manifest=load_manifest(default_bundle()),
        truncated=True,
    )
    assert tomllib.loads(text)["namespaces"] == {next(iter(prefixes(["", uri]).values())): uri}
    tomllib.loads(taken_over(text))


@given(path=st.lists(TEXT.filter(str.strip), min_size=1, max_size=4))
def test_a_browse_path_reads_back_to_the_same_names(path):
    (text,) = references([found(*path)], {1: "plc"})
    parsed = parse_reference(text, {"plc": URI})
    assert parsed.segments == tuple(path)


def test_names_that_occur_twice_are_told_apart_by_node_id():
    twins = [found("A", "B", node="one"), found("A", "B", node="two")]
    assert references(twins, {1: "plc"}) == ["plc:s=one", "plc:s=two"]


def test_nodes_outside_known_namespaces_keep_their_node_id():
    (text,) = references([found("A", index=0, node=7)], {1: "plc"})
    assert text == "i=7"


def test_prefixes_are_short_different_and_valid():
    uris = ["http://opcfoundation.org/UA/", "urn:a:plant", "urn:b:plant", "4711"]
    assert prefixes(uris) == {1: "plant", 2: "plant2", 3: "ns"}


@pytest.mark.parametrize(
    ("unit_id", "text", "name"),
    [
        (unece("KEL"), "", "K"),
        (4408652, "whatever", "degC"),
        (-1, "kg/m³", "kg/m3"),
        (-1, " °C ", "degC"),
        (0, "%", "percent"),
        (unece("F31"), "", "kg/min"),
        (-1, "℃", "degC"),
        (-1, "Counts", "raw"),
        (-1, "furlong", None),
    ],
)
def test_units_are_known_by_code_or_by_what_is_shown(unit_id, text, name):
    assert unit_name(unit_id, text) == name


def test_every_unit_that_servers_name_can_be_used_in_tags_toml():
    assert set(UNIT_IDS.values()) | set(UNIT_TEXTS.values()) == set(KNOWN)


def test_words_split_at_case_digits_and_separators():
    assert words("TI_101.PolymerConc") == ["ti", "101", "polymer", "conc"]
    assert squeezed("Lo_Lim") == "lolim"


def test_likeness_knows_abbreviations():
    assert likeness("PolymerConc", ["R101", "PolymerConcentration"]) == 1.0
    assert likeness("Temperature", ["TI101", "Temp"]) == 1.0
    assert likeness("InitiatorFeed", ["Monomer", "Feed"]) == 0.5
    assert likeness("Temperature", ["Pressure"]) == 0.0


def test_guesses_tell_measurement_setpoint_target_and_actual_apart():
    items = [
        found("R1", "Temperature", "SP", unit="degC", unit_text="degC", writable=True),
        found("R1", "Temperature", "PV", unit="degC", unit_text="degC"),
        found("R1", "PolymerConc", "PV", unit="g/L", unit_text="g/L"),
        found("R1", "InitiatorFeed", "Target", unit="percent", unit_text="%", writable=True),
        found("R1", "InitiatorFeed", "Actual", unit="percent", unit_text="%"),
        found("R1", "InitiatorFeed", "LoLim", unit="percent", unit_text="%", writable=True),
        found("R1", "CoolantTemperature", "PV", unit="kg/h", unit_text="kg/h"),
    ]
    text = propose(
        items,
        uris=["", URI],
        url="opc.tcp://h:1",
        manifest=load_manifest(default_bundle()),
        truncated=False,
    )
    tables = tomllib.loads(taken_over(text))
    assert tables["cv"]["Temperature"]["pv"] == "plc7:/R1/Temperature/PV"
    assert tables["cv"]["Temperature"]["sp"] == "plc7:/R1/Temperature/SP"
    assert tables["cv"]["Temperature"]["unit"] == "degC"
    assert tables["cv"]["PolymerConc"]["sp"] == ""
    feed = tables["mv"]["InitiatorFeed"]
    assert feed["target"] == "plc7:/R1/InitiatorFeed/Target"
    assert feed["actual"] == "plc7:/R1/InitiatorFeed/Actual"
    assert feed["lo_lim"] == "plc7:/R1/InitiatorFeed/LoLim"
    assert (feed["unit"], feed["span"], feed["range"]) == ("percent", [0.0, 2.5], [0.0, 100.0])
    coolant = tables["mv"]["CoolantTemperature"]
    assert coolant["actual"] != "plc7:/R1/CoolantTemperature/PV", "its unit does not convert"


def held(value, kind=ua.VariantType.Double):
    return {"kind": kind, "value": ua.DataValue(ua.Variant(value, kind))}


def proposed(*items):
    """The tables of the proposal, everything taken over, and its text."""
    text = propose(
        items,
        uris=["", URI],
        url="opc.tcp://h:1",
        manifest=load_manifest(default_bundle()),
        truncated=False,
    )
    return tomllib.loads(taken_over(text)), text


@pytest.mark.parametrize(
    ("facts", "unit", "said"),
    [
        ({**held(349.0)}, "K", "349 fits K"),
        ({**held(76.5)}, "degC", "76.5 fits degC, percent"),
        ({**held(170.0)}, "degF", "170 fits degF"),
        ({**held(50.0), "range": (0.0, 100.0)}, "degC", "fits degC, percent"),
        ({**held(9999.0)}, "K", "9999 fits none"),
        ({**held(76.5), "unit_text": "furlong"}, "degC", "the server says 'furlong'"),
        ({**held(13824, ua.VariantType.Int16)}, "raw", "likely a count"),
        ({**held(13824, ua.VariantType.Int16), "unit": "raw", "unit_text": "counts"}, "raw", ""),
    ],
)
def test_a_unit_that_the_server_does_not_name_is_guessed_from_its_value(facts, unit, said):
    tables, text = proposed(found("R1", "Temperature", "PV", **facts))
    assert tables["cv"]["Temperature"]["unit"] == unit
    assert said in text


def test_raw_counts_come_with_their_range_and_span():
    count = held(5000, ua.VariantType.UInt16)
    item = found("R1", "Temperature", "PV", **count, range=(0.0, 16383.0))
    tables, _ = proposed(item)
    table = tables["cv"]["Temperature"]
    assert table["counts"] == table["range"] == [0.0, 16383.0]
    assert table["span"] == [320.0, 365.0]


def test_numbers_of_modes_are_taken_from_the_servers_names():
    modes = {0: "OOS", 3: "AUTO", 7: "RCAS"}
    positions = {1: "Off", 2: "Advisory", 3: "On"}
    whole = {"kind": ua.VariantType.Int32}
    tables, text = proposed(
        found("R1", "InitiatorFeed", "Target", writable=True),
        found("R1", "InitiatorFeed", "Mode", **whole, names=modes, writable=True),
        found("APC", "HeartbeatIn", **whole, writable=True),
        found("APC", "Mode", **whole, names=positions, writable=True),
    )
    assert tables["mv"]["InitiatorFeed"]["remote"] == [7]
    assert tables["handshake"]["mode_values"] == {"manual": 1, "shadow": 2, "auto": 3}
    assert "(0 OOS, 3 AUTO, 7 RCAS)" in text


def test_what_was_not_found_of_the_hand_shake_is_named_with_what_stands_in():
    _, text = proposed(found("APC", "HeartbeatIn", writable=True))
    assert "##   handshake.permit: the DCS's permit is taken for granted" in text
    assert "##   mv.InitiatorFeed.track: AUTO starts from Actual" in text
    assert "handshake.heartbeat_in: " not in text


@given(names=st.dictionaries(st.integers(0, 9), st.sampled_from(["OFF", "ON", "man", "x", "AUTO"])))
def test_a_selector_always_has_three_different_numbers(names):
    assert len(set(selector(names).values())) == 3
