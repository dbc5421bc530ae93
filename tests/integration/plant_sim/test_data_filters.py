"""Filters of data changes: an absolute deadband works, what cannot be had is refused."""

import pytest
from asyncua import ua

from tests.support.waiting import until

PV, SP, WORD = "R101/PV/Temperature", "R101/SP/Temperature", "SIS/TripCause"
UNSUPPORTED = "BadMonitoredItemFilterUnsupported"
VALUE_CHANGES = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValue)


def deadband(kind, width=5.0):
    return ua.DataChangeFilter(
        Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=kind, DeadbandValue=width
    )


class Heard:
    """Values, and names of statuses, by client handle."""

    def __init__(self):
        self.values, self.statuses = {}, {}

    def take(self, result):
        for notification in result.NotificationMessage.NotificationData or ():
            for item in notification.MonitoredItems:
                handle, told = item.ClientHandle, item.Value
                content = None if told.Value is None else told.Value.Value
                self.values.setdefault(handle, []).append(content)
                self.statuses.setdefault(handle, []).append(told.StatusCode.name)

    async def until(self, handle, value):
        await until(lambda: value in self.values.get(handle, ()), what=f"{value} is told")

    async def until_status(self, handle, status):
        """Wait until that is what was told last."""
        await until(lambda: self.statuses.get(handle, [])[-1:] == [status], what=f"{status} last")


@pytest.fixture
async def watching(fresh):
    """(operator, session, subscription id, what is heard)."""
    async with fresh.peer("operator") as operator:
        session, heard = operator.client.uaclient.session, Heard()
        made = await session.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=20.0,
                RequestedLifetimeCount=1000,
                RequestedMaxKeepAliveCount=10,
                PublishingEnabled=True,
            ),
            callback=heard.take,
        )
        yield operator, session, made.SubscriptionId, heard


async def watch(operator, session, number, *wanted):
    """Make items of (path, filter), the handles in their order; (status names, ids)."""
    items = [
        ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(
                NodeId=operator.ids[path], AttributeId=ua.AttributeIds.Value
            ),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=handle, Filter=given, QueueSize=10
            ),
        )
        for handle, (path, given) in enumerate(wanted)
    ]
    results = await session.create_monitored_items(
        ua.CreateMonitoredItemsParameters(
            SubscriptionId=number,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=items,
        )
    )
    return [one.StatusCode.name for one in results], [one.MonitoredItemId for one in results]


async def change(session, number, item, given):
    """Give an item another filter; the status' name."""
    wanted = ua.MonitoringParameters(ClientHandle=0, Filter=given, QueueSize=10)
    request = ua.ModifyMonitoredItemsParameters(
        SubscriptionId=number,
        ItemsToModify=[
            ua.MonitoredItemModifyRequest(MonitoredItemId=item, RequestedParameters=wanted)
        ],
    )
    (result,) = await session.modify_monitored_items(request)
    return result.StatusCode.name


async def test_a_filter_that_cannot_be_had_is_refused_and_the_items_beside_it_are_made(watching):
    operator, session, number, heard = watching
    names, ids = await watch(
        operator, session, number,
        (SP, None),
        (PV, deadband(ua.DeadbandType.Percent)),
        (WORD, deadband(ua.DeadbandType.Absolute)),
        (PV, ua.EventFilter()),
        (SP, VALUE_CHANGES),
    )  # fmt: skip
    assert names == ["Good", UNSUPPORTED, "BadFilterNotAllowed", UNSUPPORTED, "Good"]
    assert [number > 0 for number in ids] == [True, False, False, False, True]
    for value in (341.0, 341.5, 342.0):
        await operator.put(SP, value)
        await heard.until(0, value)
        await heard.until(4, value)


async def test_a_deadband_is_measured_from_what_was_told_last(watching):
    operator, session, number, heard = watching
    await operator.put(SP, 340.0)
    names, _ = await watch(
        operator, session, number, (SP, deadband(ua.DeadbandType.Absolute, 1.5)), (SP, None)
    )
    assert names == ["Good", "Good"]
    await heard.until(0, 340.0)
    for value in (341.0, 342.0, 343.0, 344.0, 343.0, 341.5):
        await operator.put(SP, value)
        await heard.until(1, value)
    await heard.until(0, 341.5)
    assert heard.values[0][heard.values[0].index(340.0) :] == [340.0, 342.0, 344.0, 341.5]


async def test_an_item_whose_new_filter_is_refused_keeps_the_old_one(watching):
    operator, session, number, heard = watching
    _, (item,) = await watch(operator, session, number, (SP, None))
    assert await change(session, number, item, deadband(ua.DeadbandType.Percent)) == UNSUPPORTED
    assert await change(session, number, item, VALUE_CHANGES) == "Good"
    for value in (341.0, 341.5, 342.0):
        await operator.put(SP, value)
        await heard.until(0, value)


async def test_a_change_of_status_is_told_though_the_value_keeps_within_the_deadband(
    watching, fresh
):
    """A transmitter past its range still reads a number, and says that it is uncertain."""
    operator, session, number, heard = watching
    wide, past = deadband(ua.DeadbandType.Absolute, 1e6), "UncertainEngineeringUnitsExceeded"
    names, _ = await watch(operator, session, number, (PV, wide))
    assert names == ["Good"]
    await heard.until_status(0, "Good")
    async with fresh.peer("engineer") as engineer:
        for fault, status in (("spike", past), ("clear", "Good"), ("spike", past)):
            await engineer.do("Sim/InjectFault", "Temperature", fault, 500.0, 1e6)
            await heard.until_status(0, status)
        await engineer.do("Sim/InjectFault", "Temperature", "clear", 0.0, 0.0)
    assert heard.statuses[0][:4] == ["Good", past, "Good", past]
    assert None not in heard.values[0]
