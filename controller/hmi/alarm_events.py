"""From the events of an OPC UA server to alarms (Alarms and Conditions, OPC 10000-9).

No where clause is used: servers differ in what they make of OfType, and what is no condition is
left out here.  A field that an event lacks is null.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.hmi.alarms import Alarm
from controller.words import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.hmi.alarms import AlarmList

LONGEST_TEXT = 500
"""Characters of a server's text that are kept."""

ACKNOWLEDGE_METHOD = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)
_START = ua.NodeId(ua.ObjectIds.RefreshStartEventType)
_END = ua.NodeId(ua.ObjectIds.RefreshEndEventType)
_REQUIRED = ua.NodeId(ua.ObjectIds.RefreshRequiredEventType)

FIELDS = (
    (ua.ObjectIds.BaseEventType, "EventId"),
    (ua.ObjectIds.BaseEventType, "EventType"),
    (ua.ObjectIds.BaseEventType, "SourceName"),
    (ua.ObjectIds.BaseEventType, "SourceNode"),
    (ua.ObjectIds.BaseEventType, "Time"),
    (ua.ObjectIds.BaseEventType, "Message"),
    (ua.ObjectIds.BaseEventType, "Severity"),
    (ua.ObjectIds.ConditionType, "ConditionName"),
    (ua.ObjectIds.ConditionType, "BranchId"),
    (ua.ObjectIds.ConditionType, "Retain"),
    (ua.ObjectIds.ConditionType, "Comment"),
    (ua.ObjectIds.AcknowledgeableConditionType, "AckedState/Id"),
    (ua.ObjectIds.AlarmConditionType, "ActiveState/Id"),
    (ua.ObjectIds.AlarmConditionType, "SuppressedOrShelved"),
)
_NAMES = (*(name for _, name in FIELDS), "ConditionId")


def key_of(node: ua.NodeId) -> str:
    """The key of a condition's alarm, or of the node an alarm comes from."""
    return printable(node.to_string())


def acknowledge_request(alarm: Alarm, comment: str) -> ua.CallMethodRequest:
    """Say that an alarm was seen, as its last event told it."""
    return ua.CallMethodRequest(
        ObjectId=alarm.condition,
        MethodId=ACKNOWLEDGE_METHOD,
        InputArguments=[
            ua.Variant(alarm.event_id, ua.VariantType.ByteString),
            ua.Variant(ua.LocalizedText(comment), ua.VariantType.LocalizedText),
        ],
    )


def take_event(alarms: AlarmList, fields: Sequence[ua.Variant]) -> bool:
    """Take in one event; True when a refresh must be asked.

    fields: in the order of `FIELDS`, and the ConditionId last.
    """
    values = {name: field.Value for name, field in zip(_NAMES, fields, strict=False)}
    kind = values.get("EventType")
    if kind == _START:
        alarms.begin_refresh()
    elif kind == _END:
        alarms.end_refresh()
    elif kind == _REQUIRED:
        return True
    else:
        alarm = decoded(values)
        if alarm is not None:
            alarms.take(alarm)
    return False


def decoded(values: dict[str, Any]) -> Alarm | None:
    """The alarm that an event tells of; None for what is no condition that can be acknowledged."""
    condition, event_id = values.get("ConditionId"), values.get("EventId")
    if not isinstance(condition, ua.NodeId) or condition.is_null():
        return None
    if not isinstance(event_id, bytes):
        return None
    severity, branch = values.get("Severity"), values.get("BranchId")
    beside = ""
    if isinstance(branch, ua.NodeId) and not branch.is_null():
        beside = f"/{branch.to_string()}"
    active, source = values.get("ActiveState/Id"), values.get("SourceNode")
    return Alarm(
        key=key_of(condition) + printable(beside),
        condition=condition,
        event_id=event_id,
        name=_text(values.get("ConditionName")) or _text(condition.to_string()),
        source=_text(values.get("SourceName")),
        source_node=key_of(source) if isinstance(source, ua.NodeId) else "",
        severity=severity if isinstance(severity, int) else 0,
        active=active if isinstance(active, bool) else None,
        acked=values.get("AckedState/Id") is not False,
        retain=values.get("Retain") is True,
        shelved=values.get("SuppressedOrShelved") is True,
        time=_time(values.get("Time")),
        message=_text(values.get("Message")),
        comment=_text(values.get("Comment")),
    )


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else getattr(value, "Text", None)
    if not isinstance(text, str):
        return ""
    return text.encode("utf-8", "replace").decode("utf-8")[:LONGEST_TEXT]


def _time(value: Any) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
