"""Instrument faults: a pure layer between what the plant measures and what its tags show.

The DCS's own PI is not touched; only the tag image is. `duration_s` of a fault is plant time.

| kind | value | quality | SourceTimestamp |
| --- | --- | --- | --- |
| freeze | stays at the last healthy one | Good | moves |
| drift | true + magnitude per hour | Good | moves |
| spike | true + magnitude | Good | moves |
| nan | NaN | Good | moves |
| bad_quality | null | BadSensorFailure | moves |
| stale_time | stays | Good | stays |
| communication_loss | null | BadNoCommunication | stays |
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite, nan

RANGE_MARGIN = 0.025
"""Share of the range a transmitter reads past its ends before it says so (compare NAMUR NE 43)."""


class FaultKind(StrEnum):
    """What can go wrong with an instrument; CLEAR ends whatever is wrong."""

    FREEZE = "freeze"
    DRIFT = "drift"
    SPIKE = "spike"
    NAN = "nan"
    BAD_QUALITY = "bad_quality"
    STALE_TIME = "stale_time"
    COMMUNICATION_LOSS = "communication_loss"
    CLEAR = "clear"


class Quality(StrEnum):
    """Quality of a reading; the values are names of OPC UA status codes."""

    GOOD = "Good"
    OUT_OF_RANGE = "UncertainEngineeringUnitsExceeded"
    SENSOR_FAILURE = "BadSensorFailure"
    NO_COMMUNICATION = "BadNoCommunication"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a tag shows. value: None with a bad quality.  moving: the SourceTimestamp is of now."""

    value: float | None
    quality: Quality = Quality.GOOD
    moving: bool = True

    @property
    def good(self) -> bool:
        """Whether a DCS may control on it."""
        return self.quality is Quality.GOOD and self.value is not None and isfinite(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, from plant time start_s until until_s; magnitude in the unit of the tag."""

    kind: FaultKind
    magnitude: float
    start_s: float
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One transmitter: its range, the fault it has, the last value it read in health."""

    low: float
    high: float
    fault: Fault | None = None
    healthy: float = nan


def inject(
    instrument: Instrument, kind: FaultKind, magnitude: float, start_s: float, duration_s: float
) -> Instrument:
    """The instrument with a fault beginning at plant time `start_s`; CLEAR repairs it."""
    if kind is FaultKind.CLEAR:
        return replace(instrument, fault=None)
    fault = Fault(kind=kind, magnitude=magnitude, start_s=start_s, until_s=start_s + duration_s)
    return replace(instrument, fault=fault)


def sample(instrument: Instrument, value: float, plant_time_s: float) -> tuple[Instrument, Reading]:
    """Read `value` through the instrument at `plant_time_s`; a fault that is over is dropped."""
    fault = instrument.fault
    if fault is not None and plant_time_s >= fault.until_s:
        instrument, fault = replace(instrument, fault=None), None
    if fault is None:
        return replace(instrument, healthy=value), _in_range(instrument, value)
    return instrument, _faulty(instrument, fault, value, plant_time_s)


def _faulty(  # noqa: PLR0911  (one line a kind of fault)
    instrument: Instrument, fault: Fault, value: float, plant_time_s: float
) -> Reading:
    match fault.kind:
        case FaultKind.FREEZE:
            return _in_range(instrument, instrument.healthy)
        case FaultKind.DRIFT:
            hours = (plant_time_s - fault.start_s) / 3600.0
            return _in_range(instrument, value + fault.magnitude * hours)
        case FaultKind.SPIKE:
            return _in_range(instrument, value + fault.magnitude)
        case FaultKind.NAN:
            return Reading(value=nan)
        case FaultKind.BAD_QUALITY:
            return Reading(value=None, quality=Quality.SENSOR_FAILURE)
        case FaultKind.STALE_TIME:
            return replace(_in_range(instrument, instrument.healthy), moving=False)
        case FaultKind.COMMUNICATION_LOSS:
            return Reading(value=None, quality=Quality.NO_COMMUNICATION, moving=False)
        case FaultKind.CLEAR:  # never stored: `inject` repairs instead
            return _in_range(instrument, value)


def _in_range(instrument: Instrument, value: float) -> Reading:
    margin = RANGE_MARGIN * (instrument.high - instrument.low)
    if instrument.low - margin <= value <= instrument.high + margin:
        return Reading(value=value)
    return Reading(value=value, quality=Quality.OUT_OF_RANGE)
