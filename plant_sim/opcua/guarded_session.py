"""A session that keeps to itself: it acts within limits, and only on the subscriptions it owns.

asyncua lets every session act on every subscription and takes requests of any length. Here a
subscription of another session does not exist, and a request that is too long is refused before
any of it is done.
"""

from collections.abc import Iterable, Sequence, Sized
from math import isfinite
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession

from plant_sim.opcua import data_filter, event_filter, limits
from plant_sim.opcua.continuation import ContinuationPoints
from plant_sim.opcua.subscription_logger import share_logger

FOREIGN = ua.StatusCodes.BadSubscriptionIdInvalid


class GuardedSession(InternalSession):
    """asyncua's session behind the checks that hold for every client."""

    iserver: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._browse_points = ContinuationPoints[tuple[ua.BrowseResult, int]](
            limits.MAX_CONTINUATION_POINTS
        )

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        """Read attributes, as much as fits an answer."""
        limits.refuse_too_many(params.NodesToRead)
        results: list[ua.DataValue] = await super().read(params)
        if sum(map(limits.weight, results)) > limits.ANSWER_BYTES:
            raise ServiceError(ua.StatusCodes.BadResponseTooLarge)
        return results

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """Browse nodes, at most so many references each and in all.

        The rest is kept for `browse_next`.
        """
        limits.refuse_too_many(params.NodesToBrowse)
        results: list[ua.BrowseResult] = await super().browse(params)
        most = params.RequestedMaxReferencesPerNode or limits.MAX_REFERENCES
        return self._cut_all([(result, most) for result in results])

    async def browse_next(self, params: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        """Go on browsing where a Browse ended, or release what it kept."""
        limits.refuse_too_many(params.ContinuationPoints)
        if not params.ContinuationPoints:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        rests = [self._browse_points.take(point or b"") for point in params.ContinuationPoints]
        if params.ReleaseContinuationPoints:
            return []
        return self._cut_all([(_no_point(), 1) if rest is None else rest for rest in rests])

    async def translate_browsepaths_to_nodeids(
        self, params: list[ua.BrowsePath]
    ) -> list[ua.BrowsePathResult]:
        """Follow browse paths."""
        limits.refuse_too_many(params)
        results: list[ua.BrowsePathResult] = await super().translate_browsepaths_to_nodeids(params)
        return results

    async def create_subscription(
        self, params: ua.CreateSubscriptionParameters, callback: Any, request_callback: Any = None
    ) -> ua.CreateSubscriptionResult:
        """Subscribe; an interval near zero would keep the server busy with nothing else."""
        of_user = self._subscriptions_of_user()
        own = [number for number in of_user if self.owns(number)]
        if (
            len(own) >= limits.MAX_SUBSCRIPTIONS_PER_SESSION
            or len(of_user) >= limits.MAX_SUBSCRIPTIONS_PER_USER
        ):
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        shortest, interval = limits.SHORTEST_PUBLISHING_MS, params.RequestedPublishingInterval
        wanted = interval if isfinite(interval) else shortest
        revised = min(max(wanted, shortest), limits.LONGEST_PUBLISHING_MS)
        params.RequestedPublishingInterval = revised
        result = await super().create_subscription(params, callback, request_callback)
        share_logger(self._service(result.SubscriptionId))
        self.iserver.subscribers[result.SubscriptionId] = str(self.user.name)
        self.iserver.counts.CumulatedSubscriptionCount += 1
        # asyncua's own raises on a nulled value, and the client never learns that it is bad
        self._service(result.SubscriptionId)._is_deadband_exceeded = data_filter.exceeded  # noqa: SLF001
        return result

    def modify_subscription(
        self, params: ua.ModifySubscriptionParameters
    ) -> ua.ModifySubscriptionResult:
        """Change an own subscription."""
        self._refuse_foreign(params.SubscriptionId)
        return super().modify_subscription(params)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        """Delete own subscriptions."""
        limits.refuse_too_many(ids)
        own = [number for number in ids if self.owns(number)]
        deleted = iter(await super().delete_subscriptions(own))
        return [next(deleted) if n in own else ua.StatusCode(FOREIGN) for n in ids]

    async def transfer_subscriptions(
        self, params: ua.TransferSubscriptionsParameters, callback: Any
    ) -> list[ua.TransferResult]:
        """Take over subscriptions of sessions of the same user."""
        limits.refuse_too_many(params.SubscriptionIds)
        known = self.iserver.subscribers
        name = self.user.name
        mine = [i for i in params.SubscriptionIds if known.get(int(i), name) == name]
        refused = ua.TransferResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadUserAccessDenied))
        request = ua.TransferSubscriptionsParameters(
            SubscriptionIds=mine, SendInitialValues=params.SendInitialValues
        )
        taken = iter(await super().transfer_subscriptions(request, callback))
        return [next(taken) if i in mine else refused for i in params.SubscriptionIds]

    async def set_publishing_mode(
        self, params: ua.SetPublishingModeParameters
    ) -> list[ua.StatusCode]:
        """Switch publishing of own subscriptions."""
        limits.refuse_too_many(params.SubscriptionIds)
        own = [number for number in params.SubscriptionIds if self.owns(number)]
        request = ua.SetPublishingModeParameters(
            PublishingEnabled=params.PublishingEnabled, SubscriptionIds=own
        )
        switched = iter(await super().set_publishing_mode(request))
        return [
            next(switched) if n in own else ua.StatusCode(FOREIGN) for n in params.SubscriptionIds
        ]

    def publish(
        self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None
    ) -> tuple[int, list[ua.StatusCode]]:
        """Take a publish request and its acknowledgements of own notifications."""
        given = list(acks or [])
        limits.refuse_too_many(given)
        own = [ack for ack in given if self.owns(ack.SubscriptionId)]
        _, taken = super().publish(own)
        results = iter(taken)
        count = sum(self.owns(number) for number in self.subscription_service.subscriptions)
        return count, [
            next(results) if self.owns(ack.SubscriptionId) else ua.StatusCode(FOREIGN)
            for ack in given
        ]

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        """Send a notification of an own subscription again."""
        self._refuse_foreign(params.SubscriptionId)
        subscription = self.subscription_service.subscriptions[params.SubscriptionId]
        kept = subscription._not_acknowledged_results  # noqa: SLF001  (asyncua answers Good, empty)
        result = kept.get(params.RetransmitSequenceNumber)
        if result is None:
            raise ServiceError(ua.StatusCodes.BadMessageNotAvailable)
        return result.NotificationMessage

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        """Add items to an own subscription."""
        self._refuse_foreign(params.SubscriptionId, params.ItemsToCreate)
        present = sum(self._items(number) for number in self._subscriptions_of_user())
        if present + len(params.ItemsToCreate) > limits.MAX_MONITORED_ITEMS_PER_USER:
            raise ServiceError(ua.StatusCodes.BadTooManyMonitoredItems)
        service = self._service(params.SubscriptionId)
        codes = event_filter.faults(params.ItemsToCreate, service, self.aspace)
        params.ItemsToCreate = _without(params.ItemsToCreate, codes)
        made = await super().create_monitored_items(params)
        event_filter.install(made, service)
        left = iter(made)
        return [
            next(left) if code is None else ua.MonitoredItemCreateResult(ua.StatusCode(code))
            for code in codes
        ]

    async def modify_monitored_items(
        self, params: ua.ModifyMonitoredItemsParameters
    ) -> list[ua.MonitoredItemModifyResult]:
        """Change items of an own subscription."""
        self._refuse_foreign(params.SubscriptionId, params.ItemsToModify)
        service = self._service(params.SubscriptionId)
        codes = event_filter.faults_of_changes(params.ItemsToModify, service, self.aspace)
        params.ItemsToModify = _without(params.ItemsToModify, codes)
        left = iter(await super().modify_monitored_items(params))
        return [
            next(left) if code is None else ua.MonitoredItemModifyResult(ua.StatusCode(code))
            for code in codes
        ]

    async def set_monitoring_mode(
        self, params: ua.SetMonitoringModeParameters
    ) -> list[ua.StatusCode]:
        """Switch items of an own subscription."""
        self._refuse_foreign(params.SubscriptionId, params.MonitoredItemIds)
        results: list[ua.StatusCode] = await super().set_monitoring_mode(params)
        return results

    async def delete_monitored_items(
        self, params: ua.DeleteMonitoredItemsParameters
    ) -> list[ua.StatusCode]:
        """Delete items of an own subscription."""
        self._refuse_foreign(params.SubscriptionId, params.MonitoredItemIds)
        results: list[ua.StatusCode] = await super().delete_monitored_items(params)
        return results

    def owns(self, subscription: int) -> bool:
        """Whether a subscription is there and is this session's."""
        found = self.subscription_service.subscriptions.get(subscription)
        return found is not None and found.session_id == self.session_id

    def _cut_all(self, wanted: Sequence[tuple[ua.BrowseResult, int]]) -> list[ua.BrowseResult]:
        """The first references of each result: so many of it, and so many of all."""
        self._browse_points.begin_request()
        room, cut = limits.MAX_REFERENCES, []
        for result, most in wanted:
            cut.append(self._cut(result, most, room))
            room -= len(cut[-1].References)
        return cut

    def _cut(self, result: ua.BrowseResult, most: int, room: int) -> ua.BrowseResult:
        """The first references of a result; the others are kept under a continuation point."""
        count = min(most, room)
        if len(result.References) <= count:
            return result
        rest = ua.BrowseResult(References=result.References[count:])
        point = self._browse_points.keep((rest, most)) if count else None
        if point is None:
            return ua.BrowseResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadNoContinuationPoints))
        return ua.BrowseResult(
            StatusCode=result.StatusCode,
            ContinuationPoint=point,
            References=result.References[:count],
        )

    def _refuse_foreign(self, subscription: int, operations: Sized | None = None) -> None:
        limits.refuse_too_many(operations)
        if not self.owns(subscription):
            raise ServiceError(FOREIGN)

    def _subscriptions_of_user(self) -> list[int]:
        """Those that are still there, also where the session that made them is gone."""
        present = self.subscription_service.subscriptions
        known = self.iserver.subscribers
        for number in [number for number in known if number not in present]:
            del known[number]
        return [number for number, name in known.items() if name == self.user.name]

    def _items(self, subscription: int) -> int:
        return len(self._service(subscription)._monitored_items)  # noqa: SLF001  (no public count)

    def _service(self, subscription: int) -> Any:
        return self.subscription_service.subscriptions[subscription].monitored_item_srv


def _without(items: list[Any], codes: Sequence[int | None]) -> list[Any]:
    return [item for item, code in zip(items, codes, strict=True) if code is None]


def _no_point() -> ua.BrowseResult:
    invalid = ua.StatusCode(ua.StatusCodes.BadContinuationPointInvalid)
    return ua.BrowseResult(StatusCode=invalid)
