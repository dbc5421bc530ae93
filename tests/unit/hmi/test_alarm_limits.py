"""Alarm limits of a CV: asked of a server, converted, named by tags.toml where none tells them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from asyncua import Client, ua
from asyncua.server import binary_server_asyncio

from controller.configuration.tags import parse_tags
from controller.hmi import alarm_limits as module
from controller.hmi.alarm_limits import AlarmLimit, find_limits, read_limits
from controller.hmi.alarms import Alarm
from controller.hmi.view import summary
from controller.opcua.operation_limits import OperationLimits
from tests.support.dcs import Dcs, Odd

PV = "cv.Temperature.pv"
FEW = OperationLimits(read=2, translate=2)
DEVIATION_TYPE = ua.NodeId(ua.ObjectIds.NonExclusiveDeviationAlarmType)


async def limits_of(dcs, client, limits=FEW):
    places = await find_limits(client, {PV: dcs.pv.nodeid}, limits)
    found = (await read_limits(client, places, limits.read)).get(PV, ())
    return {(limit.condition, limit.name): limit.value for limit in found}


@pytest.fixture
async def dcs(monkeypatch):
    monkeypatch.setattr(binary_server_asyncio, "UaProcessor", Odd)
    made = Dcs()
    await made.start()
    yield made
    await made.server.stop()


@pytest.fixture
async def client(dcs):
    async with Client(dcs.url, timeout=5) as opened:
        yield opened


async def test_limits_are_found_from_the_tag_and_from_its_object(dcs, client):
    level = {"HighHighLimit": 365.0, "HighLimit": 361.0, "LowLimit": 330.0, "LowLowLimit": 320.0}
    nodes = await dcs.condition(dcs.loop, "TIC101_Level", dcs.pv.nodeid, **level)
    await dcs.condition(dcs.pv, "TIC101_Own", dcs.pv.nodeid, HighLimit=358.0)
    await dcs.condition(dcs.loop, "TIC101_Output", dcs.op.nodeid, HighLimit=95.0)
    await dcs.condition(dcs.loop, "TIC101_Deviation", dcs.pv.nodeid, DEVIATION_TYPE, HighLimit=5.0)
    expected = {
        ("ns=1;s=TIC101_Level", "HH"): 365.0,
        ("ns=1;s=TIC101_Level", "H"): 361.0,
        ("ns=1;s=TIC101_Level", "L"): 330.0,
        ("ns=1;s=TIC101_Level", "LL"): 320.0,
        ("ns=1;s=TIC101_Own", "H"): 358.0,
    }
    assert await limits_of(dcs, client) == expected
    await nodes["HighLimit"].write_value(359.5)
    expected["ns=1;s=TIC101_Level", "H"] = 359.5
    assert await limits_of(dcs, client, OperationLimits()) == expected


async def test_a_server_without_conditions_has_no_limits(dcs, client):
    assert await limits_of(dcs, client) == {}


async def test_a_tag_that_is_gone_has_no_limits(client):
    assert await find_limits(client, {PV: ua.NodeId(999_999, 1)}, FEW) == ()


async def test_a_limit_that_is_no_number_is_left_out(dcs, client):
    await dcs.condition(dcs.pv, "T", dcs.pv.nodeid, HighLimit=float("nan"), HighHighLimit=365.0)
    assert await limits_of(dcs, client) == {("ns=1;s=T", "HH"): 365.0}


async def test_a_condition_of_the_tag_itself_needs_no_input_node(dcs, client):
    await dcs.condition(dcs.pv, "Own", HighLimit=358.0)
    await dcs.condition(dcs.pv, "Null", ua.NodeId(), LowLimit=330.0)
    await dcs.condition(dcs.pv, "Other", dcs.op.nodeid, HighLimit=95.0)
    await dcs.condition(dcs.loop, "Loop", HighLimit=1.0)
    assert await limits_of(dcs, client) == {
        ("ns=1;s=Own", "H"): 358.0,
        ("ns=1;s=Null", "L"): 330.0,
    }


async def test_a_limit_that_is_bad_or_a_truth_is_left_out(dcs, client):
    nodes = await dcs.condition(dcs.pv, "T", LowLimit=True, HighLimit=358.0, HighHighLimit=365.0)
    bad = ua.DataValue(
        ua.Variant(358.0), StatusCode=ua.StatusCode(ua.StatusCodes.UncertainInitialValue)
    )
    await nodes["HighLimit"].write_value(bad)
    assert await limits_of(dcs, client) == {("ns=1;s=T", "HH"): 365.0}


async def test_what_one_tag_may_make_us_ask_and_keep_is_bounded(dcs, client, monkeypatch):
    """Its own conditions come first."""
    monkeypatch.setattr(module, "MOST_CONDITIONS", 3)
    monkeypatch.setattr(module, "MOST_LIMITS", 5)
    level = {"HighHighLimit": 365.0, "HighLimit": 361.0}
    await dcs.condition(dcs.loop, "OfLoop", dcs.pv.nodeid, **level)
    for place in range(4):
        await dcs.condition(dcs.pv, f"Own{place}", **level)
    places = await find_limits(client, {PV: dcs.pv.nodeid}, FEW)
    assert {place.condition for place in places} == {f"ns=1;s=Own{k}" for k in range(3)}
    assert len((await read_limits(client, places, 2))[PV]) == 5


async def test_few_of_the_objects_that_a_tag_is_part_of_are_asked(dcs, client, monkeypatch):
    monkeypatch.setattr(module, "MOST_PARENTS", 4)
    for place in range(6):
        group = await dcs.server.nodes.objects.add_object(1, f"Group{place}")
        await group.add_reference(dcs.pv, ua.ObjectIds.Organizes)
        await dcs.condition(group, f"Of{place}", dcs.pv.nodeid, HighLimit=361.0)
    places = await find_limits(client, {PV: dcs.pv.nodeid}, FEW)
    assert len(places) == 4 - 2  # the folder and the loop come first


async def test_pages_without_end_are_given_up(dcs, client, monkeypatch):
    await dcs.condition(dcs.pv, "T", HighLimit=361.0)
    monkeypatch.setattr(module, "MOST_PARENTS", 2)
    monkeypatch.setattr(module, "MOST_CONDITIONS", 3)
    for name, value in {"paged": True, "pages": 0, "released": 0}.items():
        monkeypatch.setattr(Odd, name, value)
    assert await limits_of(dcs, client) == {("ns=1;s=T", "H"): 361.0}
    assert (Odd.pages, Odd.released) == (1 + 2, 2)


async def test_conditions_of_a_shared_object_are_asked_once(dcs, client):
    for place in range(5):
        await dcs.condition(dcs.loop, f"C{place}", dcs.op.nodeid, HighLimit=1.0 * place)
    nodes = {PV: dcs.pv.nodeid, "cv.Output.pv": dcs.op.nodeid}
    before = Odd.translated
    places = await find_limits(client, nodes, OperationLimits())
    assert Odd.translated - before == 5 * 6  # four limits, InputNode, SetpointNode
    assert [place.key for place in places] == ["cv.Output.pv"] * 5


def alarm(key, severity, *, acked=False, active=True):
    return Alarm(
        key=key,
        condition=ua.NodeId(1),
        event_id=b"1",
        name=key.upper(),
        source="R101",
        severity=severity,
        active=active,
        acked=acked,
        retain=True,
        shelved=False,
        time=datetime.now(UTC),
        message="",
        comment="",
    )


def shown(unit, seen, **changes):
    document = summary(unit, seen(**changes))
    return next(cv for cv in document["cvs"] if cv["tag"] == "Temperature")


TOLD = {
    PV: (
        AlarmLimit(name="HH", value=365.0, condition="t_hh"),
        AlarmLimit(name="H", value=361.0, condition="t_h"),
    )
}


def test_a_page_is_told_limits_in_order_and_the_gravest_alarm(unit, seen):
    cv = shown(unit, seen, limits=TOLD)
    assert cv["limits"] == [
        {"name": "H", "kind": "high", "value": 361.0},
        {"name": "HH", "kind": "high", "value": 365.0},
    ]
    assert cv["alarm"] is None
    both = {"t_h": alarm("t_h", 600), "t_hh": alarm("t_hh", 900, acked=True)}
    assert shown(unit, seen, limits=TOLD, standing=both)["alarm"] == {
        "name": "T_H",
        "state": "unacknowledged",
        "priority": "medium",
    }
    other = {"level": alarm("level", 900)}
    assert shown(unit, seen, limits=TOLD, standing=other)["alarm"] is None
    over = {"t_h": alarm("t_h", 600, acked=True, active=False)}
    assert shown(unit, seen, limits=TOLD, standing=over)["alarm"] is None


def test_an_alarm_whose_source_is_the_pv_is_the_cvs(unit, seen):
    """Also where the server has no limits to tell."""
    sources = {PV: "ns=2;i=7", "cv.PolymerConc.pv": "ns=2;i=8"}
    mine = {"t": replace(alarm("t", 600), source_node="ns=2;i=7")}
    assert shown(unit, seen, sources=sources, standing=mine)["alarm"]["name"] == "T"
    other = {"t": replace(alarm("t", 600), source_node="ns=2;i=8")}
    assert shown(unit, seen, sources=sources, standing=other)["alarm"] is None
    nowhere = {"t": alarm("t", 600)}
    assert shown(unit, seen, sources=sources, standing=nowhere)["alarm"] is None
    assert shown(unit, seen, standing=nowhere)["alarm"] is None


def test_tags_toml_names_limits_that_the_server_does_not_tell(unit, seen):
    cvs = [
        replace(cv, alarm_limits=(("HH", 364.0), ("L", 325.0))) if cv.name == "Temperature" else cv
        for cv in unit.binding.cvs
    ]
    named = replace(unit, binding=replace(unit.binding, cvs=tuple(cvs)))
    found = shown(named, seen, limits=TOLD)["limits"]
    assert [(limit["name"], limit["value"]) for limit in found] == [
        ("L", 325.0),
        ("H", 361.0),
        ("HH", 365.0),
    ]


def test_configured_limits_are_in_the_tags_unit():
    from controller.configuration.binding import bind
    from controller.configuration.settings import default_config_dir
    from controller.configuration.tags import load_tags
    from models.bundle import default_bundle, load_manifest

    path = default_config_dir() / "tags.toml"
    text = path.read_text(encoding="utf-8")
    assert load_tags(path).cv["Temperature"].alarm_limits.H is None
    limits = "\n[cv.Temperature.alarm_limits]\nH = 85.0\nHH = 90.0\n"
    import tomllib

    data = tomllib.loads(text + limits)
    data["cv"]["Temperature"].update(unit="degC", range=[0.0, 150.0])
    binding = bind(parse_tags(data, file=path), load_manifest(default_bundle()), file=path)
    found = next(cv for cv in binding.cvs if cv.name == "Temperature").alarm_limits
    assert found == (("HH", pytest.approx(363.15)), ("H", pytest.approx(358.15)))
