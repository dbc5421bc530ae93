"""Requests for the events of conditions (Alarms and Conditions, OPC 10000-9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua import ua

if TYPE_CHECKING:
    from collections.abc import Iterable

QUEUE = 1000
CONDITION = ua.NodeId(ua.ObjectIds.ConditionType)

Field = tuple[int, str]
"""(number of the type that declares it, browse path with slashes)."""


def event_item(
    notifier: ua.NodeId,
    handle: int,
    fields: Iterable[Field],
    where: ua.ContentFilter | None = None,
) -> ua.MonitoredItemCreateRequest:
    """Watch the events of an object: these fields, and the ConditionId as the last."""
    clauses = [
        ua.SimpleAttributeOperand(
            TypeDefinitionId=ua.NodeId(kind),
            BrowsePath=[ua.QualifiedName(part, 0) for part in path.split("/")],
            AttributeId=ua.AttributeIds.Value,
        )
        for kind, path in fields
    ]
    clauses.append(
        ua.SimpleAttributeOperand(
            TypeDefinitionId=CONDITION, BrowsePath=[], AttributeId=ua.AttributeIds.NodeId
        )
    )
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=notifier, AttributeId=ua.AttributeIds.EventNotifier),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(
            ClientHandle=handle,
            SamplingInterval=0,
            Filter=ua.EventFilter(
                SelectClauses=clauses,
                WhereClause=ua.ContentFilter() if where is None else where,
            ),
            QueueSize=QUEUE,
            DiscardOldest=True,
        ),
    )


def refresh_request(subscription: int) -> ua.CallMethodRequest:
    """Ask for everything that stands."""
    return ua.CallMethodRequest(
        ObjectId=CONDITION,
        MethodId=ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh),
        InputArguments=[ua.Variant(subscription, ua.VariantType.UInt32)],
    )
