"""An alarm as an OPC UA event: its type and every field a client may select (OPC 10000-9).

Fields that say nothing here (shelving, confirmation, sound) are left out and read as null.
"""

from dataclasses import dataclass
from datetime import datetime

from asyncua import ua

from plant_sim.opcua.event_filter import CONDITION_ID
from plant_sim.opcua.node_items import LIMIT_NAMES
from plant_sim.unit.alarms import Alarm, State
from plant_sim.unit.tag_table import FOLDERS, NOTIFIER, TAGS

Fields = dict[str, ua.Variant]

_NUMBERS = {tag.path: tag.number for tag in TAGS}
_LIMIT_STATES = {
    "High": ua.ObjectIds.ExclusiveLimitStateMachineType_High,
    "HighHigh": ua.ObjectIds.ExclusiveLimitStateMachineType_HighHigh,
}
_CONDITION = (
    ua.ObjectIds.AlarmConditionType,
    ua.ObjectIds.AcknowledgeableConditionType,
    ua.ObjectIds.ConditionType,
    ua.ObjectIds.BaseEventType,
)
OF_LIMIT, OFF_NORMAL = "ExclusiveLimitAlarmType", "OffNormalAlarmType"
"""Types of the events that R101 generates: of alarms with a limit, of the others."""
_LIMIT_ALARM = (getattr(ua.ObjectIds, OF_LIMIT), ua.ObjectIds.LimitAlarmType, *_CONDITION)
_OFF_NORMAL = (getattr(ua.ObjectIds, OFF_NORMAL), ua.ObjectIds.DiscreteAlarmType, *_CONDITION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An alarm as it was last told.

    ids: EventIds since it was last raised, latest last.  time: of the last.  active_at, acked_at,
    commented_at: when these last changed; None: never.
    """

    alarm: Alarm
    ids: tuple[bytes, ...] = ()
    time: datetime | None = None
    active_at: datetime | None = None
    acked_at: datetime | None = None
    commented_at: datetime | None = None


def event_types(alarm: Alarm) -> tuple[ua.NodeId, ...]:
    """Type of an alarm's events and all its supertypes."""
    chain = _OFF_NORMAL if alarm.definition.limit is None else _LIMIT_ALARM
    return tuple(ua.NodeId(number) for number in chain)


def event_fields(told: Told, index: int) -> Fields:
    """Every field of the event; index: of the plant's namespace."""
    return {
        **_base(told, index),
        **_condition(told, index),
        **_states(told, index),
        **_limit(told.alarm),
    }


def refresh_fields(kind: int, event_id: bytes, utc: datetime) -> Fields:
    """Fields of a RefreshStartEvent or RefreshEndEvent; kind: number of its type."""
    return {
        "EventId": ua.Variant(event_id, ua.VariantType.ByteString),
        "EventType": _node(kind),
        "SourceNode": _node(ua.ObjectIds.Server),
        "SourceName": _string("Server"),
        "Time": _time(utc),
        "ReceiveTime": _time(utc),
        "Message": _text("Condition refresh"),
        "Severity": ua.Variant(1, ua.VariantType.UInt16),
    }


def _base(told: Told, index: int) -> Fields:
    alarm = told.alarm
    return {
        "EventId": ua.Variant(told.ids[-1], ua.VariantType.ByteString),
        "EventType": ua.Variant(event_types(alarm)[0], ua.VariantType.NodeId),
        "SourceNode": _node(FOLDERS[NOTIFIER], index),
        "SourceName": _string(NOTIFIER),
        "Time": _time(told.time),
        "ReceiveTime": _time(told.time),
        "Message": _text(alarm.message),
        "Severity": ua.Variant(alarm.definition.severity, ua.VariantType.UInt16),
    }


def _condition(told: Told, index: int) -> Fields:
    alarm = told.alarm
    of_process = alarm.definition.limit is not None
    name = "ProcessConditionClassType" if of_process else "SystemConditionClassType"
    return {
        CONDITION_ID: _node(alarm.definition.number, index),
        "ConditionClassId": _node(getattr(ua.ObjectIds, name)),
        "ConditionClassName": _text(name),
        "ConditionName": _string(alarm.definition.name),
        "BranchId": _node(0),
        "Retain": _boolean(alarm.state is not State.NORMAL),
        "EnabledState": _text("Enabled"),
        "EnabledState/Id": _boolean(yes=True),
        "Quality": ua.Variant(ua.StatusCode(), ua.VariantType.StatusCode),
        "Quality/SourceTimestamp": _time(told.time),
        "LastSeverity": ua.Variant(alarm.definition.severity, ua.VariantType.UInt16),
        "LastSeverity/SourceTimestamp": _time(told.active_at),
        "Comment": _text(alarm.comment),
        "Comment/SourceTimestamp": _time(told.commented_at),
        "ClientUserId": _string(alarm.user),
    }


def _states(told: Told, index: int) -> Fields:
    alarm = told.alarm
    source = _NUMBERS.get(alarm.definition.source)
    return {
        "AckedState": _text("Acknowledged" if alarm.acknowledged else "Unacknowledged"),
        "AckedState/Id": _boolean(alarm.acknowledged),
        "AckedState/TransitionTime": _time(told.acked_at),
        "ActiveState": _text("Active" if alarm.active else "Inactive"),
        "ActiveState/Id": _boolean(alarm.active),
        "ActiveState/TransitionTime": _time(told.active_at),
        "ActiveState/EffectiveDisplayName": _text(_effective(alarm)),
        "InputNode": _node(0) if source is None else _node(source, index),
        "SuppressedOrShelved": _boolean(yes=False),
        "FirstInGroupFlag": _boolean(alarm.first_out),
    }


def _limit(alarm: Alarm) -> Fields:
    limit = alarm.definition.limit
    if limit is None:
        return {"NormalState": _node(0)}
    name = LIMIT_NAMES[alarm.definition.name]
    state = _LIMIT_STATES[name]
    return {
        f"{name}Limit": _double(limit.value),
        f"{name}Deadband": _double(limit.deadband),
        "LimitState/CurrentState": _text(name) if alarm.active else ua.Variant(),
        "LimitState/CurrentState/Id": _node(state) if alarm.active else ua.Variant(),
    }


def _effective(alarm: Alarm) -> str:
    if alarm.active and alarm.definition.limit is not None:
        return LIMIT_NAMES[alarm.definition.name]
    return "Active" if alarm.active else "Inactive"


def _node(number: int, index: int = 0) -> ua.Variant:
    return ua.Variant(ua.NodeId(number, index), ua.VariantType.NodeId)


def _text(text: str) -> ua.Variant:
    return ua.Variant(ua.LocalizedText(text), ua.VariantType.LocalizedText)


def _string(text: str) -> ua.Variant:
    return ua.Variant(text, ua.VariantType.String)


def _boolean(yes: bool) -> ua.Variant:  # noqa: FBT001  (it is the value)
    return ua.Variant(yes, ua.VariantType.Boolean)


def _double(value: float) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.Double)


def _time(utc: datetime | None) -> ua.Variant:
    return ua.Variant() if utc is None else ua.Variant(utc, ua.VariantType.DateTime)
