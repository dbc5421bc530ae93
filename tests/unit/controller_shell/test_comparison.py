"""`trimtab check`, the comparing: each kind of misfit is named, and only misfits are."""

import math

import pytest
from asyncua import ua

from controller.commissioning.comparison import Verdict, compare_methods, compare_tag
from controller.commissioning.stand_ins import stand_ins
from controller.configuration.settings import default_config_dir
from controller.configuration.tags import CvTag, MvTag, load_tags
from controller.opcua.survey import NodeFacts

CV = CvTag(pv="i=1", sp="i=2", unit="K", range=(280.0, 420.0))
MV = MvTag(unit="percent", span=(0, 2.5), range=(0, 100), max_move=5, target="i=1", actual="i=2")
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


def verdicts(key="cv.Temperature.pv", scaled=CV, *, written=False, **facts):
    found = list(compare_tag(key, NodeFacts(**{**GOOD, **facts}), scaled, written=written))
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
    raw = MvTag(unit="raw", scale=0.1, range=(0, 100), max_move=5, target="i=1", actual="i=2")
    only(Verdict.FITS, "mv.InitiatorFeed.actual", raw, unit="degC", range=(0.0, 100.0))


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
    assert list(stand_ins(shipped)) == []
    bare = shipped.model_copy(update={"handshake": type(shipped.handshake)()})
    said = {item.key: item.action for item in stand_ins(bare)}
    assert {"handshake.heartbeat_in", "handshake.mode", "handshake.take_lease"} <= set(said)
    assert all(action.startswith("not stated") for action in said.values())
    assert "the last target stands" in said["handshake.shed"]


def test_what_stands_in_follows_from_what_there_is():
    example = load_tags(default_config_dir() / "examples" / "foreign_tags.toml")
    said = {item.key: item.action for item in stand_ins(example)}
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
