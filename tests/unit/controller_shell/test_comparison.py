"""`trimtab check`, the comparing: each kind of misfit is named, and only misfits are."""

import math
from typing import get_args

import pytest
from asyncua import ua

from controller.commissioning.comparison import Verdict, absent_parts, compare_methods, compare_tag
from controller.commissioning.scales import Scale
from controller.configuration.handshake import Part
from controller.configuration.settings import default_config_dir
from controller.configuration.tags import MV_OPTIONAL, CvTag, MvTag, load_tags
from controller.configuration.units import conversion
from controller.opcua.survey import NodeFacts
from controller.testing import PlainVariable

TEMPERATURE = PlainVariable(name="Temperature", unit="K", low=300.0, high=400.0)
FEED = PlainVariable(name="InitiatorFeed", unit="kg/h", high=2.5)


def scale(table, variable):
    way = conversion(
        table.unit, variable.unit, span=table.span, scale=table.scale, counts=table.counts
    )
    return Scale(table=table, variable=variable, conversion=way)


CV = scale(CvTag(pv="i=1", sp="i=2", unit="K", range=(280.0, 420.0)), TEMPERATURE)
CV_DEGC = scale(CvTag(pv="i=1", sp="i=2", unit="degC", range=(0.0, 150.0)), TEMPERATURE)
MV_TAG = MvTag(
    unit="percent", span=(0, 2.5), range=(0, 100), max_move=5, target="i=1", actual="i=2"
)
MV = scale(MV_TAG, FEED)
GOOD = {
    "exists": True,
    "variable": True,
    "kind": ua.VariantType.Double,
    "scalar": True,
    "readable": True,
    "writable": True,
    "user_writable": True,
    "unit": "K",
    "unit_text": "K",
    "range": (280.0, 420.0),
    "value": ua.DataValue(ua.Variant(350.0, ua.VariantType.Double)),
}


def verdicts(key="cv.Temperature.pv", scaled=CV, *, written=False, numbers=None, **facts):
    described = NodeFacts(**{**GOOD, **facts})
    found = list(compare_tag(key, described, scaled, written=written, numbers=numbers))
    return [(item.verdict, item.found) for item in found]


def only(expected: Verdict, *args, **facts) -> str:
    ((verdict, found),) = verdicts(*args, **facts)
    assert verdict is expected
    return found


def test_what_fits_is_said_once():
    assert "Double" in only(Verdict.FITS)


@pytest.mark.parametrize(
    ("facts", "verdict", "word"),
    [
        ({"unit": "degC", "unit_text": "°C"}, Verdict.CONFIGURATION, "degC"),
        ({"unit": None, "unit_text": ""}, Verdict.NOTE, "no unit"),
        ({"unit": None, "unit_text": "furlong"}, Verdict.NOTE, "furlong"),
        ({"range": (0.0, 100.0)}, Verdict.CONFIGURATION, "EURange"),
        ({"range": (300.0, 400.0)}, Verdict.NOTE, "narrower"),
        ({"kind": ua.VariantType.String}, Verdict.PLANT, "String"),
        ({"scalar": False}, Verdict.PLANT, "array"),
        ({"readable": False}, Verdict.PLANT, "not readable"),
        ({"variable": False}, Verdict.PLANT, "no variable"),
        (
            {"value": ua.DataValue(ua.Variant(math.nan, ua.VariantType.Double))},
            Verdict.NOTE,
            "nan",
        ),
        (
            {"value": ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadSensorFailure))},
            Verdict.NOTE,
            "BadSensorFailure",
        ),
    ],
)
def test_each_misfit_of_a_measurement(facts, verdict, word):
    assert word in only(verdict, **facts)


def test_rights_are_asked_for_written_tags_only():
    closed = {"user_writable": False}
    only(Verdict.FITS, **closed)
    assert "by this user" in only(Verdict.PLANT, written=True, **closed)
    assert "by nobody" in only(Verdict.PLANT, written=True, writable=False, **closed)


def test_percent_on_both_sides_fits_and_raw_is_not_judged():
    percent = {"unit": "percent", "unit_text": "%", "range": (0.0, 100.0)}
    only(Verdict.FITS, "mv.InitiatorFeed.target", MV, **percent)
    tag = MvTag(unit="raw", scale=0.1, range=(0, 400), max_move=5, target="i=1", actual="i=2")
    raw = scale(tag, FEED)
    only(Verdict.FITS, "mv.InitiatorFeed.actual", raw, unit="degC", range=(0.0, 400.0))


def double(value):
    return {"value": ua.DataValue(ua.Variant(value, ua.VariantType.Double))}


def test_what_fits_shows_the_value_as_the_model_will_see_it():
    celsius = {"unit": "degC", "unit_text": "°C", "range": (0.0, 150.0), **double(76.85)}
    assert "now 76.85 = 350 K" in only(Verdict.FITS, "cv.Temperature.pv", CV_DEGC, **celsius)
    percent = {"unit": "percent", "unit_text": "%", "range": (0.0, 100.0), **double(20.0)}
    assert "now 20 = 0.5 kg/h" in only(Verdict.FITS, "mv.InitiatorFeed.actual", MV, **percent)
    move = only(Verdict.FITS, "mv.CoolantTemperature.max_move_node", CV_DEGC, **celsius)
    assert "now 76.85 = 76.85 K" in move, "a difference has no offset"


def test_a_value_outside_range_betrays_a_unit_that_the_server_does_not_name():
    nameless = {"unit": None, "unit_text": "", "range": None, **double(76.5)}
    found = list(compare_tag("cv.T.pv", NodeFacts(**{**GOOD, **nameless}), CV, written=False))
    assert [item.verdict for item in found] == [Verdict.NOTE, Verdict.CONFIGURATION]
    assert "now 76.5, outside range 280 to 420" in found[1].found
    assert "it would fit degC" in found[1].action
    named = only(Verdict.NOTE, range=None, **double(276.5))
    assert "outside range" in named


@pytest.mark.parametrize(
    ("numbers", "word"),
    [
        ({0: "manual", 1: "shadow", 2: "auto"}, None),
        ({0: "manual", 9: "shadow", 2: "auto"}, None),
        ({0: "manual", 1: "shadow", 9: "auto"}, "9 stands for auto"),
        ({2: "manual", 1: "shadow", 0: "auto"}, "is the server's AUTO"),
    ],
)
def test_numbers_of_a_selector_are_held_against_the_servers_names(numbers, word):
    names = {0: "MANUAL", 1: "SHADOW", 2: "AUTO"}
    value = ua.DataValue(ua.Variant(0, ua.VariantType.Int32))
    facts = {"kind": ua.VariantType.Int32, "names": names, "value": value}
    found = verdicts("handshake.mode", None, numbers=numbers, **facts)
    if word is None:
        assert [verdict for verdict, _ in found] == [Verdict.FITS]
        assert "0 MANUAL, 1 SHADOW, 2 AUTO" in found[0][1]
    else:
        assert {verdict for verdict, _ in found} == {Verdict.CONFIGURATION}
        assert any(word in said for _, said in found)


@pytest.mark.parametrize(
    ("key", "kind", "fits"),
    [
        ("handshake.permit", ua.VariantType.Boolean, True),
        ("handshake.permit", ua.VariantType.Int32, False),
        ("handshake.mode", ua.VariantType.Int32, True),
        ("handshake.mode", ua.VariantType.Double, False),
        ("handshake.shed_reason", ua.VariantType.String, True),
        ("handshake.shed_reason", ua.VariantType.Double, False),
        ("handshake.heartbeat_in", ua.VariantType.UInt16, True),
        ("handshake.heartbeat_in", ua.VariantType.Boolean, True),
        ("handshake.heartbeat_in", ua.VariantType.String, False),
        ("handshake.heartbeat_out", ua.VariantType.DateTime, True),
        ("handshake.heartbeat_in", ua.VariantType.DateTime, False),
        ("clock.plant_time", ua.VariantType.Double, True),
        ("clock.plant_time", ua.VariantType.DateTime, True),
        ("clock.speed", ua.VariantType.DateTime, False),
    ],
)
def test_types_of_the_hand_shake(key, kind, fits):
    value = ua.DataValue(ua.Variant(None, ua.VariantType.Null))
    ((verdict, _),) = verdicts(key, None, kind=kind, value=value)
    assert (verdict is Verdict.FITS) is fits


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        (ua.VariantType.Double, True),
        (ua.VariantType.Float, True),
        (ua.VariantType.Int16, False),
        (ua.VariantType.Boolean, False),
        (ua.VariantType.String, False),
    ],
)
def test_a_target_needs_a_node_that_holds_fractions(kind, fits):
    percent = {"unit": "percent", "unit_text": "%", "range": (0.0, 100.0), "kind": kind}
    ((verdict, _),) = verdicts("mv.InitiatorFeed.target", MV, written=True, **percent)
    assert verdict is (Verdict.FITS if fits else Verdict.PLANT)


def test_methods_that_may_not_be_called_are_the_plants_matter():
    found = {item.key: item.verdict for item in compare_methods({"a": True, "b": None, "c": False})}
    assert found == {"a": Verdict.FITS, "b": Verdict.FITS, "c": Verdict.PLANT}


def test_the_shipped_tags_lack_nothing_and_a_bare_server_is_told_what_that_means():
    shipped = load_tags(default_config_dir() / "tags.toml")
    assert list(absent_parts(shipped)) == []
    bare = shipped.model_copy(update={"handshake": type(shipped.handshake)()})
    said = {item.key: item.action for item in absent_parts(bare)}
    assert {"handshake.heartbeat_in", "handshake.mode", "handshake.take_lease"} <= set(said)
    parts = {f"handshake.{part}" for part in get_args(Part)}
    assert all(said[key].startswith("not stated") for key in parts)
    assert "the last target stands" in said["handshake.shed"]


def test_what_stands_in_follows_from_what_there_is():
    example = load_tags(default_config_dir() / "examples" / "foreign_tags.toml")
    said = {item.key: item.action for item in absent_parts(example)}
    assert said["handshake.shed"] == 'a shed writes "LOCAL" to the selector'
    assert 'while its selector shows "REMOTE"' in said["handshake.request"]
    assert not any("not stated" in action for action in said.values())


@pytest.mark.parametrize(
    "case",
    [
        ("handshake.mode", "String", "MAN", ("MAN", "REM"), Verdict.FITS, "String"),
        ("handshake.mode", "Boolean", False, (False, True), Verdict.FITS, "Boolean"),
        ("handshake.mode", "String", "MAN", ("MANU", "REM"), Verdict.CONFIGURATION, "shows 'MAN'"),
        ("handshake.mode", "Int32", 0, ("MAN", "REM"), Verdict.CONFIGURATION, "not a text"),
        ("handshake.mode", "Boolean", True, (0, 1), Verdict.CONFIGURATION, "not a whole number"),
        ("handshake.mode", "Double", 0.0, (0, 1), Verdict.PLANT, "Double"),
        ("mv.InitiatorFeed.mode", "String", "MAN", ("EXT",), Verdict.FITS, "String"),
        ("mv.InitiatorFeed.mode", "String", "MAN", (2,), Verdict.CONFIGURATION, "not a whole"),
    ],
)
def test_a_selector_shows_what_tags_toml_waits_for(case):
    key, kind, shows, choices, verdict, words = case
    node = ua.VariantType[kind]
    facts = NodeFacts(**{**GOOD, "kind": node, "value": ua.DataValue(ua.Variant(shows, node))})
    (found,) = compare_tag(key, facts, None, written=False, choices=choices)
    assert found.verdict is verdict
    assert words in found.found


def test_every_part_that_an_mv_lacks_is_named_with_what_stands_in():
    shipped = load_tags(default_config_dir() / "tags.toml")
    bare = shipped.model_copy(update={"mv": {"InitiatorFeed": MV_TAG}})
    told = {item.key: item.action for item in absent_parts(bare)}
    assert told["mv.InitiatorFeed.track"] == "AUTO starts from Actual"
    assert all(told[f"mv.InitiatorFeed.{part}"] for part in MV_OPTIONAL if part != "status")
