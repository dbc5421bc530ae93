"""Where clauses: three-valued, each element once, refused where they cannot be had."""

from types import SimpleNamespace

import pytest
from asyncua import ua

from plant_sim.opcua import limits
from plant_sim.opcua.event_filter import Event, EventFilter, fault

OP = ua.FilterOperator
TYPES = (ua.NodeId(ua.ObjectIds.OffNormalAlarmType), ua.NodeId(ua.ObjectIds.ConditionType))
EVENT = Event(
    emitting_node=ua.NodeId(ua.ObjectIds.Server),
    types=TYPES,
    fields={
        "": ua.Variant(ua.NodeId(1410, 2)),
        "Severity": ua.Variant(500, ua.VariantType.UInt16),
        "ActiveState/Id": ua.Variant(Value=True),
        "Message": ua.Variant(ua.LocalizedText("hot")),
    },
)


def field(path, attribute=ua.AttributeIds.Value):
    names = [ua.QualifiedName(name) for name in path.split("/") if name]
    return ua.SimpleAttributeOperand(BrowsePath=names, AttributeId=attribute)


def literal(value):
    return ua.LiteralOperand(Value=ua.Variant(value))


def element(operator, *operands):
    made = [o if isinstance(o, ua.FilterOperand) else literal(o) for o in operands]
    return ua.ContentFilterElement(FilterOperator=operator, FilterOperands=made)


def asked(*elements, select=()):
    return ua.EventFilter(
        SelectClauses=list(select), WhereClause=ua.ContentFilter(Elements=list(elements))
    )


def passes(*elements, mode=ua.MonitoringMode.Reporting):
    given = asked(*elements)
    assert fault(given) is None
    return EventFilter(SimpleNamespace(filter=given, mode=mode)).eval(EVENT)


NOTHING = field("Nothing")
TRUE, NULL = element(OP.IsNull, NOTHING), element(OP.Equals, NOTHING, 1)
FALSE = element(OP.Not, True)  # noqa: FBT003


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        (True, element(OP.GreaterThanOrEqual, field("Severity"), 500)),
        (False, element(OP.GreaterThan, field("Severity"), 500)),
        (True, element(OP.LessThanOrEqual, field("Severity"), 500)),
        (False, element(OP.LessThan, field("Severity"), 500)),
        (True, element(OP.Equals, field("ActiveState/Id"), True)),  # noqa: FBT003
        (True, element(OP.Between, field("Severity"), 334, 666)),
        (False, element(OP.Between, field("Severity"), 600, 666)),
        (True, element(OP.InList, field("Severity"), 1, 500)),
        (False, element(OP.InList, field("Severity"), 1, 2)),
        (True, element(OP.OfType, TYPES[0])),
        (True, element(OP.OfType, TYPES[1])),
        (False, element(OP.OfType, ua.NodeId(ua.ObjectIds.LimitAlarmType))),
        (False, element(OP.GreaterThan, field("Message"), 1)),
        (False, element(OP.Equals, NOTHING, 1)),
        (False, element(OP.Not, NOTHING)),
        (True, TRUE),
        (False, FALSE),
        (True, element(OP.Equals, field("", ua.AttributeIds.NodeId), ua.NodeId(1410, 2))),
    ],
)
def test_operators(wanted, first):
    assert passes(first) is wanted


@pytest.mark.parametrize(
    ("operator", "left", "right", "wanted"),
    [
        (OP.And, TRUE, TRUE, True),
        (OP.And, TRUE, FALSE, False),
        (OP.And, NULL, TRUE, False),
        (OP.Or, FALSE, TRUE, True),
        (OP.Or, NULL, TRUE, True),
        (OP.Or, FALSE, NULL, False),
        (OP.Or, FALSE, FALSE, False),
    ],
)
def test_elements_name_later_ones(operator, left, right, wanted):
    both = element(operator, ua.ElementOperand(Index=1), ua.ElementOperand(Index=2))
    assert passes(both, left, right) is wanted


def test_no_clause_is_everything_and_a_disabled_item_nothing():
    assert passes()
    assert not passes(mode=ua.MonitoringMode.Disabled)


def test_a_tower_of_elements_is_evaluated_once_a_storey():
    """Two to the power of 200 evaluations would not end."""
    storeys = 200
    tower = [
        element(OP.And, ua.ElementOperand(Index=i + 1), ua.ElementOperand(Index=i + 1))
        for i in range(storeys)
    ]
    assert passes(*tower, TRUE)


@pytest.mark.parametrize(
    "given",
    [
        None,
        ua.DataChangeFilter(),
        ua.ExtensionObject(),
        asked(element(OP.Equals, 1)),
        asked(element(OP.Like, field("Message"), "%")),
        asked(element(OP.Cast, 1, 2)),
        asked(element(OP.Not, ua.ElementOperand(Index=0))),
        asked(element(OP.Not, ua.ElementOperand(Index=1))),
        asked(element(OP.Not, ua.AttributeOperand())),
    ],
)
def test_what_cannot_be_had_is_refused_when_it_comes(given):
    assert fault(given) == ua.StatusCodes.BadEventFilterInvalid


def test_too_much_is_refused():
    count = limits.MAX_OPERATIONS + 1
    for given in (
        asked(select=[field("Severity")] * count),
        asked(element(OP.InList, *range(count))),
        asked(*[TRUE] * count),
    ):
        assert fault(given) == ua.StatusCodes.BadTooManyOperations


def test_fields_that_are_not_there_are_null_whatever_their_name():
    clauses = [
        field("Severity"),
        field("Nothing"),
        field("fields"),
        field("__class__"),
        field("Severity", 999),
        field("", 999),
        field("", ua.AttributeIds.NodeId),
        ua.SimpleAttributeOperand(BrowsePath=None, AttributeId=ua.AttributeIds.Value),
    ]
    values = [variant.Value for variant in EVENT.to_event_fields(clauses)]
    assert values == [500, None, None, None, None, None, ua.NodeId(1410, 2), None]
    assert EVENT.to_event_fields(None) == []
