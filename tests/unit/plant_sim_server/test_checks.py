"""What the session lets through, item by item."""

import math

import pytest
from asyncua import ua

from plant_sim.opcua.checks import check_variant, check_write
from plant_sim.opcua.methods import METHODS
from plant_sim.unit.reactor_unit import Refusal
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import Role

BY_PATH = {tag.path: tag for tag in TAGS}
TARGET = BY_PATH["R101/MV/InitiatorFeed/Target"]
DOUBLE, INT32 = ua.VariantType.Double, ua.VariantType.Int32


def item(variant: ua.Variant, **changes) -> ua.WriteValue:
    value = ua.WriteValue(AttributeId=ua.AttributeIds.Value, Value=ua.DataValue(variant))
    for name, change in changes.items():
        setattr(value, name, change)
    return value


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (ua.Variant(1.0, DOUBLE), 1.0),
        (ua.Variant(0.0, DOUBLE), 0.0),
        (ua.Variant(2.5, DOUBLE), 2.5),
        (ua.Variant(math.nextafter(2.5, 3.0), DOUBLE), Refusal.OUT_OF_RANGE),
        (ua.Variant(-0.1, DOUBLE), Refusal.OUT_OF_RANGE),
        (ua.Variant(math.nan, DOUBLE), Refusal.OUT_OF_RANGE),
        (ua.Variant(math.inf, DOUBLE), Refusal.OUT_OF_RANGE),
        (ua.Variant(-math.inf, DOUBLE), Refusal.OUT_OF_RANGE),
        (ua.Variant(1.0, ua.VariantType.Float), Refusal.TYPE_MISMATCH),
        (ua.Variant(1, ua.VariantType.Int64), Refusal.TYPE_MISMATCH),
        (ua.Variant("1.0", ua.VariantType.String), Refusal.TYPE_MISMATCH),
        (ua.Variant([1.0], DOUBLE), Refusal.TYPE_MISMATCH),
        (ua.Variant([], DOUBLE), Refusal.TYPE_MISMATCH),
        (ua.Variant(), Refusal.TYPE_MISMATCH),
        (None, Refusal.TYPE_MISMATCH),
    ],
)
def test_a_target_takes_finite_doubles_in_range_only(variant, expected):
    assert check_variant(TARGET, variant) == expected


def test_role_comes_before_value():
    bad = item(ua.Variant(math.nan, DOUBLE))
    assert check_write(TARGET, Role.OPERATOR, bad) is Refusal.ACCESS_DENIED
    assert check_write(TARGET, Role.APC, bad) is Refusal.OUT_OF_RANGE
    assert check_write(BY_PATH["SIS/Tripped"], Role.ENGINEER, bad) is Refusal.NOT_WRITABLE


def test_only_whole_good_values_of_the_value_attribute():
    good = ua.Variant(1.0, DOUBLE)
    assert check_write(TARGET, Role.APC, item(good)) == 1.0
    assert check_write(TARGET, Role.APC, item(good, IndexRange="0")) is Refusal.INDEX_RANGE
    attribute = item(good, AttributeId=ua.AttributeIds.DisplayName)
    assert check_write(TARGET, Role.APC, attribute) is Refusal.NOT_WRITABLE
    bad = ua.DataValue(good, StatusCode=ua.StatusCode(ua.StatusCodes.BadSensorFailure))
    assert check_write(TARGET, Role.APC, item(good, Value=bad)) is Refusal.STATUS_NOT_WRITABLE
    silent = ua.DataValue(good, StatusCode=None)
    assert check_write(TARGET, Role.APC, item(good, Value=silent)) == 1.0


def test_enumerations_take_their_members_only():
    mode = BY_PATH["APC/Mode"]
    for value, expected in ((0, 0), (2, 2), (3, Refusal.OUT_OF_RANGE), (-1, Refusal.OUT_OF_RANGE)):
        assert check_write(mode, Role.OPERATOR, item(ua.Variant(value, INT32))) == expected
    wide = item(ua.Variant(1, ua.VariantType.Int64))
    assert check_write(mode, Role.OPERATOR, wide) is Refusal.TYPE_MISMATCH


def test_text_is_short_and_printable():
    owner = METHODS[0].inputs[0]
    text = ua.VariantType.String
    assert check_variant(owner, ua.Variant("trimtab", text)) == "trimtab"
    assert check_variant(owner, ua.Variant("x" * 201, text)) is Refusal.OUT_OF_RANGE
    assert check_variant(owner, ua.Variant("a\nb", text)) is Refusal.OUT_OF_RANGE
    assert check_variant(owner, ua.Variant(None, text)) is Refusal.TYPE_MISMATCH
