"""Browse in pieces, the limits a server shows, and what it says of itself."""

import asyncio
import contextlib

import pytest
from asyncua import Client, ua

from plant_sim.opcua import limits
from plant_sim.opcua.diagnostics import HEALTHY

SUMMARY = ua.ObjectIds.Server_ServerDiagnostics_ServerDiagnosticsSummary


class Silent:
    def datachange_notification(self, node, value, data):
        pass


def request(*nodes, most=0):
    return ua.BrowseParameters(
        View=ua.ViewDescription(),
        RequestedMaxReferencesPerNode=most,
        NodesToBrowse=[
            ua.BrowseDescription(
                NodeId=node,
                BrowseDirection=ua.BrowseDirection.Forward,
                ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
                IncludeSubtypes=True,
                NodeClassMask=0,
                ResultMask=ua.BrowseResultMask.All,
            )
            for node in nodes
        ],
    )


async def go_on(peer, *points, release=False):
    params = ua.BrowseNextParameters(
        ReleaseContinuationPoints=release, ContinuationPoints=list(points)
    )
    return await peer.client.uaclient.browse_next(params)


@pytest.mark.parametrize("most", [1, 4, 13, 14])
async def test_a_browse_in_pieces_finds_what_one_browse_finds(plant, most):
    async with plant.peer("observer") as peer:
        nodes = [ua.NodeId(number, peer.index) for number in (1310, 1100)]
        whole = await peer.client.uaclient.browse(request(*nodes))
        assert all(result.ContinuationPoint is None for result in whole)
        assert len(whole[0].References) >= 13
        results = await peer.client.uaclient.browse(request(*nodes, most=most))
        for expected, result in zip(whole, results, strict=True):
            found = []
            while True:
                assert result.StatusCode.name == "Good"
                assert 0 < len(result.References) <= most
                found += result.References
                if result.ContinuationPoint is None:
                    break
                (result,) = await go_on(peer, result.ContinuationPoint)  # noqa: PLW2901
            assert found == expected.References


async def test_browse_points_end_when_used_released_or_replaced(plant):
    async with plant.peer("observer") as peer:
        node = ua.NodeId(1310, peer.index)

        async def first():
            (result,) = await peer.client.uaclient.browse(request(node, most=1))
            return result.ContinuationPoint

        async def again(point):
            (result,) = await go_on(peer, point)
            return result.StatusCode.name

        used = await first()
        assert await again(used) == "Good"
        assert await again(used) == "BadContinuationPointInvalid"
        released = await first()
        assert await go_on(peer, released, release=True) == []
        assert await again(released) == "BadContinuationPointInvalid"
        oldest = await first()
        for _ in range(limits.MAX_CONTINUATION_POINTS):
            await first()
        assert await again(oldest) == "BadContinuationPointInvalid"
        many = [node] * (limits.MAX_CONTINUATION_POINTS + 1)
        results = await peer.client.uaclient.browse(request(*many, most=1))
        assert [one.StatusCode.name for one in results[-2:]] == ["Good", "BadNoContinuationPoints"]
        with pytest.raises(ua.uaerrors.BadNothingToDo):
            await go_on(peer)
        with pytest.raises(ua.uaerrors.BadTooManyOperations):
            await go_on(peer, *[b"1"] * (limits.MAX_OPERATIONS + 1))


async def read(peer, number):
    return await peer.client.get_node(ua.NodeId(number)).read_value()


async def test_capabilities_are_shown(plant):
    ids = ua.ObjectIds
    async with plant.peer("observer") as peer:
        for number, value in (
            (
                ids.Server_ServerCapabilities_MaxBrowseContinuationPoints,
                limits.MAX_CONTINUATION_POINTS,
            ),
            (
                ids.Server_ServerCapabilities_MaxHistoryContinuationPoints,
                limits.MAX_CONTINUATION_POINTS,
            ),
            (ids.HistoryServerCapabilities_AccessHistoryDataCapability, True),
            (ids.HistoryServerCapabilities_AccessHistoryEventsCapability, False),
            (ids.HistoryServerCapabilities_MaxReturnDataValues, limits.MAX_HISTORY_VALUES),
            (ids.HistoryServerCapabilities_InsertDataCapability, False),
            (ids.HistoryServerCapabilities_ServerTimestampSupported, False),
            (ids.Server_ServiceLevel, HEALTHY),
            (ids.Server_ServerDiagnostics_EnabledFlag, True),
        ):
            assert await read(peer, number) == value, ua.ObjectIdNames[number]
        node = peer.client.get_node(
            ua.NodeId(ids.Server_ServerDiagnostics_SubscriptionDiagnosticsArray)
        )
        data = await node.read_data_value(raise_on_bad_status=False)
        assert data.StatusCode.name == "BadNotSupported"


async def shown(peer, limit_s=10.0, **wanted):
    """The summary once it shows what is wanted."""
    end = asyncio.get_running_loop().time() + limit_s
    while True:
        summary = await read(peer, SUMMARY)
        if all(getattr(summary, name) == value for name, value in wanted.items()):
            return summary
        assert asyncio.get_running_loop().time() < end, summary
        await asyncio.sleep(0.1)


async def test_diagnostics_count_what_happens(start_plant):
    plant = start_plant()
    async with plant.peer("observer") as peer:
        await shown(peer, CurrentSessionCount=1, CumulatedSessionCount=1, RejectedSessionCount=0)
        async with plant.peer("operator") as other:
            for interval in (50, 50, 100):
                subscription = await other.client.create_subscription(interval, Silent())
                await subscription.subscribe_data_change(
                    other.client.get_node(other.ids["Sim/PlantTime"])
                )
            await shown(
                peer, CurrentSessionCount=2, CurrentSubscriptionCount=3, PublishingIntervalCount=2
            )
            await go_on_with_nothing(other)
        summary = await shown(peer, CurrentSessionCount=1, CurrentSubscriptionCount=0)
        assert summary.CumulatedSessionCount == 2
        assert summary.CumulatedSubscriptionCount == 3
        assert summary.RejectedRequestsCount == 1
        assert summary.SessionAbortCount == summary.SessionTimeoutCount == 0

        stranger = Client(plant.endpoint, timeout=5)
        stranger.set_user("operator")
        stranger.set_password("wrong")
        with pytest.raises(ua.UaStatusCodeError):
            await stranger.connect()
        await shown(peer, RejectedSessionCount=1, SecurityRejectedSessionCount=1)

        lost = Client(plant.endpoint, timeout=5)
        lost.set_user("operator")
        lost.set_password(plant.passwords["operator"])
        await lost.connect()
        await shown(peer, CurrentSessionCount=2)
        lost.uaclient.protocol.transport.abort()
        await shown(peer, CurrentSessionCount=1, SessionAbortCount=1, CumulatedSessionCount=3)
        with contextlib.suppress(Exception):  # its connection is gone
            await lost.disconnect()
        count = ua.ObjectIds.Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount
        assert await read(peer, count) == 1


async def go_on_with_nothing(peer):
    with pytest.raises(ua.uaerrors.BadNothingToDo):
        await go_on(peer)
