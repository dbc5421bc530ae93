"""Alarms over the wire: events, tags, acknowledgement by role, refresh, filters, restart."""

import asyncio
import contextlib
import time

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

from plant_sim.opcua import limits
from plant_sim.unit.alarm_table import BAD_PV, DEFINITIONS, T_H, T_HH
from plant_sim.unit.tag_table import FOLDERS

CONDITION = ua.NodeId(ua.ObjectIds.ConditionType)
ACKNOWLEDGE = ua.ObjectIds.AcknowledgeableConditionType_Acknowledge
ADD_COMMENT = ua.ObjectIds.ConditionType_AddComment
REFRESH = ua.ObjectIds.ConditionType_ConditionRefresh
REFRESH_ITEM = ua.ObjectIds.ConditionType_ConditionRefresh2
REFRESH_START = ua.NodeId(ua.ObjectIds.RefreshStartEventType)
REFRESH_END = ua.NodeId(ua.ObjectIds.RefreshEndEventType)
TYPES = (ua.ObjectIds.ExclusiveLimitAlarmType, ua.ObjectIds.OffNormalAlarmType)
SHARE_S = 0.3
"""Long enough for a notification that should not come."""


class Watch:
    """What a subscriber to events has got."""

    def __init__(self):
        self.events = []

    def event_notification(self, event):
        self.events.append(event)

    @property
    def names(self):
        return [getattr(event, "ConditionName", None) for event in self.events]

    async def until(self, count, limit_s=5.0):
        end_s = time.monotonic() + limit_s
        while len(self.events) < count:
            assert time.monotonic() < end_s, self.names
            await asyncio.sleep(0.01)
        await asyncio.sleep(SHARE_S)
        assert len(self.events) == count, self.names
        return self.events[-1]


@contextlib.asynccontextmanager
async def watching(peer, *, node=ua.ObjectIds.Server, **options):
    """Subscribe to the alarms that a notifier tells; yields the subscription and what came."""
    watch = Watch()
    subscription = await peer.client.create_subscription(20, watch)
    source = node if isinstance(node, ua.NodeId) else ua.NodeId(node)
    watch.item = await subscription.subscribe_alarms_and_conditions(source, TYPES, **options)
    yield subscription, watch
    await subscription.delete()


def unit_node(peer):
    return ua.NodeId(FOLDERS["R101"], peer.index)


async def run(peer, object_id, method, *arguments):
    """Status name of a call of a method of the standard's."""
    request = ua.CallMethodRequest(
        ObjectId=object_id, MethodId=ua.NodeId(method), InputArguments=list(arguments)
    )
    (result,) = await peer.client.uaclient.call([request])
    return result.StatusCode.name


async def tell(peer, method, event_id, comment="", *, alarm=None, number=None):
    """Acknowledge or comment: status name."""
    number = number or next(d.number for d in DEFINITIONS if d.name == (alarm or "BadPV"))
    return await run(
        peer,
        ua.NodeId(number, peer.index),
        method,
        ua.Variant(event_id, ua.VariantType.ByteString),
        ua.Variant(ua.LocalizedText(comment), ua.VariantType.LocalizedText),
    )


async def refresh(peer, subscription, item=None):
    numbers = [subscription.subscription_id, *([] if item is None else [item])]
    arguments = [ua.Variant(number, ua.VariantType.UInt32) for number in numbers]
    return await run(peer, CONDITION, REFRESH if item is None else REFRESH_ITEM, *arguments)


def alarm_tags(name):
    return f"R101/Alarms/{name}/Active", f"R101/Alarms/{name}/Acked"


async def heat(engineer, temperature):
    """Let the transmitter read `temperature` [K] but for its noise, and wait out the delays."""
    excess = temperature - await engineer.read("Sim/Truth/Temperature")
    await engineer.do("Sim/InjectFault", "Temperature", "spike", excess, 86400.0)
    for _ in range(4):
        await engineer.do("Sim/Step", 20.0)
        excess = temperature - await engineer.read("Sim/Truth/Temperature")
        await engineer.do("Sim/InjectFault", "Temperature", "spike", excess, 86400.0)


async def break_pv(engineer, name="MonomerConc"):
    await engineer.do("Sim/InjectFault", name, "bad_quality", 0.0, 86400.0)


async def mend(engineer):
    await engineer.do("Sim/InjectFault", "*", "clear", 0.0, 0.0)
    await engineer.do("Sim/Step", 61.0)


@pytest.fixture
async def paused(fresh):
    """Engineer, operator and observer at the shared plant, which stands still without an alarm."""
    async with (
        fresh.peer("engineer") as engineer,
        fresh.peer("operator") as operator,
        fresh.peer("observer") as observer,
    ):
        await engineer.put("Sim/Paused", True)  # noqa: FBT003
        await engineer.do("Sim/Reset", "grade_up", 5)
        yield engineer, operator, observer
        await engineer.do("Sim/Reset", "grade_up", 5)


@pytest.mark.parametrize("at_unit", [True, False])
async def test_a_temperature_alarm_has_all_its_fields_at_both_notifiers(paused, at_unit):
    engineer, _, observer = paused
    node = unit_node(observer) if at_unit else ua.ObjectIds.Server
    async with watching(observer, node=node) as (_, watch):
        await heat(engineer, 366.5)
        await watch.until(2)
        assert set(watch.names) == {"T_H", "T_HH"}
        event = watch.events[watch.names.index("T_HH")]
        assert event.EventType == ua.NodeId(ua.ObjectIds.ExclusiveLimitAlarmType)
        assert event.NodeId == ua.NodeId(T_HH.number, observer.index)
        assert (event.SourceNode, event.SourceName) == (unit_node(observer), "R101")
        assert event.InputNode == observer.ids["R101/PV/Temperature"]
        assert event.Severity == T_HH.severity
        assert event.Message.Text.startswith("Reactor temperature 36")
        assert event.Message.Text.endswith(" K, limit 365 K")
        assert event.HighHighLimit == T_HH.limit.value
        assert getattr(event, "LimitState/CurrentState").Text == "HighHigh"
        assert (event.ActiveState.Text, getattr(event, "ActiveState/Id")) == ("Active", True)
        assert (event.AckedState.Text, getattr(event, "AckedState/Id")) == ("Unacknowledged", False)
        assert (event.Retain, getattr(event, "EnabledState/Id")) == (True, True)
        assert event.Quality.is_good()
        assert event.BranchId.is_null()
        assert event.ConditionClassId == ua.NodeId(ua.ObjectIds.ProcessConditionClassType)
        assert len(event.EventId) == 16
        (shown,) = await observer.data("R101/Alarms/T_HH/Active")
        assert shown.SourceTimestamp == event.Time == getattr(event, "ActiveState/TransitionTime")
        assert await observer.read(*alarm_tags("T_HH")) == [True, False]
        assert len({e.EventId for e in watch.events}) == 2
        assert [e.FirstInGroupFlag for e in watch.events].count(True) == 1


async def test_an_alarm_goes_through_its_states(paused):
    engineer, operator, observer = paused
    async with watching(observer) as (_, watch):
        await break_pv(engineer)
        raised = await watch.until(1)
        assert raised.EventType == ua.NodeId(ua.ObjectIds.OffNormalAlarmType)
        assert raised.Message.Text == "R101/PV/MonomerConc: BadSensorFailure"
        assert await tell(operator, ACKNOWLEDGE, raised.EventId, "fitter called") == "Good"
        seen = await watch.until(2)
        assert (getattr(seen, "AckedState/Id"), seen.Retain) == (True, True)
        assert (seen.Comment.Text, seen.ClientUserId) == ("fitter called", "operator")
        assert await observer.read(*alarm_tags("BadPV")) == [True, True]
        await mend(engineer)
        over = await watch.until(3)
        assert (getattr(over, "ActiveState/Id"), over.Retain) == (False, False)
        assert await observer.read(*alarm_tags("BadPV")) == [False, True]

        await break_pv(engineer)
        again = await watch.until(4)
        assert not getattr(again, "AckedState/Id")
        assert not again.Comment.Text  # of the alarm before
        await mend(engineer)
        returned = await watch.until(5)
        assert (getattr(returned, "ActiveState/Id"), returned.Retain) == (False, True)
        assert await observer.read(*alarm_tags("BadPV")) == [False, False]
        assert await tell(engineer, ACKNOWLEDGE, again.EventId) == "Good"
        assert (await watch.until(6)).Retain is False
        assert len({event.EventId for event in watch.events}) == 6


@pytest.mark.parametrize("method", [ACKNOWLEDGE, ADD_COMMENT])
async def test_who_may_acknowledge_and_what(paused, fresh, method):
    engineer, operator, observer = paused
    async with fresh.peer("apc") as apc, watching(observer) as (_, watch):
        await break_pv(engineer)
        first = (await watch.until(1)).EventId
        for peer in (observer, apc):
            assert await tell(peer, method, first) == "BadUserAccessDenied"
        assert await tell(operator, method, b"\0" * 16) == "BadEventIdUnknown"
        assert await tell(operator, method, None) == "BadEventIdUnknown"
        assert await tell(operator, method, first, alarm="T_H") == "BadEventIdUnknown"
        assert await tell(operator, method, first, number=1000) == "BadNodeIdUnknown"
        assert await run(operator, CONDITION, method) == "BadArgumentsMissing"
        text = ua.Variant("x")
        assert await run(operator, CONDITION, method, text, text) == "BadInvalidArgument"
        assert await run(operator, CONDITION, method, text, text, text) == "BadTooManyArguments"
        for comment in ("x" * 201, "a\nb"):
            assert await tell(operator, method, first, comment) == "BadInvalidArgument"
        assert await observer.read(*alarm_tags("BadPV")) == [True, False]
        await watch.until(1)
        assert await tell(operator, method, first, "seen") == "Good"
        assert (await watch.until(2)).Comment.Text == "seen"
        twice = await tell(engineer, method, first, "me too")
        acknowledging = method == ACKNOWLEDGE
        assert twice == ("BadConditionBranchAlreadyAcked" if acknowledging else "Good")
        await watch.until(2 if acknowledging else 3)


async def test_an_earlier_event_does_not_acknowledge_a_new_alarm(paused):
    engineer, operator, observer = paused
    async with watching(observer) as (_, watch):
        await break_pv(engineer)
        old = (await watch.until(1)).EventId
        await mend(engineer)
        await break_pv(engineer)
        new = (await watch.until(3)).EventId
        assert await tell(operator, ACKNOWLEDGE, old) == "BadEventIdUnknown"
        assert await tell(operator, ACKNOWLEDGE, new) == "Good"


async def test_a_refresh_tells_what_stands_to_the_one_who_asks(paused):
    engineer, operator, observer = paused
    await break_pv(engineer)
    await heat(engineer, 362.5)
    async with (
        watching(observer) as (late, watch),
        watching(operator, node=unit_node(operator)) as (_, other),
    ):
        number = ua.Variant(late.subscription_id, ua.VariantType.UInt32)
        twice = [
            ua.CallMethodRequest(
                ObjectId=CONDITION, MethodId=ua.NodeId(REFRESH), InputArguments=[number]
            )
        ] * 2
        results = await observer.client.uaclient.call(twice)
        assert [r.StatusCode.name for r in results] == ["Good", "BadRefreshInProgress"]
        await watch.until(4)
        kinds = [event.EventType for event in watch.events]
        assert (kinds[0], kinds[-1]) == (REFRESH_START, REFRESH_END)
        assert set(watch.names[1:3]) == {"BadPV", "T_H"}
        assert all(event.Retain for event in watch.events[1:3])
        bad = watch.events[watch.names.index("BadPV")]
        assert await tell(operator, ACKNOWLEDGE, bad.EventId) == "Good"
        await watch.until(5)
        assert other.names == ["BadPV"]  # no refresh of the other's
        await mend(engineer)
        await watch.until(7)
        assert await refresh(observer, late, watch.item) == "Good"
        await watch.until(10)
        assert watch.names[7:] == [None, "T_H", None]
        assert await refresh(observer, late, 999_999) == "BadMonitoredItemIdInvalid"
        assert await refresh(operator, late) == "BadSubscriptionIdInvalid"
    assert await refresh(observer, late) == "BadSubscriptionIdInvalid"


async def test_a_temperature_that_hovers_at_the_limit_is_one_alarm(paused):
    engineer, _, observer = paused
    async with watching(observer) as (_, watch):
        await heat(engineer, T_H.limit.value + 1.5)
        for _ in range(6):
            for excess in (-0.5, 0.2):
                await heat(engineer, T_H.limit.value + excess)
        await watch.until(1)
        assert watch.names == ["T_H"]


async def test_a_slow_subscriber_keeps_the_latest_of_a_bounded_queue(paused):
    engineer, _, observer = paused
    async with watching(observer, queuesize=2) as (subscription, watch):
        await subscription.set_publishing_mode(publishing=False)
        await break_pv(engineer)
        for _ in range(3):
            await mend(engineer)
            await break_pv(engineer)
        await subscription.set_publishing_mode(publishing=True)
        await watch.until(2)
        assert [getattr(event, "ActiveState/Id") for event in watch.events] == [False, True]


async def make_items(peer, subscription, given, *, queue=2**31, count=1):
    """Status name and revised queue of raw event items."""
    wanted = ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(
            NodeId=unit_node(peer), AttributeId=ua.AttributeIds.EventNotifier
        ),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(
            ClientHandle=900, Filter=given, QueueSize=queue
        ),
    )
    return await peer.client.uaclient.create_monitored_items(
        ua.CreateMonitoredItemsParameters(
            SubscriptionId=subscription.subscription_id, ItemsToCreate=[wanted] * count
        )
    )


def select(*paths):
    return [
        ua.SimpleAttributeOperand(
            BrowsePath=[ua.QualifiedName(name) for name in path.split("/") if name],
            AttributeId=ua.AttributeIds.Value,
        )
        for path in paths
    ]


async def test_filters_are_judged_when_they_come_and_queues_are_bounded(paused):
    engineer, _, observer = paused
    hostile = ua.EventFilter(SelectClauses=select("data_types", "__class__", "", "Message"))
    hostile.SelectClauses[2].AttributeId = 999
    loop = ua.ContentFilterElement(
        FilterOperator=ua.FilterOperator.Not, FilterOperands=[ua.ElementOperand(Index=0)]
    )
    endless = ua.EventFilter(WhereClause=ua.ContentFilter(Elements=[loop]))
    subscription = await observer.client.create_subscription(20, Watch())

    async def outcome(given, **options):
        results = await make_items(observer, subscription, given, **options)
        return [result.StatusCode.name for result in results]

    assert await outcome(endless) == ["BadEventFilterInvalid"]
    assert await outcome(ua.DataChangeFilter()) == ["BadEventFilterInvalid"]
    assert await outcome(None) == ["BadEventFilterInvalid"]
    (made,) = await make_items(observer, subscription, hostile)
    assert made.RevisedQueueSize == limits.MAX_QUEUE
    room = limits.MAX_EVENT_ITEMS - 1
    expected = ["Good"] * room + ["BadTooManyMonitoredItems"]
    assert await outcome(hostile, count=room + 1) == expected

    async def change(item, given):
        parameters = ua.MonitoringParameters(ClientHandle=900, Filter=given, QueueSize=0)
        (result,) = await observer.client.uaclient.modify_monitored_items(
            ua.ModifyMonitoredItemsParameters(
                SubscriptionId=subscription.subscription_id,
                ItemsToModify=[
                    ua.MonitoredItemModifyRequest(
                        MonitoredItemId=item, RequestedParameters=parameters
                    )
                ],
            )
        )
        return result.StatusCode.name, result.RevisedQueueSize

    assert await change(made.MonitoredItemId, ua.DataChangeFilter()) == ("BadEventFilterInvalid", 0)
    assert await change(made.MonitoredItemId, None) == ("Good", limits.MAX_QUEUE)
    assert await change(1, hostile) == ("BadMonitoredItemIdInvalid", 0)
    await break_pv(engineer)
    beat = await observer.read("APC/HeartbeatOut")
    await observer.until("APC/HeartbeatOut", lambda value: value > beat + 2)
    await subscription.delete()


async def test_a_where_clause_chooses_by_severity_state_and_supertype(paused):
    engineer, _, observer = paused
    severe = ua.ContentFilterElement(
        FilterOperator=ua.FilterOperator.GreaterThan,
        FilterOperands=[
            *select("Severity"),
            ua.LiteralOperand(Value=ua.Variant(T_H.severity, ua.VariantType.UInt16)),
        ],
    )
    of_type = ua.ContentFilterElement(
        FilterOperator=ua.FilterOperator.OfType,
        FilterOperands=[
            ua.LiteralOperand(
                Value=ua.Variant(ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType))
            )
        ],
    )
    fields = select("ConditionName", "Message")
    for clause, names in ((severe, ["T_HH"]), (of_type, ["BadPV", "T_H", "T_HH"])):
        given = ua.EventFilter(
            SelectClauses=fields, WhereClause=ua.ContentFilter(Elements=[clause])
        )
        watch = Watch()
        subscription = await observer.client.create_subscription(20, watch)
        await subscription.subscribe_events(unit_node(observer), evfilter=given)
        await break_pv(engineer)
        await heat(engineer, 366.5)
        await watch.until(len(names))
        assert sorted(watch.names) == names
        await subscription.delete()
        await engineer.do("Sim/Reset", "grade_up", 5)


async def test_a_message_is_sent_again_until_it_is_acknowledged_and_one_that_is_gone_is_not(plant):
    """asyncua answers Good with an empty message, and a node-opcua client asks on for ever."""
    async with plant.peer("observer") as observer:
        session = observer.client.uaclient.session
        request = ua.CreateSubscriptionRequest()  # by hand: the client acknowledges by itself
        request.Parameters.RequestedPublishingInterval = 20.0
        request.Parameters.RequestedLifetimeCount = 100
        request.Parameters.RequestedMaxKeepAliveCount = 10
        request.Parameters.PublishingEnabled = True
        data = await session._send_request(request)
        number = struct_from_binary(ua.CreateSubscriptionResponse, data).Parameters.SubscriptionId
        item = ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(
                NodeId=observer.ids["APC/HeartbeatOut"], AttributeId=ua.AttributeIds.Value
            ),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(ClientHandle=1, QueueSize=1),
        )
        await observer.client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(SubscriptionId=number, ItemsToCreate=[item])
        )
        message = ua.NotificationMessage()
        while not message.NotificationData:
            message = (await session.publish([])).Parameters.NotificationMessage
        sequence = message.SequenceNumber
        for _ in range(2):
            assert await session.republish(number, sequence) == message
        with pytest.raises(ua.uaerrors.BadMessageNotAvailable):
            await session.republish(number, sequence + 1000)
        await session.publish([ua.SubscriptionAcknowledgement(number, sequence)])
        with pytest.raises(ua.uaerrors.BadMessageNotAvailable):
            await session.republish(number, sequence)


async def test_a_new_episode_ends_every_alarm(paused):
    engineer, _, observer = paused
    await break_pv(engineer)
    async with watching(observer) as (_, watch):
        await engineer.do("Sim/Reset", "grade_up", 5)
        event = await watch.until(1)
        assert (event.ConditionName, event.Retain) == ("BadPV", False)
        assert event.Message.Text == "New episode"
        assert await observer.read(*alarm_tags("BadPV")) == [False, True]


async def test_alarms_of_two_units_and_after_a_restart(start_plant):
    plant = start_plant("--units", "2", "--paused")
    first, second = plant.ready["endpoints"]
    async with (
        plant.peer("engineer", endpoint=first) as engineer,
        plant.peer("operator", endpoint=second) as other,
        watching(engineer) as (subscription, watch),
        watching(other) as (_, quiet),
    ):
        await break_pv(engineer)
        event_id = (await watch.until(1)).EventId
        assert quiet.events == []
        assert await other.read(*alarm_tags("BadPV")) == [False, True]
        assert await tell(other, ACKNOWLEDGE, event_id) == "BadEventIdUnknown"
    assert plant.stop() == 0
    plant = start_plant("--paused")
    async with (
        plant.peer("operator") as operator,
        plant.peer("engineer") as engineer,
        watching(operator) as (subscription, watch),
    ):
        assert await refresh(operator, subscription) == "Good"
        await watch.until(2)
        assert [e.EventType for e in watch.events] == [REFRESH_START, REFRESH_END]
        assert await tell(operator, ACKNOWLEDGE, event_id) == "BadEventIdUnknown"
        assert await operator.read(*alarm_tags("BadPV")) == [False, True]
        await break_pv(engineer)
        event = await watch.until(3)
        assert (event.ConditionName, event.NodeId.Identifier) == ("BadPV", BAD_PV.number)


async def test_a_silent_controller_is_two_alarms_from_one_root(paused, fresh):
    engineer, operator, observer = paused
    await engineer.put("APC/HeartbeatTimeout", 0.5)
    async with fresh.peer("apc") as apc, watching(observer) as (_, watch):
        await apc.do("APC/TakeLease", "test", 60.0)
        await operator.put("APC/Mode", 2)
        await apc.write([("APC/HeartbeatIn", 1), ("APC/Request", True)])
        assert await apc.read("APC/Active")
        await watch.until(2)
        assert set(watch.names) == {"WatchdogTimeout", "ShedEvent"}
        assert [e.ConditionName for e in watch.events if e.FirstInGroupFlag] == ["WatchdogTimeout"]
        shed = watch.events[watch.names.index("ShedEvent")]
        assert shed.Message.Text == "APC shed: heartbeat lost"
        assert shed.InputNode == observer.ids["APC/Active"]
        assert await tell(operator, ACKNOWLEDGE, shed.EventId, alarm="ShedEvent") == "Good"
        await watch.until(3)
        assert not await apc.read("APC/Permit")  # the alarm was seen; the shed is not forgiven
        await operator.do("APC/Acknowledge")
        await observer.until("R101/Alarms/WatchdogTimeout/Active", wanted=False)
        last = await watch.until(5)
        assert [e.Retain for e in watch.events[3:]] == [False, True]
        assert last.Message.Text == "Shed acknowledged"


async def test_conditions_are_found_from_their_tags_with_their_limits(plant):
    async with plant.peer("observer") as peer:
        tag = peer.client.get_node(peer.ids["R101/PV/Temperature"])
        found = await tag.get_referenced_nodes(ua.ObjectIds.HasCondition)
        assert {node.nodeid.Identifier for node in found} == {T_H.number, T_HH.number}
        for alarm, name in ((T_H, "High"), (T_HH, "HighHigh")):
            node = peer.client.get_node(ua.NodeId(alarm.number, peer.index))
            assert await (await node.get_child("0:InputNode")).read_value() == tag.nodeid
            for what, value in (("Limit", alarm.limit.value), ("Deadband", alarm.limit.deadband)):
                assert await (await node.get_child(f"0:{name}{what}")).read_value() == value
        (back,) = await node.get_referenced_nodes(
            ua.ObjectIds.HasCondition, ua.BrowseDirection.Inverse
        )
        assert back.nodeid == tag.nodeid
