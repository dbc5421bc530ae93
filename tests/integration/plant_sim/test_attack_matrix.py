"""Every attacker against every tag, every method and every service: nothing changes.

The allowed writer and caller stand beside the refused ones, so that a refusal of everybody fails.
"""

from datetime import UTC, datetime

import pytest
from asyncua import Client, ua

from plant_sim.opcua.methods import METHODS
from plant_sim.unit.tag_table import ENUM_TYPES, FOLDERS, TAGS
from plant_sim.unit.tags import Kind, Role
from tests.support.channels import channel

DENIED = "BadUserAccessDenied"
STATE = ("Sim/Scenario", "Sim/Seed", "Sim/PlantTime", "APC/LeaseOwner", "APC/ShedReason")
ARGUMENTS = {
    "APC/TakeLease": ("attacker", 5.0),
    "APC/ReleaseLease": (),
    "APC/Shed": ("attacker",),
    "APC/Acknowledge": (),
    "Sim/Reset": ("grade_down", 99),
    "Sim/Step": (60.0,),
    "Sim/Snapshot": (),
    "Sim/InjectFault": ("Temperature", "freeze", 0.0, 1e5),
}
OF_APC = [tag.path for tag in TAGS if tag.writer is Role.APC]


def other_value(tag, value):
    """A value that the tag's writer may write, and that it does not show now."""
    match tag.kind:
        case Kind.BOOLEAN:
            return not value
        case Kind.UINT32:
            return ((value or 0) + 1) % 2**32
        case Kind.ENUM:
            return next(int(m) for m in tag.enum if int(m) != value and m.name not in UNSUITED)
        case Kind.DOUBLE:
            low, high = tag.range or (0.0, 1e3)
            middle = (low + high) / 2.0
            return middle if value != middle else (low + middle) / 2.0
        case Kind.STRING:
            return "attacked"
        case _:
            return None


UNSUITED = {"CUSTOM", "HOLD"}
"""Members that nobody may write."""
NEEDS = {
    "R101/MV/InitiatorFeed/Output": ("R101/MV/InitiatorFeed/Mode", 0),
    "R101/MV/CoolantTemperature/Output": ("R101/MV/CoolantTemperature/Mode", 0),
}
"""Tags that take a write only while another one shows this."""


@pytest.fixture
async def still(secure_plant, identity):
    """The encrypting plant, paused in a known state: what changes was changed by somebody."""
    async with secure_plant.peer("engineer", identity) as engineer:
        settings = ("APC/HeartbeatTimeout", "APC/ShedOption", "Sim/Speed", "Sim/Paused")
        before = await engineer.read(*settings)
        await engineer.do("Sim/Reset", "grade_up", 5)
        await engineer.put("Sim/Paused", True)  # noqa: FBT003
        yield engineer
        await engineer.do("Sim/Reset", "grade_up", 5)
        for path, value in zip(settings, before, strict=True):
            await engineer.put(path, value)


def contents(values):
    return [data.Value.Value for data in values]


@pytest.mark.parametrize("role", list(Role))
async def test_every_tag_takes_a_write_of_its_writer_and_of_nobody_else(
    secure_plant, identity, still, role
):
    """One Write a tag, with a value that only its role could refuse."""
    paths = [tag.path for tag in TAGS]
    async with secure_plant.peer(role, identity) as peer:
        for tag in TAGS:
            if tag.writer is role:
                continue
            before = contents(await still.data(*paths))
            value = other_value(tag, before[paths.index(tag.path)])
            wanted = "BadNotWritable" if tag.writer is None else DENIED
            variant = ua.Variant() if value is None else value
            assert await peer.write([(tag.path, variant)]) == [wanted], tag.path
            after = contents(await still.data(*paths))
            beat = paths.index("APC/HeartbeatOut")
            del before[beat], after[beat]
            assert after == before, tag.path


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ENGINEER, Role.APC])
async def test_the_same_writes_are_taken_from_the_writer(secure_plant, identity, still, role):
    async with secure_plant.peer(role, identity) as peer:
        for tag in (tag for tag in TAGS if tag.writer is role):
            if tag.path in NEEDS:
                await peer.put(*NEEDS[tag.path])
            value = other_value(tag, await still.read(tag.path))
            assert await peer.write([(tag.path, value)]) == ["Good"], tag.path


def bare_write(paths):
    params = ua.WriteParameters()
    for tag in TAGS:
        if tag.path in paths:
            item = ua.WriteValue(NodeId=ua.NodeId(tag.number, 2), AttributeId=13)
            content = 1 if tag.kind in {Kind.ENUM, Kind.UINT32} else 1.0
            content = True if tag.kind is Kind.BOOLEAN else content
            item.Value = ua.DataValue(ua.Variant(content, ua.VariantType[tag.kind.value]))
            params.NodesToWrite.append(item)
    return params


def bare_calls():
    return [
        ua.CallMethodRequest(
            ObjectId=ua.NodeId(FOLDERS[method.path.rpartition("/")[0]], 2),
            MethodId=ua.NodeId(method.number, 2),
            InputArguments=[
                ua.Variant(value, ua.VariantType[argument.kind.value])
                for argument, value in zip(method.inputs, ARGUMENTS[method.path], strict=True)
            ],
        )
        for method in METHODS
    ]


async def nobody_in_clear(plant, identity):  # noqa: ARG001
    return Client(plant.endpoint, timeout=5), False


async def nobody_encrypted(plant, identity):
    return identity.client(plant), False


async def not_logged_in(plant, identity):
    return identity.client(plant), True


@pytest.mark.parametrize("who", [nobody_in_clear, nobody_encrypted, not_logged_in])
async def test_without_a_login_no_tag_is_written_and_no_method_called(
    secure_plant, identity, still, who
):
    """Anonymous: in clear, on a trusted channel, and with a session that nobody activated."""
    paths = [tag.path for tag in TAGS if tag.writer]
    before = contents(await still.data(*paths, *STATE))
    client, with_session = await who(secure_plant, identity)
    async with channel(client):
        if with_session:
            await client.create_session()
        for request in (
            *(client.uaclient.write(bare_write({path})) for path in paths),
            *(client.uaclient.call([call]) for call in bare_calls()),
        ):
            with pytest.raises(ua.UaStatusCodeError) as caught:
                await request
            assert caught.value.code in {
                ua.StatusCodes.BadSessionNotActivated,
                ua.StatusCodes.BadSecurityModeInsufficient,
            }
    assert contents(await still.data(*paths, *STATE)) == before


@pytest.mark.parametrize("role", list(Role))
async def test_every_method_does_nothing_for_those_who_may_not_call_it(
    secure_plant, identity, still, role
):
    paths = [tag.path for tag in TAGS if tag.path != "APC/HeartbeatOut"]
    before = contents(await still.data(*paths))
    async with secure_plant.peer(role, identity) as peer:
        for method in METHODS:
            if role in method.callers:
                continue
            status, outputs = await peer.call(method.path, *ARGUMENTS[method.path])
            assert (status, outputs) == (DENIED, []), method.path
    assert contents(await still.data(*paths)) == before


@pytest.mark.parametrize("role", list(Role))
async def test_no_attribute_but_the_value_is_written(secure_plant, identity, role):
    """Not even by the tag's writer: neither its access level, nor its name, nor its type."""
    attributes = [one for one in ua.AttributeIds if one is not ua.AttributeIds.Value]
    async with secure_plant.peer(role, identity) as peer:
        own = [tag for tag in TAGS if tag.writer is role] or list(TAGS[:3])
        for attribute in attributes:
            nodes = [peer.ids[tag.path] for tag in own]
            nodes += [ua.NodeId(number, peer.index) for number in ENUM_TYPES.values()]
            nodes += [ua.NodeId(ua.ObjectIds.Server), ua.NodeId(ua.ObjectIds.ObjectsFolder)]
            params = ua.WriteParameters()
            for node in nodes:
                item = ua.WriteValue(NodeId=node, AttributeId=attribute)
                item.Value = ua.DataValue(ua.Variant(255, ua.VariantType.Byte))
                params.NodesToWrite.append(item)
            before = await peer.client.uaclient.read_attributes(nodes, attribute)
            for status in await peer.client.uaclient.write(params):
                assert status.name in {"BadNotWritable", DENIED}, attribute
            after = await peer.client.uaclient.read_attributes(nodes, attribute)
            assert [one.Value for one in after] == [one.Value for one in before]


def new_node(peer):
    return ua.AddNodesItem(
        ParentNodeId=ua.NodeId(FOLDERS["R101"], peer.index),
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasComponent),
        RequestedNewNodeId=ua.NodeId(77_777, peer.index),
        BrowseName=ua.QualifiedName("Evil", peer.index),
        NodeClass=ua.NodeClass.Object,
        NodeAttributes=ua.ObjectAttributes(),
        TypeDefinition=ua.NodeId(ua.ObjectIds.BaseObjectType),
    )


def node_management(peer):
    """Every change of the address space, aimed at a Target."""
    target, folder = peer.ids["R101/MV/InitiatorFeed/Target"], ua.NodeId(1310, peer.index)
    kind, uaclient = ua.NodeId(ua.ObjectIds.HasComponent), peer.client.uaclient
    return (
        uaclient.add_nodes([new_node(peer)]),
        uaclient.delete_nodes(
            ua.DeleteNodesParameters(
                NodesToDelete=[ua.DeleteNodesItem(NodeId=target, DeleteTargetReferences=True)]
            )
        ),
        uaclient.add_references(
            [
                ua.AddReferencesItem(
                    SourceNodeId=folder,
                    ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes),
                    IsForward=True,
                    TargetNodeId=target,
                    TargetNodeClass=ua.NodeClass.Variable,
                )
            ]
        ),
        uaclient.delete_references(
            [
                ua.DeleteReferencesItem(
                    SourceNodeId=folder,
                    ReferenceTypeId=kind,
                    IsForward=True,
                    TargetNodeId=target,
                    DeleteBidirectional=True,
                )
            ]
        ),
    )


@pytest.mark.parametrize("role", list(Role))
async def test_nobody_changes_the_address_space(secure_plant, identity, role):
    async with secure_plant.peer(role, identity) as peer:
        for request in node_management(peer):
            try:
                statuses = {getattr(one, "StatusCode", one).name for one in await request}
            except ua.uaerrors.BadUserAccessDenied:
                statuses = {DENIED}  # the whole request
            assert statuses == {DENIED}
        assert await peer.read("R101/MV/InitiatorFeed/Target") >= 0.0
        node = peer.client.get_node(ua.NodeId(1310, peer.index))
        names = [(await child.read_browse_name()).Name for child in await node.get_children()]
        assert names.count("Target") == 1
        assert "Evil" not in names


def unsupported(peer):
    """Services that this server does not have; each would change or tell something."""
    tag = peer.ids["R101/PV/Temperature"]
    value = ua.DataValue(ua.Variant(1.0))
    update = ua.UpdateDataDetails(
        NodeId=tag, PerformInsertReplace=ua.PerformUpdateType.Replace, UpdateValues=[value]
    )
    delete = ua.DeleteRawModifiedDetails(NodeId=tag, IsDeleteModified=False)
    history_update, history_delete = ua.HistoryUpdateRequest(), ua.HistoryUpdateRequest()
    history_update.Parameters.HistoryUpdateDetails = [update]
    history_delete.Parameters.HistoryUpdateDetails = [delete]
    return {
        "HistoryUpdate": history_update,
        "HistoryUpdate to delete": history_delete,
        "QueryFirst": ua.QueryFirstRequest(),
        "QueryNext": ua.QueryNextRequest(),
        "Cancel": ua.CancelRequest(),
        "SetTriggering": ua.SetTriggeringRequest(),
        "RegisterServer": ua.RegisterServerRequest(),
        "RegisterServer2": ua.RegisterServer2Request(),
        "FindServersOnNetwork": ua.FindServersOnNetworkRequest(),
    }


@pytest.mark.parametrize("role", list(Role))
async def test_services_that_are_not_offered_are_refused_whole(secure_plant, identity, role):
    async with secure_plant.peer(role, identity) as peer:
        for name, request in unsupported(peer).items():
            with pytest.raises(ua.UaStatusCodeError) as caught:
                await peer.client.uaclient.protocol.send_request(
                    with_token(request, peer), timeout=5.0
                )
            assert type(caught.value).__name__ in {"BadServiceUnsupported", DENIED}, name


def with_token(request, peer):
    """The protocol of the client fills in the token of its session."""
    peer.client.uaclient.protocol.authentication_token = (
        peer.client.uaclient.session.authentication_token
    )
    return request


SERVER_METHODS = (
    (ua.ObjectIds.Server_GetMonitoredItems, [ua.Variant(1, ua.VariantType.UInt32)]),
    (ua.ObjectIds.Server_ResendData, [ua.Variant(1, ua.VariantType.UInt32)]),
    (
        ua.ObjectIds.Server_SetSubscriptionDurable,
        [ua.Variant(1, ua.VariantType.UInt32), ua.Variant(1, ua.VariantType.UInt32)],
    ),
    (
        ua.ObjectIds.Server_RequestServerStateChange,
        [
            ua.Variant(4, ua.VariantType.Int32),
            ua.Variant(datetime(2026, 1, 1, tzinfo=UTC)),
            ua.Variant(0, ua.VariantType.UInt32),
            ua.Variant(ua.LocalizedText("x")),
            ua.Variant(True),  # noqa: FBT003
        ],
    ),
)


class Sink:
    seen = 0

    def datachange_notification(self, node, value, data):  # noqa: ARG002
        self.seen += 1


@pytest.mark.parametrize("role", list(Role))
async def test_the_methods_of_the_server_tell_nothing_of_anothers_subscription(
    secure_plant, identity, role
):
    async with (
        secure_plant.peer("apc", identity) as victim,
        secure_plant.peer(role, identity) as peer,
    ):
        subscription = await victim.client.create_subscription(50, Sink())
        number = ua.Variant(subscription.subscription_id, ua.VariantType.UInt32)
        calls = [
            ua.CallMethodRequest(
                ObjectId=ua.NodeId(ua.ObjectIds.Server),
                MethodId=ua.NodeId(method),
                InputArguments=[number, *arguments[1:]],
            )
            for method, arguments in SERVER_METHODS
        ]
        refresh = ua.ObjectIds.ConditionType_ConditionRefresh
        calls.append(
            ua.CallMethodRequest(
                ObjectId=ua.NodeId(ua.ObjectIds.ConditionType),
                MethodId=ua.NodeId(refresh),
                InputArguments=[number],
            )
        )
        for result in await peer.client.uaclient.call(calls):
            assert not result.StatusCode.is_good()
            assert not result.OutputArguments
        await subscription.delete()


async def test_while_one_session_holds_the_lease_no_other_writes_what_a_controller_writes(
    secure_plant, identity, still
):
    """Neither targets nor heartbeat, nor diagnostics that would be taken for the holder's."""
    async with (
        secure_plant.peer("apc", identity) as holder,
        secure_plant.peer("apc", identity) as thief,
    ):
        assert await holder.do("APC/TakeLease", "holder", 30.0) == [True]
        for path in OF_APC:
            tag = next(one for one in TAGS if one.path == path)
            before = await still.read(*OF_APC)
            value = other_value(tag, before[OF_APC.index(path)])
            assert await thief.write([(path, value)]) == [DENIED], path
            assert await still.read(*OF_APC) == before, path
            assert await holder.write([(path, value)]) == ["Good"], path
        await holder.do("APC/ReleaseLease")


async def test_without_a_lease_a_controller_may_show_what_it_would_do(
    secure_plant, identity, still
):
    """A controller in SHADOW on a line without lease shows its advisory, and moves nothing."""
    async with secure_plant.peer("apc", identity) as shadow:
        assert await still.read("APC/LeaseOwner") == ""
        await shadow.put("APC/Diagnostics/Advisory/InitiatorFeed", 1.5)
        assert await still.read("APC/Diagnostics/Advisory/InitiatorFeed") == 1.5
        assert await still.read("APC/Active") is False
