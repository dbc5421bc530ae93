"""Who may connect, write and call: every role against every writable tag and every method."""

import math

import pytest
from asyncua import Client, ua

from plant_sim.opcua.conditions import ACKNOWLEDGE, ACKNOWLEDGERS, ADD_COMMENT
from plant_sim.opcua.methods import METHODS
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import Role

FEED = "R101/MV/InitiatorFeed"
VALUES = {
    "R101/SP/PolymerConc": 120.0,
    "R101/SP/Temperature": 352.0,
    "R101/Grade": 2,
    **{
        f"R101/MV/{name}/{item}": value
        for name, (low, high) in {
            "InitiatorFeed": (0.5, 2.0),
            "CoolantTemperature": (320.0, 345.0),
        }.items()
        for item, value in {
            "Target": high,
            "LoLim": low,
            "HiLim": high,
            "MaxMove": 1.0,
            "Mode": 0,
            "Output": low,
        }.items()
    },
    "APC/HeartbeatIn": 7,
    "APC/HeartbeatTimeout": 2.0,
    "APC/Mode": 1,
    "APC/Request": False,
    "APC/ShedOption": 1,
    "APC/Diagnostics/CycleMs": 1.5,
    "APC/Diagnostics/AdviceMs": 0.5,
    "APC/Diagnostics/CorrectionGap": 1e-6,
    "APC/Diagnostics/DeadlineMisses": 3,
    "APC/Diagnostics/Advisory/InitiatorFeed": 1.1,
    "APC/Diagnostics/Advisory/CoolantTemperature": 341.0,
    "Sim/Speed": 1000.0,
    "Sim/Paused": False,
}
ARGUMENTS = {
    "APC/TakeLease": ("test", 5.0),
    "APC/ReleaseLease": (),
    "APC/Shed": ("test",),
    "APC/Acknowledge": (),
    "Sim/Reset": ("grade_up", 5),
    "Sim/Step": (60.0,),
    "Sim/Snapshot": (),
    "Sim/InjectFault": ("Temperature", "clear", 0.0, 0.0),
}


async def connect(endpoint, user=None, password=None):
    client = Client(endpoint, timeout=5)
    if user is not None:
        client.set_user(user)
        client.set_password(password)
    async with client:
        pass


@pytest.mark.parametrize(
    ("user", "password"),
    [("admin", "admin"), ("Admin", ""), ("admin", "x"), ("operator", "wrong"), ("observer", "")],
)
async def test_a_wrong_name_or_password_is_refused(plant, user, password):
    with pytest.raises(ua.UaStatusCodeError) as caught:
        await connect(plant.endpoint, user, password)
    assert caught.value.code == ua.StatusCodes.BadUserAccessDenied


async def test_nobody_connects_without_a_name(plant):
    with pytest.raises(ua.UaError):
        await connect(plant.endpoint)


async def test_only_user_names_are_offered_and_only_policy_none(plant):
    (endpoint,) = await Client(plant.endpoint).connect_and_get_server_endpoints()
    assert [token.TokenType for token in endpoint.UserIdentityTokens] == [ua.UserTokenType.UserName]
    assert endpoint.SecurityMode == ua.MessageSecurityMode.None_
    assert endpoint.EndpointUrl == plant.endpoint


@pytest.mark.parametrize("role", list(Role))
async def test_every_writable_tag_against_every_role(fresh, role):
    writable = [tag for tag in TAGS if tag.writer]
    assert {tag.path for tag in writable} == set(VALUES)
    async with fresh.peer(role) as peer:
        outcome = await peer.write([(tag.path, VALUES[tag.path]) for tag in writable])
        expected = ["Good" if tag.writer is role else "BadUserAccessDenied" for tag in writable]
        assert dict(zip([t.path for t in writable], outcome, strict=True)) == dict(
            zip([t.path for t in writable], expected, strict=True)
        )
        follow = {f"R101/MV/{name}/Target" for name in ("InitiatorFeed", "CoolantTemperature")}
        own = [tag.path for tag in writable if tag.writer is role and tag.path not in follow]
        if own:
            values = await peer.read(*own)
            for path, value in zip(own, values if len(own) > 1 else [values], strict=True):
                if path.startswith("R101/SP/"):
                    continue  # R101/Grade came after it
                assert value == VALUES[path], path


@pytest.mark.parametrize("role", list(Role))
async def test_nobody_writes_what_is_the_plants(fresh, role):
    fixed = [tag for tag in TAGS if tag.writer is None]
    async with fresh.peer(role) as peer:
        before = await peer.data(*(tag.path for tag in fixed))
        outcome = await peer.write(
            [(tag.path, data.Value) for tag, data in zip(fixed, before, strict=True)]
        )
        assert set(outcome) == {"BadNotWritable"}


@pytest.mark.parametrize("role", list(Role))
async def test_every_method_against_every_role(fresh, role):
    assert {method.path for method in METHODS} == set(ARGUMENTS)
    async with fresh.peer(role) as peer:
        for method in METHODS:
            status, _ = await peer.call(method.path, *ARGUMENTS[method.path])
            if role not in method.callers:
                assert status == "BadUserAccessDenied", method.path
            elif method.path == "Sim/Step":
                assert status == "BadInvalidState"  # the clock runs
            else:
                assert status == "Good", method.path


@pytest.mark.parametrize("role", list(Role))
async def test_access_attributes_say_what_a_write_would(plant, role):
    async with plant.peer(role) as peer:
        nodes = [peer.client.get_node(peer.ids[tag.path]) for tag in TAGS]
        access = await peer.client.read_attributes(nodes, ua.AttributeIds.AccessLevel)
        user = await peer.client.read_attributes(nodes, ua.AttributeIds.UserAccessLevel)
        for tag, may, mine in zip(TAGS, access, user, strict=True):
            history = 4 if tag.history else 0
            assert may.Value.Value == (3 if tag.writer else 1) | history, tag.path
            assert mine.Value.Value == (3 if tag.writer is role else 1) | history, tag.path
        methods = [peer.client.get_node(ua.NodeId(m.number, peer.index)) for m in METHODS]
        allowed = await peer.client.read_attributes(methods, ua.AttributeIds.UserExecutable)
        assert [data.Value.Value for data in allowed] == [role in m.callers for m in METHODS]
        told = await peer.client.uaclient.read_attributes(
            [ACKNOWLEDGE, ADD_COMMENT], ua.AttributeIds.UserExecutable
        )
        assert [data.Value.Value for data in told] == [role in ACKNOWLEDGERS] * 2


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (ua.Variant(math.nan, ua.VariantType.Double), "BadOutOfRange"),
        (ua.Variant(math.inf, ua.VariantType.Double), "BadOutOfRange"),
        (ua.Variant(-math.inf, ua.VariantType.Double), "BadOutOfRange"),
        (ua.Variant(2.6, ua.VariantType.Double), "BadOutOfRange"),
        (ua.Variant([1.0], ua.VariantType.Double), "BadTypeMismatch"),
        (ua.Variant([1.0, 2.0], ua.VariantType.Double), "BadTypeMismatch"),
        (ua.Variant(1, ua.VariantType.Int64), "BadTypeMismatch"),
        (ua.Variant("1", ua.VariantType.String), "BadTypeMismatch"),
        (ua.Variant(1.0, ua.VariantType.Float), "BadTypeMismatch"),
        (ua.Variant(), "BadTypeMismatch"),
    ],
)
async def test_a_bad_value_is_refused_and_the_rest_of_the_write_applies(fresh, bad, status):
    async with fresh.peer("operator") as operator:
        before = await operator.read(f"{FEED}/HiLim")
        outcome = await operator.write(
            [
                (f"{FEED}/LoLim", 0.25),
                (f"{FEED}/HiLim", bad),
                (f"{FEED}/MaxMove", 0.125),
                (f"{FEED}/Target", 1.0),
            ]
        )
        assert outcome == ["Good", status, "Good", "BadUserAccessDenied"]
        shown = await operator.read(f"{FEED}/LoLim", f"{FEED}/HiLim", f"{FEED}/MaxMove")
        assert shown == [0.25, before, 0.125]


async def test_values_the_plant_does_not_allow(fresh):
    async with fresh.peer("operator") as operator, fresh.peer("engineer") as engineer:
        assert await operator.write(
            [
                (f"{FEED}/HiLim", 1.0),
                (f"{FEED}/LoLim", 1.5),
                ("R101/SP/PolymerConc", 201.0),
                ("R101/SP/Temperature", 361.0),
                ("R101/Grade", 0),
                ("APC/Mode", 3),
                (f"{FEED}/Output", 1.0),
            ]
        ) == ["Good", *["BadOutOfRange"] * 5, "BadInvalidState"]
        assert (
            await engineer.write(
                [
                    ("Sim/Speed", 0.05),
                    ("Sim/Speed", 10001.0),
                    ("APC/ShedOption", 2),
                    ("APC/HeartbeatTimeout", 0.0),
                ]
            )
            == ["BadOutOfRange"] * 4
        )


async def test_a_clients_status_and_time_are_not_taken_over(fresh):
    async with fresh.peer("operator") as operator:
        good = ua.Variant(120.0, ua.VariantType.Double)
        bad = ua.DataValue(good, StatusCode=ua.StatusCode(ua.StatusCodes.BadSensorFailure))
        path = "R101/SP/PolymerConc"
        assert await operator.write([(path, bad)]) == ["BadWriteNotSupported"]
        (before,) = await operator.data(path)
        assert await operator.write([(path, ua.DataValue(good, StatusCode=None))]) == ["Good"]
        (after,) = await operator.data(path)
        assert after.StatusCode.is_good()
        assert after.SourceTimestamp > before.SourceTimestamp


async def test_methods_check_their_arguments(fresh):
    async with fresh.peer("engineer") as engineer:
        for arguments, status in (
            ((), "BadArgumentsMissing"),
            (("grade_up",), "BadArgumentsMissing"),
            (("nowhere", 1), "BadOutOfRange"),
            ((ua.Variant(1.0), 1), "BadInvalidArgument"),
            (("grade_up", ua.Variant([1, 2], ua.VariantType.UInt32)), "BadInvalidArgument"),
        ):
            assert (await engineer.call("Sim/Reset", *arguments))[0] == status
        for arguments in (
            ("Temperature", "melt", 0.0, 1.0),
            ("Pressure", "freeze", 0.0, 1.0),
        ):
            assert (await engineer.call("Sim/InjectFault", *arguments))[0] == "BadOutOfRange"
        nan = ("Temperature", "drift", math.nan, 1.0)
        assert (await engineer.call("Sim/InjectFault", *nan))[0] == "BadInvalidArgument"


@pytest.mark.parametrize("owner", ["", "  "])
async def test_a_lease_needs_the_name_of_an_owner(fresh, owner):
    async with fresh.peer("apc") as apc:
        assert (await apc.call("APC/TakeLease", owner, 5.0))[0] == "BadOutOfRange"
        assert await apc.read("APC/LeaseOwner") == ""


async def test_nobody_writes_outside_the_plants_namespace(plant):
    async with plant.peer("engineer") as engineer:
        node = engineer.client.get_node(ua.NodeId(ua.ObjectIds.Server_NamespaceArray))
        with pytest.raises(ua.UaStatusCodeError):
            await node.write_value(["x"])
        missing = engineer.client.get_node(ua.NodeId(999_999, engineer.index))
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await missing.write_value(ua.DataValue(ua.Variant(1.0, ua.VariantType.Double)))
        assert caught.value.code == ua.StatusCodes.BadNodeIdUnknown
        with pytest.raises(ua.UaStatusCodeError):
            await engineer.client.nodes.objects.add_object(engineer.index, "Mine")


async def test_a_session_stays_with_its_user(fresh):
    async with fresh.peer("apc") as apc:
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await apc.client.activate_session("operator", fresh.passwords["operator"])
        assert caught.value.code == ua.StatusCodes.BadIdentityChangeNotSupported
        assert await apc.write([("APC/Mode", 1), ("APC/HeartbeatIn", 1)]) == [
            "BadUserAccessDenied",
            "Good",
        ]
