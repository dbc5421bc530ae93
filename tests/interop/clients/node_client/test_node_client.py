"""node-opcua as client of the soft plant, in clear and on both encrypted lines."""

import asyncio
import datetime as dt

import pytest
from asyncua import ua

from plant_sim.opcua.node_items import UNITS, unit_id
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import NAMESPACE

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEMPERATURE = "R101/PV/Temperature"
SETPOINT = "R101/SP/Temperature"
TARGET = "R101/MV/InitiatorFeed/Target"
HEARTBEAT = "APC/HeartbeatOut"
SERVER, NAMESPACES = "i=2253", "i=2255"
HISTORY_READ = 4
SUBSCRIBE_TO_EVENTS = 1
PROPERTY = "ns=2;i={}"


async def test_the_namespace_is_where_the_node_ids_say(operator):
    client, _ = operator
    (namespaces,) = await client.read(NAMESPACES)
    assert namespaces["value"][2] == NAMESPACE


async def test_browse_finds_the_tags(operator, nodes):
    client, _ = operator
    found = await client.do("browse", node=nodes["R101/PV"])
    assert found["status"] == "Good"
    wanted = {tag.path.rpartition("/")[2] for tag in TAGS if tag.path.startswith("R101/PV/")}
    assert wanted <= set(found["names"])
    assert {"EURange", "EngineeringUnits"} <= set(
        (await client.do("browse", node=nodes[TEMPERATURE]))["names"]
    )


async def test_a_value_has_type_status_and_source_time(operator, nodes):
    client, _ = operator
    (data,) = await client.read(nodes[TEMPERATURE])
    assert data["type"] == "Double"
    assert data["status"] == "Good"
    assert 300.0 < data["value"] < 400.0
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(data["source"])
    assert abs(age.total_seconds()) < 5.0


async def test_units_and_range_are_read_as_the_standard_has_them(operator, nodes):
    client, _ = operator
    tag = next(tag for tag in TAGS if tag.path == SETPOINT)
    low_high, units = await client.read(
        *(PROPERTY.format(100_000 + 10 * tag.number + place) for place in (0, 1))
    )
    assert (low_high["value"]["low"], low_high["value"]["high"]) == tag.range
    code, symbol, _ = UNITS[tag.unit]
    assert units["value"]["unitId"] == unit_id(code)
    assert units["value"]["displayName"]["text"] == symbol
    (missing,) = await client.read(nodes["R101/PV"] + "77")
    assert missing["status"] == "BadNodeIdUnknown"


async def test_a_write_takes_effect_and_a_bad_one_does_not(operator, nodes):
    client, _ = operator
    (before,) = await client.read(nodes[SETPOINT])
    items = [
        {"node": nodes[SETPOINT], "type": "Double", "value": 351.5},
        {"node": nodes[SETPOINT], "type": "Double", "value": 9999.0},
        {"node": nodes[SETPOINT], "type": "Float", "value": 352.0},
        {"node": nodes[TARGET], "type": "Double", "value": 1.0},
        {"node": nodes[TEMPERATURE], "type": "Double", "value": 350.0},
    ]
    assert await client.do("write", items=items) == [
        "Good",
        "BadOutOfRange",
        "BadTypeMismatch",
        "BadUserAccessDenied",
        "BadNotWritable",
    ]
    assert (await client.read(nodes[SETPOINT]))[0]["value"] == 351.5
    back = {"node": nodes[SETPOINT], "type": "Double", "value": before["value"]}
    assert await client.do("write", items=[back]) == ["Good"]


async def test_methods_are_called_and_refused_by_role(operator, nodes):
    client, _ = operator
    shed = {"object": nodes["APC"], "method": nodes["APC/Shed"]}
    reason = [{"type": "String", "value": "interop"}]
    assert (await client.do("call", **shed, inputs=reason))["status"] == "Good"
    assert (await client.do("call", **shed))["status"] == "BadArgumentsMissing"
    lease = {"object": nodes["APC"], "method": nodes["APC/TakeLease"]}
    inputs = [{"type": "String", "value": "node"}, {"type": "Double", "value": 1.0}]
    denied = await client.do("call", **lease, inputs=inputs)
    assert denied["status"] == "BadUserAccessDenied"


async def test_a_subscription_follows_the_plant(operator, nodes):
    client, _ = operator
    beat, setpoint = nodes[HEARTBEAT], nodes[SETPOINT]
    await client.do("subscribe", nodes=[beat, setpoint])
    (first,) = (await client.until(setpoint, lambda data: data["status"] == "Good"))[:1]
    beats = await client.until(beat, lambda data: data["value"] > 0)
    later = await client.until(beat, lambda data: data["value"] >= beats[0]["value"] + 10)
    counts = [data["value"] for data in (*beats, *later)]
    assert counts == sorted(set(counts))
    moved = first["value"] + 0.25
    item = {"node": setpoint, "type": "Double", "value": moved}
    assert await client.do("write", items=[item]) == ["Good"]
    await client.until(setpoint, lambda data: data["value"] == moved)


async def test_output_arguments_reach_the_lease_holder(start_node, plant, nodes):
    apc = await start_node()
    await apc.login(plant, "apc")
    lease = {"object": nodes["APC"], "method": nodes["APC/TakeLease"]}
    inputs = [{"type": "String", "value": "node"}, {"type": "Double", "value": 5.0}]
    assert await apc.do("call", **lease, inputs=inputs) == {"status": "Good", "outputs": [True]}
    assert (await apc.read(nodes["APC/LeaseOwner"]))[0]["value"] == "node"
    release = {"object": nodes["APC"], "method": nodes["APC/ReleaseLease"]}
    assert (await apc.do("call", **release))["status"] == "Good"


@pytest.mark.parametrize(
    ("user", "password"), [("operator", "wrong"), ("admin", "admin"), ("", "")]
)
async def test_a_wrong_login_is_refused(start_node, plant, refused, user, password):
    client = await start_node()
    with pytest.raises(refused, match=r"BadUserAccessDenied|BadIdentityToken"):
        await client.login(plant, user, password=password)


async def test_an_encrypting_plant_is_no_place_for_clear_text(start_node, encrypting, refused):
    client = await start_node()
    logins = encrypting.process.text().count("login")
    with pytest.raises(refused, match=r"End point must exist|BadSecurityModeInsufficient"):
        await client.login(encrypting, "operator")
    assert encrypting.process.text().count("login") == logins, "a password was looked at"


async def test_a_restarted_plant_serves_a_new_session(start_node, plant_class, tmp_path, nodes):
    plant = plant_class(tmp_path)
    await plant.start()
    client = await start_node()
    try:
        await client.login(plant, "observer")
        await client.do("subscribe", nodes=[nodes[HEARTBEAT]])
        await client.until(nodes[HEARTBEAT], lambda data: data["value"] > 20)
        plant.process.kill()
        await asyncio.sleep(1.0)
        await plant.start()
        await client.do("disconnect")
        await client.login(plant, "observer")
        await client.do("subscribe", nodes=[nodes[HEARTBEAT]])
        seen = await client.until(nodes[HEARTBEAT], lambda data: data["value"] > 0)
        again = await client.until(
            nodes[HEARTBEAT], lambda data: data["value"] > seen[-1]["value"] + 5
        )
        assert all(data["status"] == "Good" for data in again)
    finally:
        await plant.stop()


async def test_a_restarted_plant_is_found_again_by_the_client_itself(
    start_node, plant_class, tmp_path, nodes
):
    """It asks for what it may have missed: answered Good and empty, it would ask for ever."""
    plant = plant_class(tmp_path)
    await plant.start()
    client = await start_node()
    try:
        await client.login(plant, "observer", retries=-1)
        await client.do("subscribe", nodes=[nodes[HEARTBEAT]])
        await client.until(nodes[HEARTBEAT], lambda data: data["value"] > 20)
        plant.process.kill()
        await asyncio.sleep(1.0)
        await plant.start()
        started = dt.datetime.now(dt.UTC)

        def of_the_new_plant(data):
            return data["source"] and dt.datetime.fromisoformat(data["source"]) > started

        seen = await client.until(nodes[HEARTBEAT], of_the_new_plant, limit_s=30.0)
        beat = seen[-1]["value"]
        await client.until(nodes[HEARTBEAT], lambda data: data["value"] > beat + 20)
    finally:
        await plant.stop()


async def test_history_is_read(operator, nodes):
    client, _ = operator
    (level,) = await client.read(nodes[TEMPERATURE], attribute="AccessLevel")
    if not level["value"] & HISTORY_READ:
        pytest.skip("this soft plant keeps no history")
    end = dt.datetime.now(dt.UTC)
    start = end - dt.timedelta(seconds=5)
    found = await client.do(
        "history", node=nodes[TEMPERATURE], start=start.isoformat(), end=end.isoformat()
    )
    assert found["status"].startswith("Good")
    times = [data["source"] for data in found["values"]]
    assert len(times) > 1
    assert times == sorted(times)
    good = [data["value"] for data in found["values"] if data["status"] == "Good"]
    assert good
    assert all(300.0 < value < 400.0 for value in good)


@pytest.mark.parametrize("emitter", ["R101", SERVER])
async def test_an_alarm_arrives_as_an_event(start_node, plant, nodes, emitter):
    client = await start_node()
    await client.login(plant, "observer")
    (notifier,) = await client.read(nodes["R101"], attribute="EventNotifier")
    if not notifier["value"] & SUBSCRIBE_TO_EVENTS:
        pytest.skip("this soft plant emits no events")
    fields = ["EventType", "SourceName", "Message", "Severity"]
    await client.do("listen", node=nodes.get(emitter, emitter), fields=fields)
    text, number = ua.VariantType.String, ua.VariantType.Double
    async with plant.login("engineer") as engineer:

        async def inject(kind, duration_s):
            await engineer.call(
                "Sim/InjectFault",
                ua.Variant("Temperature", text),
                ua.Variant(kind, text),
                ua.Variant(0.0, number),
                ua.Variant(duration_s, number),
            )

        await inject("bad_quality", 86400.0)
        try:
            async with asyncio.timeout(10.0):
                while not (seen := await client.do("events")):  # noqa: ASYNC110 - another process's
                    await asyncio.sleep(0.05)
        finally:
            await inject("clear", 0.0)
    assert all(event["SourceName"] and event["Message"]["text"] for event in seen)
    assert all(1 <= event["Severity"] <= 1000 for event in seen)


async def test_the_exchange_was_written_down(operator, nodes, services_in):
    client, plant = operator
    await client.read(nodes[TEMPERATURE])
    await client.do("browse", node=nodes["APC"])
    text = client.exchange.read_text(encoding="utf-8")
    assert "HEL F" in text
    assert "ACK F" in text
    assert f" {client.line}\n" in text
    if plant.secure:
        assert "CreateSessionRequest" not in text
    else:
        assert {"CreateSessionRequest", "ReadResponse", "BrowseRequest"} <= services_in(
            client.exchange
        )
