"""The process image: what a DataValue becomes, and which delivery wins."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua

from controller.core.types import Quality
from controller.opcua.encoding import encode, wrapped
from controller.opcua.image import HEARTBEAT, PLANT_TIME, SERVER_TIME, ProcessImage, measurement

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def value(content, kind=ua.VariantType.Double, *, at=NOW, status=ua.StatusCodes.Good):
    return ua.DataValue(
        ua.Variant(content, kind), StatusCode=ua.StatusCode(status), SourceTimestamp=at
    )


@pytest.mark.parametrize(
    ("status", "quality", "name"),
    [
        (ua.StatusCodes.Good, Quality.GOOD, "Good"),
        (ua.StatusCodes.GoodLocalOverride, Quality.GOOD, "GoodLocalOverride"),
        (ua.StatusCodes.UncertainInitialValue, Quality.UNCERTAIN, "UncertainInitialValue"),
        (ua.StatusCodes.BadNoCommunication, Quality.BAD, "BadNoCommunication"),
    ],
)
def test_the_status_code_gives_quality_and_name(status, quality, name):
    seen = measurement("t", value(1.0, status=status), 5.0)
    assert (seen.quality, seen.status, seen.received_s) == (quality, name, 5.0)


def test_a_bad_status_on_the_wire_nulls_the_value():
    nulled = ua.DataValue(
        ua.Variant(None, ua.VariantType.Null),
        StatusCode=ua.StatusCode(ua.StatusCodes.BadSensorFailure),
    )
    seen = measurement("t", nulled, 0.0)
    assert (seen.value, seen.quality, seen.status) == (None, Quality.BAD, "BadSensorFailure")


@pytest.mark.parametrize(
    ("content", "kind"),
    [([1.0, 2.0], ua.VariantType.Double), (b"raw", ua.VariantType.ByteString)],
)
def test_what_is_no_scalar_is_bad_and_has_no_value(content, kind):
    seen = measurement("t", value(content, kind), 0.0)
    assert (seen.value, seen.quality, seen.status) == (None, Quality.BAD, "BadTypeMismatch")


@pytest.mark.parametrize("at", [NOW, NOW.replace(tzinfo=None)])
def test_a_time_is_seconds_since_1970_in_utc(at):
    seen = measurement("t", value(at, ua.VariantType.DateTime), 0.0)
    assert (seen.value, seen.quality) == (1767225600.0, Quality.GOOD)


@pytest.mark.parametrize("wrap", [str, ua.LocalizedText])
def test_text_that_is_not_utf_8_can_be_stored(wrap):
    decoded = b"St\xf6rung \xe2\x82\xac".decode("utf-8", "surrogateescape")  # as asyncua does
    kind = ua.VariantType.String if wrap is str else ua.VariantType.LocalizedText
    seen = measurement("t", value(wrap(decoded), kind), 0.0)
    assert (seen.value, seen.quality) == ("St?rung \u20ac", Quality.GOOD)


@pytest.mark.parametrize("content", [math.nan, math.inf, -math.inf])
def test_non_finite_numbers_are_left_to_the_validation(content):
    seen = measurement("t", value(content), 0.0)
    assert repr(seen.value) == repr(content)
    assert seen.quality is Quality.GOOD


def test_a_text_with_a_locale_is_its_text():
    text = ua.LocalizedText("in command")
    assert measurement("t", value(text, ua.VariantType.LocalizedText), 0.0).value == "in command"


def test_a_late_notification_loses_against_a_later_poll_and_a_poll_always_wins():
    image = ProcessImage()
    image.polled("t", value(2.0, at=NOW + timedelta(seconds=1)), 1.0)
    image.notified("t", value(1.0, at=NOW), 2.0)
    assert image.value("t") == 2.0
    image.notified("t", value(3.0, at=NOW + timedelta(seconds=2)), 3.0)
    assert image.value("t") == 3.0
    image.polled("t", value(4.0, at=NOW), 4.0)
    assert image.value("t") == 4.0


@pytest.mark.parametrize(("received", "kept"), [(2.5, 2.0), (3.5, 1.0)])
def test_without_source_times_a_poll_stands_while_a_notification_may_be_older(received, kept):
    image = ProcessImage()
    image.polled("t", value(2.0, at=None), 1.0)
    image.notified("t", value(1.0, at=None), received, lag_s=2.0)
    assert image.value("t") == kept


def test_the_servers_own_clock_is_carried_on_and_is_no_tag():
    image = ProcessImage()
    assert image.server_time(1.0) is None
    image.polled(SERVER_TIME, value(NOW, ua.VariantType.DateTime), 10.0)
    assert image.server_time(12.0) == NOW + timedelta(seconds=2)
    assert image.measurements() == {}
    bad = value(None, ua.VariantType.Null, status=ua.StatusCodes.BadNodeIdUnknown)
    image.polled(SERVER_TIME, bad, 20.0)
    assert image.server_time(20.0) is None
    for nonsense in (math.nan, math.inf, 1e300):
        image.polled(SERVER_TIME, value(nonsense, ua.VariantType.Double), 30.0)
        assert image.server_time(30.0) is None


def test_the_heartbeats_age_counts_from_its_last_change():
    image = ProcessImage()
    assert image.heartbeat_age_s(100.0) is None
    for beat, received in ((1, 10.0), (1, 11.0), (2, 12.0), (2, 15.0)):
        image.polled(HEARTBEAT, value(beat, ua.VariantType.UInt32), received)
    assert image.heartbeat_age_s(16.0) == pytest.approx(4.0)


@pytest.mark.parametrize(
    "flicker",
    [
        value(7.0, status=ua.StatusCodes.BadNoCommunication),
        value(math.nan),
        value(math.inf),
        value("alive", ua.VariantType.String),
        ua.DataValue(
            ua.Variant(None, ua.VariantType.Null),
            StatusCode=ua.StatusCode(ua.StatusCodes.BadSensorFailure),
        ),
    ],
    ids=["bad", "nan", "infinite", "text", "nulled"],
)
def test_only_usable_numbers_that_change_are_a_heartbeat(flicker):
    image = ProcessImage()
    image.polled(HEARTBEAT, value(1.0), 10.0)
    image.polled(HEARTBEAT, flicker, 11.0)
    image.polled(HEARTBEAT, value(1.0), 12.0)
    image.polled(HEARTBEAT, flicker, 13.0)
    assert image.heartbeat_age_s(14.0) == pytest.approx(4.0)
    image.polled(HEARTBEAT, value(2.0, status=ua.StatusCodes.UncertainInitialValue), 15.0)
    assert image.heartbeat_age_s(16.0) == pytest.approx(1.0)


def test_plant_time_is_the_tag_or_the_fallback_or_not_a_number():
    image = ProcessImage()
    assert image.plant_time_s(7.0, has_clock=False) == 7.0
    assert math.isnan(image.plant_time_s(7.0, has_clock=True))
    image.polled(PLANT_TIME, value(300.0), 1.0)
    assert image.plant_time_s(7.0, has_clock=True) == 300.0
    bad = value(300.0, status=ua.StatusCodes.BadNoCommunication)
    image.polled(PLANT_TIME, bad, 2.0)
    assert math.isnan(image.plant_time_s(7.0, has_clock=True))


def test_a_frozen_image_does_not_change():
    image = ProcessImage()
    image.polled("t", value(1.0), 1.0)
    frozen = image.measurements()
    image.polled("t", value(2.0), 2.0)
    assert frozen["t"].value == 1.0
    with pytest.raises(TypeError):
        frozen["t"] = None


@pytest.mark.parametrize(
    ("number", "kind", "expected"),
    [
        (2**31 - 1, ua.VariantType.Int32, 2**31 - 1),
        (-5, ua.VariantType.SByte, -5),
        (12.7, ua.VariantType.Int32, 13),
        (0, ua.VariantType.Boolean, False),
        (True, ua.VariantType.Boolean, True),
        (7, ua.VariantType.Double, 7.0),
        (2.5, ua.VariantType.Float, 2.5),
    ],
)
def test_values_take_the_type_of_their_node(number, kind, expected):
    encoded = encode(number, kind)
    assert encoded.VariantType is kind
    assert encoded.Value == expected
    assert type(encoded.Value) is type(expected)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (65536, ua.VariantType.UInt16),
        (-1, ua.VariantType.UInt32),
        (2**31, ua.VariantType.Int32),
        (333.15, ua.VariantType.SByte),
        (math.nan, ua.VariantType.Int32),
        (2, ua.VariantType.Boolean),
        (0.5, ua.VariantType.Boolean),
        (1e39, ua.VariantType.Float),
        (1.0, ua.VariantType.String),
        (1.0, ua.VariantType.DateTime),
    ],
)
def test_a_value_that_its_node_cannot_hold_is_refused_and_never_wraps(number, kind):
    with pytest.raises(ValueError, match=kind.name):
        encode(number, kind)


@pytest.mark.parametrize(
    ("count", "kind", "expected"),
    [
        (65537, ua.VariantType.UInt16, 1),
        (2**31, ua.VariantType.Int32, 0),
        (2**31 - 1, ua.VariantType.Int32, 2**31 - 1),
        (3, ua.VariantType.Boolean, 1),
        (4, ua.VariantType.Boolean, 0),
        (2**24, ua.VariantType.Float, 0),
        (7, ua.VariantType.Double, 7),
    ],
)
def test_the_heartbeat_alone_wraps(count, kind, expected):
    assert wrapped(count, kind) == expected
    assert encode(wrapped(count, kind), kind).Value == expected
