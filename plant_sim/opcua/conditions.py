"""The unit's alarms as OPC UA conditions: events, Acknowledge, AddComment, ConditionRefresh.

Events go out on R101 and on the Server object; they do not travel from one to the other by
themselves. Clients call the methods of the types (OPC 10000-9) on the node of an alarm below
`R101/Alarms`, which is its ConditionId.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from asyncua import Server, ua

from plant_sim.opcua.alarm_fields import (
    OF_LIMIT,
    OFF_NORMAL,
    Told,
    event_fields,
    event_types,
    refresh_fields,
)
from plant_sim.opcua.event_filter import Event
from plant_sim.opcua.guarded_session import GuardedSession
from plant_sim.opcua.methods import MAX_TEXT
from plant_sim.unit.alarms import State
from plant_sim.unit.reactor_unit import ReactorUnit
from plant_sim.unit.tag_table import FOLDERS, NOTIFIER
from plant_sim.unit.tags import Role

ACKNOWLEDGERS = (Role.OPERATOR, Role.ENGINEER)
"""Who may acknowledge an alarm and comment on it."""
EVENT_ID_BYTES = 16
KNOWN_IDS = 20
"""EventIds of an alarm that a client may name: the latest since it was last raised."""

ACKNOWLEDGE = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)
ADD_COMMENT = ua.NodeId(ua.ObjectIds.ConditionType_AddComment)
REFRESH = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)
REFRESH_ITEM = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh2)
_ARGUMENTS = {
    ACKNOWLEDGE: (ua.VariantType.ByteString, ua.VariantType.LocalizedText),
    ADD_COMMENT: (ua.VariantType.ByteString, ua.VariantType.LocalizedText),
    REFRESH: (ua.VariantType.UInt32,),
    REFRESH_ITEM: (ua.VariantType.UInt32, ua.VariantType.UInt32),
}
_SERVER = ua.NodeId(ua.ObjectIds.Server)
_Codes = ua.StatusCodes
_Code = Any
"""One of them, an int; asyncua has no types here."""


class Conditions:
    """The alarms of one unit on its server."""

    def __init__(self, server: Server, unit: ReactorUnit, index: int, log: Any) -> None:
        """index: of the plant's namespace.  log: where changes of alarms are written."""
        self._unit = unit
        self._index = index
        self._log = log
        self._service = server.iserver.subscription_service
        self._seen = unit.alarms
        self._told = {name: Told(alarm=alarm) for name, alarm in unit.alarms.items()}
        self._names = {
            ua.NodeId(alarm.definition.number, index): name for name, alarm in unit.alarms.items()
        }
        self._notifiers = (ua.NodeId(FOLDERS[NOTIFIER], index), _SERVER)
        self._refreshing: dict[int, ua.EventFieldList] = {}

    @classmethod
    async def build(cls, server: Server, unit: ReactorUnit, index: int, log: Any) -> "Conditions":
        """Let clients subscribe to the Server's events, and find R101 among its notifiers."""
        notifies = ua.Variant(ua.EventNotifier.SubscribeToEvents.mask, ua.VariantType.Byte)
        written = await server.iserver.aspace.write_attribute_value(
            _SERVER, ua.AttributeIds.EventNotifier, ua.DataValue(notifies)
        )
        written.check()
        unit_node = ua.NodeId(FOLDERS[NOTIFIER], index)
        references = [_reference(_SERVER, ua.ObjectIds.HasNotifier, unit_node, ua.NodeClass.Object)]
        for name in (OF_LIMIT, OFF_NORMAL):
            kind = ua.NodeId(getattr(ua.ObjectIds, name))
            references.append(
                _reference(unit_node, ua.ObjectIds.GeneratesEvent, kind, ua.NodeClass.ObjectType)
            )
        for result in await server.iserver.isession.add_references(references):
            result.check()
        return cls(server, unit, index, log)

    async def publish(self, utc: datetime) -> None:
        """Send an event for every alarm that has changed since the last time."""
        alarms = self._unit.alarms
        if alarms is self._seen:
            return
        self._seen = alarms
        for name, alarm in alarms.items():
            before = self._told[name]
            if alarm.revision == before.alarm.revision:
                continue
            self._told[name] = told = _next(before, replace(before, alarm=alarm), utc)
            self._log_change(told)
            for event in self._events(told):
                await self._service.trigger_event(event)

    async def call(
        self, request: ua.CallMethodRequest, session: GuardedSession, role: Role
    ) -> ua.CallMethodResult | None:
        """Run a method of the condition types for a client; None: it is none of them."""
        kinds = _ARGUMENTS.get(request.MethodId)
        if kinds is None:
            return None
        given = request.InputArguments or []
        if len(given) != len(kinds):
            few = len(given) < len(kinds)
            return _answer(_Codes.BadArgumentsMissing if few else _Codes.BadTooManyArguments)
        codes = [
            _Codes.Good if _is(argument, kind) else _Codes.BadTypeMismatch
            for argument, kind in zip(given, kinds, strict=True)
        ]
        if any(codes):
            return _answer(_Codes.BadInvalidArgument, codes)
        values = [argument.Value for argument in given]
        if request.MethodId in (REFRESH, REFRESH_ITEM):
            return _answer(await self._refresh(session, *values))
        if role not in ACKNOWLEDGERS:
            return _answer(_Codes.BadUserAccessDenied)
        return _answer(self._comment(request, str(session.user.name), *values))

    def _comment(
        self, request: ua.CallMethodRequest, user: str, event_id: bytes | None, text: Any
    ) -> _Code:
        """Acknowledge, or add a comment to, the alarm that the request names."""
        name = self._names.get(request.ObjectId)
        comment = (text.Text if text is not None else None) or ""
        if name is None:
            return _Codes.BadNodeIdUnknown
        if event_id not in self._told[name].ids:
            return _Codes.BadEventIdUnknown
        if len(comment) > MAX_TEXT or not comment.isprintable():
            return _Codes.BadInvalidArgument
        if request.MethodId == ADD_COMMENT:
            self._unit.comment_alarm(name, user, comment)
        elif not self._unit.acknowledge_alarm(name, user, comment):
            return _Codes.BadConditionBranchAlreadyAcked
        return _Codes.Good

    async def _refresh(
        self, session: GuardedSession, number: int, only: int | None = None
    ) -> _Code:
        """Send what is not normal to one subscription, or one item of it, between two marks."""
        if not session.owns(number):
            return _Codes.BadSubscriptionIdInvalid
        subscription = self._service.subscriptions[number]
        service = subscription.monitored_item_srv
        items = [
            (item, notifier)
            for notifier in self._notifiers
            for item in service._monitored_events.get(notifier, ())  # noqa: SLF001
            if only in (None, item)
        ]
        if only is not None and not items:
            return _Codes.BadMonitoredItemIdInvalid
        if self._still_refreshing(number):
            return _Codes.BadRefreshInProgress
        for item, notifier in items:
            await self._refresh_item(subscription, item, notifier)
        return _Codes.Good

    async def _refresh_item(self, subscription: Any, item: int, notifier: ua.NodeId) -> None:
        service = subscription.monitored_item_srv
        if service._monitored_items[item].mode == ua.MonitoringMode.Disabled:  # noqa: SLF001
            return
        await self._mark(subscription, item, ua.ObjectIds.RefreshStartEventType)
        for told in self._told.values():
            if told.alarm.state is not State.NORMAL:
                for event in self._events(told):
                    if event.emitting_node == notifier:
                        await service.trigger_event(event, item)
        end = await self._mark(subscription, item, ua.ObjectIds.RefreshEndEventType)
        self._refreshing[subscription.data.SubscriptionId] = end

    async def _mark(self, subscription: Any, item: int, kind: int) -> ua.EventFieldList:
        """Send the beginning or the end of a refresh, which no where clause holds back."""
        fields = refresh_fields(kind, secrets.token_bytes(EVENT_ID_BYTES), datetime.now(UTC))
        event = Event(emitting_node=_SERVER, types=(ua.NodeId(kind),), fields=fields)
        data = subscription.monitored_item_srv._monitored_items[item]  # noqa: SLF001
        sent = ua.EventFieldList(
            ClientHandle=data.client_handle,
            EventFields=event.to_event_fields(data.filter.SelectClauses),
        )
        await subscription.enqueue_event(item, sent, data.queue_size)
        return sent

    def _still_refreshing(self, number: int) -> bool:
        """Whether the end of the last refresh waits to be sent: a client cannot heap them up."""
        present = self._service.subscriptions
        self._refreshing = {key: end for key, end in self._refreshing.items() if key in present}
        end = self._refreshing.get(number)
        waiting = present[number]._triggered_events.values()  # noqa: SLF001
        return end is not None and any(end is sent for queue in waiting for sent in queue)

    def _events(self, told: Told) -> Iterator[Event]:
        """The same event at each notifier."""
        fields = event_fields(told, self._index)
        types = event_types(told.alarm)
        for notifier in self._notifiers:
            yield Event(emitting_node=notifier, types=types, fields=fields)

    def _log_change(self, told: Told) -> None:
        alarm = told.alarm
        log = self._log.warning if alarm.state is State.UNACKNOWLEDGED else self._log.info
        log(
            "alarm",
            name=alarm.definition.name,
            state=alarm.state.value,
            priority=alarm.definition.priority.value,
            message=alarm.message,
            **({"by": alarm.user, "comment": alarm.comment} if alarm.user else {}),
        )


def _next(before: Told, after: Told, utc: datetime) -> Told:
    """What is told now: a new EventId, and when each part last changed.

    EventIds of before an alarm was raised are forgotten: who has not seen it cannot acknowledge it.
    """
    old, new = before.alarm, after.alarm
    anew = old.acknowledged or not old.active or old.subjects != new.subjects
    raised = new.state is State.UNACKNOWLEDGED and anew
    commented = (old.comment, old.user) != (new.comment, new.user)
    kept = () if raised else before.ids[1 - KNOWN_IDS :]
    return replace(
        after,
        ids=(*kept, secrets.token_bytes(EVENT_ID_BYTES)),
        time=utc,
        active_at=utc if old.active != new.active else before.active_at,
        acked_at=utc if old.acknowledged != new.acknowledged else before.acked_at,
        commented_at=utc if commented else before.commented_at,
    )


def _is(argument: ua.Variant, kind: ua.VariantType) -> bool:
    return argument.VariantType is kind and not argument.is_array


def _reference(
    source: ua.NodeId, kind: int, target: ua.NodeId, node_class: ua.NodeClass
) -> ua.AddReferencesItem:
    return ua.AddReferencesItem(
        SourceNodeId=source,
        ReferenceTypeId=ua.NodeId(kind),
        IsForward=True,
        TargetNodeId=target,
        TargetNodeClass=node_class,
    )


def _answer(code: int, inputs: Sequence[int] = ()) -> ua.CallMethodResult:
    return ua.CallMethodResult(
        StatusCode=ua.StatusCode(code), InputArgumentResults=[ua.StatusCode(i) for i in inputs]
    )
