"""Delivered values as pages show them: in the model's unit, null where there is none, with doubts.

Pure functions of what is seen at one instant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from controller.core.types import Quality
from controller.hmi.journal_tail import Tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.configuration.units import Conversion
    from controller.core.types import Measurement
    from controller.hmi.alarm_limits import AlarmLimit
    from controller.hmi.alarms import Alarm

DELIVERY_S = 5.0
"""Age of a delivery from which on a value is stale where its tag has no limit of its own: five
polls."""

SIGNIFICANT = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a unit at one instant.

    problem: why there is no connection.  ranges, limits: of the setpoints and of the measurements,
    as the server tells them.  sources: of the measurements, the keys of their nodes.  standing:
    alarms by their key.  monotonic_s: the clock of deliveries.
    beat_s, dcs_beat_s: seconds since the controller's and the DCS's heartbeat last moved; None:
    never seen to.
    """

    image: Mapping[str, Measurement]
    connected: bool
    problem: str
    now: datetime
    monotonic_s: float
    tail: Tail = field(default_factory=Tail)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits: Mapping[str, tuple[AlarmLimit, ...]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    standing: Mapping[str, Alarm] = field(default_factory=dict)
    alarms: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    beat_s: float | None = None
    dcs_beat_s: float | None = None

    @property
    def newest(self) -> datetime | None:
        """The latest source time of all values: the server's clock, whatever ours says."""
        times = (held.source_time for held in self.image.values())
        return max((time for time in times if time is not None), default=None)

    def number(self, key: str | None, way: Conversion | None = None) -> float | None:
        """A usable number in the model's unit, None where there is none."""
        held = None if key is None else self.image.get(key)
        value = None if held is None or held.quality is Quality.BAD else held.value
        if value is None or isinstance(value, str | bool):
            return None
        return finite(way.value(value) if way is not None else value)

    def text(self, key: str | None) -> str | None:
        """A text as delivered, None where there is none."""
        held = None if key is None else self.image.get(key)
        return held.value if held is not None and isinstance(held.value, str) else None

    def truth(self, key: str | None) -> bool | None:
        """Whether a usable value says yes; None where nothing says so or otherwise."""
        held = None if key is None else self.image.get(key)
        if held is None or held.quality is Quality.BAD or not self.connected:
            return None
        if isinstance(held.value, str) or held.value is None:
            return None
        return bool(held.value)

    def quality(self, key: str) -> str:
        """How good a value is: good, uncertain or bad."""
        held = self.image.get(key)
        return str(Quality.BAD if held is None else held.quality)

    def stale(self, key: str, limit_s: float | None = None) -> bool:
        """Whether a value is too old to be believed: the line, its delivery, its own time.

        limit_s: of the tag, for both ages; without one only the delivery is judged.
        """
        held = self.image.get(key)
        if held is None or not self.connected:
            return True
        if self.monotonic_s - held.received_s > max(limit_s or 0.0, DELIVERY_S):
            return True
        newest = self.newest
        if limit_s is None or held.source_time is None or newest is None:
            return False
        return newest - held.source_time > timedelta(seconds=limit_s)

    def age_s(self, key: str) -> float | None:
        """Whole seconds since a value was of now: of its delivery or its own time, the longer.

        None for a value that never came.
        """
        held = self.image.get(key)
        if held is None:
            return None
        delivered_s = self.monotonic_s - held.received_s
        newest = self.newest
        if held.source_time is None or newest is None:
            return float(round(delivered_s))
        behind_s = (newest - held.source_time).total_seconds()
        return float(round(max(delivered_s, behind_s)))


def finite(value: Any) -> float | None:
    """A number as JSON holds it, to seven digits; None for NaN, infinities and what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(f"{value:.{SIGNIFICANT}g}")


def at(values: Any, place: int) -> float | None:
    """One number of a journaled array, None where there is none."""
    if not isinstance(values, list) or place >= len(values):
        return None
    return finite(values[place])


def digits(low: float, high: float) -> int:
    """Decimals that show a thousandth of a range, or finer: 0 to 6."""
    span = high - low
    return min(max(4 - math.ceil(math.log10(span)), 0), 6) if span > 0 else 2
