"""Alarm limits of a CV: asked of a server, converted, named by tags.toml where none tells them."""

import socket
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from asyncua import Client, Server, ua

from controller.configuration.tags import parse_tags
from controller.hmi.alarm_limits import AlarmLimit, find_limits, read_limits
from controller.hmi.alarms import Alarm
from controller.hmi.view import summary
from controller.opcua.operation_limits import OperationLimits

PV = "cv.Temperature.pv"
FEW = OperationLimits(read=2, translate=2)
LIMIT_TYPE = ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)
DEVIATION_TYPE = ua.NodeId(ua.ObjectIds.NonExclusiveDeviationAlarmType)


class Dcs:
    """A server whose conditions hang on the object that a measurement is part of."""

    def __init__(self):
        self.server = Server()
        self.url = ""

    async def start(self):
        await self.server.init()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"opc.tcp://127.0.0.1:{port}/"
        self.server.set_endpoint(self.url)
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        self.loop = await self.server.nodes.objects.add_object(1, "TIC101")
        self.pv = await self.loop.add_variable(1, "PV", 350.0)
        self.op = await self.loop.add_variable(1, "OP", 50.0)
        await self.server.start()

    async def condition(self, source, name, watched, kind=LIMIT_TYPE, **limits):
        made = await self.loop.add_object(ua.NodeId(name, 1), ua.QualifiedName(name, 1))
        await made.delete_reference(
            ua.NodeId(ua.ObjectIds.BaseObjectType), ua.ObjectIds.HasTypeDefinition
        )
        await made.add_reference(kind, ua.ObjectIds.HasTypeDefinition, bidirectional=False)
        await source.add_reference(made, ua.ObjectIds.HasCondition)
        await made.add_property(0, "InputNode", watched.nodeid, ua.VariantType.NodeId)
        return {key: await made.add_property(0, key, value) for key, value in limits.items()}

    async def limits(self, client, limits=FEW):
        places = await find_limits(client, {PV: self.pv.nodeid}, limits)
        found = (await read_limits(client, places, limits.read)).get(PV, ())
        return {(limit.condition, limit.name): limit.value for limit in found}


@pytest.fixture
async def dcs():
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
    nodes = await dcs.condition(dcs.loop, "TIC101_Level", dcs.pv, **level)
    await dcs.condition(dcs.pv, "TIC101_Own", dcs.pv, HighLimit=358.0)
    await dcs.condition(dcs.loop, "TIC101_Output", dcs.op, HighLimit=95.0)
    await dcs.condition(dcs.loop, "TIC101_Deviation", dcs.pv, DEVIATION_TYPE, HighLimit=5.0)
    expected = {
        ("ns=1;s=TIC101_Level", "HH"): 365.0,
        ("ns=1;s=TIC101_Level", "H"): 361.0,
        ("ns=1;s=TIC101_Level", "L"): 330.0,
        ("ns=1;s=TIC101_Level", "LL"): 320.0,
        ("ns=1;s=TIC101_Own", "H"): 358.0,
    }
    assert await dcs.limits(client) == expected
    await nodes["HighLimit"].write_value(359.5)
    expected["ns=1;s=TIC101_Level", "H"] = 359.5
    assert await dcs.limits(client, OperationLimits()) == expected


async def test_a_server_without_conditions_has_no_limits(dcs, client):
    assert await dcs.limits(client) == {}


async def test_a_tag_that_is_gone_has_no_limits(client):
    assert await find_limits(client, {PV: ua.NodeId(999_999, 1)}, FEW) == ()


async def test_a_limit_that_is_no_number_is_left_out(dcs, client):
    await dcs.condition(dcs.pv, "T", dcs.pv, HighLimit=float("nan"), HighHighLimit=365.0)
    assert await dcs.limits(client) == {("ns=1;s=T", "HH"): 365.0}


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
