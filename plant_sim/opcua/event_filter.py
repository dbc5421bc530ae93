"""Which events a client asked for, and which of their fields (EventFilter, OPC 10000-4, 7.22).

asyncua's own evaluation takes OfType for that very type only, looks at the first name of a browse
path, raises where a field is missing, and evaluates an element as often as others name it, which a
filter of thirty elements can make a thousand million times. Events are sent from the tick that
moves the plant, so nothing here may raise or take long: a filter is checked when it comes, and each
of its elements is evaluated once an event.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt
from typing import Any

from asyncua import ua

from plant_sim.opcua import data_filter, limits

CONDITION_ID = ""
"""Key of a condition's node id among the fields of an event; it has no browse path."""
_NULL = ua.Variant()
_Operator = ua.FilterOperator

_COMPARED: dict[int, Callable[[Any, Any], bool]] = {
    _Operator.Equals: eq,
    _Operator.GreaterThan: gt,
    _Operator.LessThan: lt,
    _Operator.GreaterThanOrEqual: ge,
    _Operator.LessThanOrEqual: le,
}
_FEWEST_OPERANDS: dict[int, int] = {
    **dict.fromkeys(_COMPARED, 2),
    _Operator.IsNull: 1,
    _Operator.Not: 1,
    _Operator.Between: 3,
    _Operator.InList: 2,
    _Operator.And: 2,
    _Operator.Or: 2,
    _Operator.OfType: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event at one notifier.

    types: its type and all that this is a subtype of.  fields: by browse path, names joined by "/".
    """

    emitting_node: ua.NodeId
    types: tuple[ua.NodeId, ...]
    fields: Mapping[str, ua.Variant]

    def field(self, clause: ua.SimpleAttributeOperand) -> ua.Variant:
        """The field that an operand names, null where this event has none."""
        path = "/".join(str(name.Name) for name in clause.BrowsePath or ())
        attribute = ua.AttributeIds.Value if path else ua.AttributeIds.NodeId
        if clause.AttributeId != attribute:
            return _NULL
        return self.fields.get(path or CONDITION_ID, _NULL)

    def to_event_fields(self, clauses: Sequence[ua.SimpleAttributeOperand]) -> list[ua.Variant]:
        """What a subscriber asked for, in its order; asyncua calls this."""
        return [self.field(clause) for clause in clauses or ()]


class EventFilter:
    """The where clause of a monitored item, in the place of asyncua's evaluator."""

    def __init__(self, item: Any) -> None:
        """item: asyncua's data of the monitored item, whose filter may be replaced later."""
        self._item = item

    def eval(self, event: Event) -> bool:
        """Whether this item gets `event`."""
        if self._item.mode == ua.MonitoringMode.Disabled:
            return False
        elements = self._item.filter.WhereClause.Elements
        return not elements or _evaluate(elements, event) is True


def faults(
    items: Sequence[ua.MonitoredItemCreateRequest], service: Any, space: Any
) -> list[int | None]:
    """For each item wanted: status code of what is wrong with its filter, or None.

    service: asyncua's monitored items of the subscription.  space: its address space.
    """
    present = service._monitored_events.values()  # noqa: SLF001
    room = limits.MAX_EVENT_ITEMS - sum(map(len, present))
    codes: list[int | None] = []
    for item in items:
        wanted = item.RequestedParameters
        if item.ItemToMonitor.AttributeId == ua.AttributeIds.EventNotifier:
            room -= 1
            full = ua.StatusCodes.BadTooManyMonitoredItems
            codes.append(fault(wanted.Filter) if room >= 0 else full)
        else:
            wanted.Filter = wanted.Filter or None
            codes.append(data_filter.fault(wanted.Filter, _held(space, item.ItemToMonitor)))
    return codes


def faults_of_changes(
    items: Sequence[ua.MonitoredItemModifyRequest], service: Any, space: Any
) -> list[int | None]:
    """The same for changes of items; asyncua would take any filter and any length of queue."""
    codes: list[int | None] = []
    for item in items:
        wanted = item.RequestedParameters
        wanted.QueueSize = min(wanted.QueueSize or limits.MAX_QUEUE, limits.MAX_QUEUE)
        present = service._monitored_items.get(item.MonitoredItemId)  # noqa: SLF001
        wanted.Filter = wanted.Filter or None  # an empty one changes nothing
        if present is None:
            codes.append(ua.StatusCodes.BadMonitoredItemIdInvalid)
        elif present.where_clause_evaluator is not None:
            codes.append(None if wanted.Filter is None else fault(wanted.Filter))
        else:
            codes.append(data_filter.fault(wanted.Filter, _held(space, present.read_value_id)))
    return codes


def _held(space: Any, item: ua.ReadValueId) -> ua.DataValue:
    return space.read_attribute_value(item.NodeId, item.AttributeId)


def install(made: Sequence[ua.MonitoredItemCreateResult], service: Any) -> None:
    """Put the evaluation of here into the event items that were made."""
    for result in made:
        item = service._monitored_items.get(result.MonitoredItemId)  # noqa: SLF001
        if item is not None and item.where_clause_evaluator is not None:
            item.where_clause_evaluator = EventFilter(item)


def fault(given: Any) -> Any:
    """Status code (an int) of a filter that cannot be had; None for a good one."""
    if not isinstance(given, ua.EventFilter):
        return ua.StatusCodes.BadEventFilterInvalid
    elements = given.WhereClause.Elements or []
    operands = sum(len(element.FilterOperands or ()) for element in elements)
    if max(len(given.SelectClauses or ()), len(elements), operands) > limits.MAX_OPERATIONS:
        return ua.StatusCodes.BadTooManyOperations
    sound = all(_sound(element, place, len(elements)) for place, element in enumerate(elements))
    return None if sound else ua.StatusCodes.BadEventFilterInvalid


def _sound(element: ua.ContentFilterElement, place: int, count: int) -> bool:
    """Whether an element is of a kind known here and names only later elements."""
    operands = element.FilterOperands or []
    fewest = _FEWEST_OPERANDS.get(element.FilterOperator)
    return (
        fewest is not None
        and len(operands) >= fewest
        and all(
            place < operand.Index < count
            if isinstance(operand, ua.ElementOperand)
            else isinstance(operand, ua.LiteralOperand | ua.SimpleAttributeOperand)
            for operand in operands
        )
    )


def _evaluate(elements: Sequence[ua.ContentFilterElement], event: Event) -> Any:
    """Value of the first element; each may name later ones only, so the last comes first."""
    values: dict[int, Any] = {}
    for place in reversed(range(len(elements))):
        given = [_operand(operand, event, values) for operand in elements[place].FilterOperands]
        values[place] = _apply(elements[place].FilterOperator, given, event)
    return values[0]


def _operand(operand: Any, event: Event, values: Mapping[int, Any]) -> Any:
    if isinstance(operand, ua.ElementOperand):
        return values[operand.Index]
    if isinstance(operand, ua.SimpleAttributeOperand):
        return event.field(operand).Value
    return None if operand.Value is None else operand.Value.Value


def _apply(  # noqa: PLR0911  (one line an operator)
    operator: int, given: Sequence[Any], event: Event
) -> bool | None:
    """Three-valued: None stands for NULL, which no comparison survives."""
    if operator in _COMPARED:
        return _compare(_COMPARED[operator], given[0], given[1])
    match operator:
        case _Operator.IsNull:
            return given[0] is None
        case _Operator.Not:
            return None if given[0] is None else not given[0]
        case _Operator.Between:
            return _and(_compare(ge, given[0], given[1]), _compare(le, given[0], given[2]))
        case _Operator.InList:
            return any(_compare(eq, given[0], other) for other in given[1:])
        case _Operator.And:
            return _and(given[0], given[1])
        case _Operator.Or:
            negative = _and(_not(given[0]), _not(given[1]))
            return _not(negative)
        case _:
            return given[0] in event.types


def _compare(operation: Callable[[Any, Any], bool], left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    try:
        return bool(operation(left, right))
    except TypeError:
        return None


def _not(value: Any) -> bool | None:
    return None if value is None else not value


def _and(left: Any, right: Any) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else bool(left and right)
