"""The process image: the last delivered value of every tag, with quality and times.

A Bad status nulls a value on the wire, so DataValues are kept whole and never reduced to values.
Two sources feed the image: notifications, which may be half a publishing interval old, and polls,
which are of now; a notification never replaces a value with a later source time, nor, where the
server gives no source times, one that was polled since it may have been sampled.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from controller.core.types import Measurement, Quality

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncua import ua

    from controller.core.types import Scalar

HEARTBEAT = "handshake.heartbeat_out"
PLANT_TIME = "clock.plant_time"
SERVER_TIME = "server.current_time"
"""Polled with the tags, and none of them: what every server must tell (OPC 10000-5, 6.3.3)."""

LONGEST_TEXT = 1000
"""Characters of a text that are kept: every scan's record has the words of the DCS."""


def measurement(tag: str, delivered: ua.DataValue, received_s: float) -> Measurement:
    """One delivered DataValue as the core sees it; received_s on the monotonic clock."""
    status = delivered.StatusCode
    quality, name = Quality.GOOD, "Good"
    if status is not None and status.value != 0:
        name = status.name
        quality = _quality(status)
    value, readable = _scalar(delivered)
    if not readable and quality is not Quality.BAD:
        quality, name = Quality.BAD, "BadTypeMismatch"
    return Measurement(
        tag=tag,
        value=value,
        quality=quality,
        source_time=_aware(delivered.SourceTimestamp),
        received_s=received_s,
        status=name,
    )


def _quality(status: ua.StatusCode) -> Quality:
    if status.is_good():
        return Quality.GOOD
    return Quality.UNCERTAIN if status.is_uncertain() else Quality.BAD


def _scalar(delivered: ua.DataValue) -> tuple[Scalar | None, bool]:
    """(value, readable): arrays and structures are not readable, an absent value is.

    A DateTime becomes seconds since 1970, so that it serves as plant time or as a heartbeat.
    """
    value = None if delivered.Value is None else delivered.Value.Value
    if value is None:
        return None, True
    if isinstance(value, bool | int | float):
        return value, True
    if isinstance(value, datetime):  # a clock; asyncua leaves out that it is UTC
        return value.replace(tzinfo=UTC).timestamp(), True
    text = value if isinstance(value, str) else getattr(value, "Text", None)  # a LocalizedText
    return (_unicode(text), True) if isinstance(text, str) else (None, False)


def _unicode(text: str) -> str:
    """Text that can be stored: bytes that are not UTF-8 come from asyncua as lone surrogates."""
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")


def _aware(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


class ProcessImage:
    """Last values by logical tag key, and when the DCS's heartbeat last moved."""

    def __init__(self) -> None:
        self._values: dict[str, Measurement] = {}
        self._polled_s = -math.inf
        self._server: Measurement | None = None
        self._heartbeat: float | None = None
        self._heartbeat_moved_s: float | None = None

    def polled(self, tag: str, delivered: ua.DataValue, received_s: float) -> None:
        """Take a value that was read now."""
        self._polled_s = received_s
        new = measurement(tag, delivered, received_s)
        if tag == SERVER_TIME:
            self._server = new
        else:
            self._take(new)

    def notified(
        self, tag: str, delivered: ua.DataValue, received_s: float, *, lag_s: float = 0.0
    ) -> None:
        """Take a value from a subscription, unless a later one is here already.

        lag_s: how old it may be; where a source time is lacking, a younger poll stands.
        """
        new = measurement(tag, delivered, received_s)
        held = self._values.get(tag)
        if held is None or not self._is_older(new, held, lag_s):
            self._take(new)

    def _is_older(self, new: Measurement, held: Measurement, lag_s: float) -> bool:
        if held.source_time is None or new.source_time is None:
            return new.received_s - lag_s < self._polled_s
        return new.source_time < held.source_time

    def _take(self, new: Measurement) -> None:
        if new.tag == HEARTBEAT:
            self._take_heartbeat(new)
        self._values[new.tag] = new

    def _take_heartbeat(self, new: Measurement) -> None:
        """A sign of life is a usable finite number other than the last such number."""
        value = new.value
        if new.quality is Quality.BAD or value is None or isinstance(value, str):
            return
        if math.isfinite(value) and value != self._heartbeat:
            self._heartbeat, self._heartbeat_moved_s = float(value), new.received_s

    def measurements(self) -> Mapping[str, Measurement]:
        """Return a frozen copy of the image."""
        return MappingProxyType(dict(self._values))

    def value(self, tag: str) -> Scalar | None:
        """Return the last value of one tag, None when there is none."""
        held = self._values.get(tag)
        return None if held is None else held.value

    def heartbeat_age_s(self, now_s: float) -> float | None:
        """Seconds since the DCS's heartbeat took a new value, None before the first."""
        moved = self._heartbeat_moved_s
        return None if moved is None else max(0.0, now_s - moved)

    def server_time(self, now_s: float) -> datetime | None:
        """The server's own clock now, carried on from the last poll; None where it tells none."""
        told = self._server
        if told is None or told.quality is Quality.BAD or not isinstance(told.value, float):
            return None
        try:
            return datetime.fromtimestamp(told.value + now_s - told.received_s, UTC)
        except (ValueError, OverflowError, OSError):  # a server may tell anything
            return None

    def plant_time_s(self, fallback_s: float, *, has_clock: bool) -> float:
        """Plant time [s]: the clock tag; without one `fallback_s`; NaN when it is unusable."""
        if not has_clock:
            return fallback_s
        held = self._values.get(PLANT_TIME)
        if held is None or held.quality is Quality.BAD or isinstance(held.value, str):
            return math.nan
        return math.nan if held.value is None else float(held.value)
