"""The judgement of single values: usable or not, and why.

One `Judge` serves one snapshot.  It collects the quality of every tag it was asked for, the faults,
and what the next scan must remember; it keeps nothing itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from controller.configuration.choices import among, shown
from controller.core.source_times import clock_keys, measured, newest_source
from controller.core.types import Fault, FaultKind, OperatorMode, Quality
from models.runtime import CLOCK_JITTER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from controller.configuration.binding import Binding, BoundMv, BoundTag
    from controller.configuration.choices import Choice
    from controller.core.types import Measurement, Scalar, Snapshot

SPIKE_SCANS = 3
"""Scans for which a jump is rejected; if it stays, it is then believed (AUTO has shed by then)."""

CLOCK_KEY = "clock.plant_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRules:
    """What the settings and the manifest say about doubting.

    sample_time_s, max_gap_s: of the manifest, plant time.  heartbeat_limit_s: largest age of the
    DCS's heartbeat, and of a delivery where the tag has no stale_after_s, wall seconds.
    stand_in: the operator's mode where the DCS has no selector.
    """

    sample_time_s: float
    max_gap_s: float
    heartbeat_limit_s: float
    stand_in: OperatorMode = OperatorMode.SHADOW


@dataclass(frozen=True, slots=True, kw_only=True)
class TagMemory:
    """The past of one measured tag, in the manifest's unit.

    believed: the last value used.  seen: the last sound value, used or rejected as a spike, at
    plant time seen_s.  repeats: scans in a row with the very same value.  rejected: scans in a row
    that a jump has been rejected.
    """

    believed: float
    seen: float
    seen_s: float
    repeats: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationMemory:
    """What validation remembers from scan to scan; the last five are kept by ticks too.

    plant_time_s: the latest of the past scans.  init_since_s: since when Init has been raised.
    newest_source: the latest SourceTimestamp of any tag that keeps moving, first seen at
    newest_seen_s on the monotonic clock: together the server's clock, whatever ours says.
    source_seen: of every tag whose source is judged, its SourceTimestamp and when that was first
    seen on the monotonic clock.
    session: of the last snapshot with a connection, None before it.  severed: the connection has
    been seen lost since.
    """

    plant_time_s: float = math.nan
    init_since_s: float = math.nan
    tags: Mapping[str, TagMemory] = field(default_factory=lambda: MappingProxyType({}))
    newest_source: datetime | None = None
    newest_seen_s: float = math.nan
    source_seen: Mapping[str, tuple[datetime, float]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    session: int | None = None
    severed: bool = False


class Judge:
    """Judges the values of one snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        binding: Binding,
        rules: ValidationRules,
        memory: ValidationMemory,
        *,
        is_scan: bool,
    ) -> None:
        """is_scan: False on a supervision tick, which counts nothing that is counted in scans."""
        self._snapshot = snapshot
        self._rules = rules
        self._memory = memory
        self._count = 1 if is_scan else 0
        elapsed = snapshot.plant_time_s - memory.plant_time_s
        continued = -CLOCK_JITTER_S <= elapsed <= rules.max_gap_s
        self.elapsed_s = max(elapsed, 0.0) if continued else math.nan
        self.clock_step_s = elapsed if math.isfinite(elapsed) and not continued else 0.0
        self._clock_readable = math.isfinite(snapshot.plant_time_s)
        self._past = memory.tags if continued else {}
        self._tags = dict(self._past if self._clock_readable else memory.tags)
        opened_anew = memory.severed or snapshot.session != memory.session
        self.new_session = snapshot.connected and memory.session is not None and opened_anew
        self._newest, self._newest_seen_s = self._server_clock(binding)
        self._source_seen = self._sources(binding)
        age = snapshot.heartbeat_age_s
        limit = rules.heartbeat_limit_s
        self.heartbeat_stale = "heartbeat_out" in binding.handshake and not (
            age is not None and age <= limit
        )
        self.connected = snapshot.connected and snapshot.current
        self._trusted = self.connected and not self.heartbeat_stale
        self.quality: dict[str, Quality] = {}
        self.faults: list[Fault] = []

    # ------------------------------------------------------------------ numbers

    def measured(self, tag: BoundTag) -> float:
        """A process value, with every doubt; NaN when it must not be used."""
        value = self.required(tag)
        if math.isnan(value) or not self._clock_readable:
            return value
        past = self._past.get(tag.key)
        time_s = self._snapshot.plant_time_s
        fault, now = _against_past(tag, value, past, time_s, rules=self._rules, count=self._count)
        self._tags[tag.key] = now
        if fault is None:
            return value
        return self._bad(tag.key, *fault)

    def required(self, tag: BoundTag) -> float:
        """A value that the model needs: quality, type, age and range are judged."""
        fault = self._doubt_age(tag)
        if fault is not None:
            return self._bad(tag.key, *fault)
        return self._number(tag.key, tag.conversion.value, tag.low, tag.high)

    def limit(
        self, key: str, convert: Callable[[float], float], *, least: float = -math.inf
    ) -> float:
        """A limit of the DCS; its range is not judged, except against `least`."""
        return self._number(key, convert, least, math.inf)

    def doubtful(self, key: str, entry: BoundMv) -> float:
        """A value whose absence is no fault: NaN then."""
        known = len(self.faults)
        value = self._number(key, entry.conversion.value, -math.inf, math.inf)
        del self.faults[known:]
        return value

    def clock(self) -> float:
        """Plant time [s], NaN with a fault when it cannot be read."""
        value = self._snapshot.plant_time_s
        if self._trusted and not math.isfinite(value):
            return self._bad(CLOCK_KEY, FaultKind.MISSING, "plant time cannot be read")
        return value

    def is_finite(self, key: str) -> bool:
        """True when the tag was judged before and found usable."""
        return self.quality.get(key, Quality.BAD) is not Quality.BAD

    # ------------------------------------------------------------------ flags and words

    def truth(self, key: str | None, *, missing: bool | None = None) -> bool | None:
        """A Boolean; `missing` where the DCS has no such tag, None with a fault if unusable."""
        if key is None:
            return missing
        value = self._usable(key)
        if value is None:
            return None
        if isinstance(value, bool | int):
            return bool(value)
        self._bad(key, FaultKind.TYPE, f"a Boolean is wanted, received {value!r}")
        return None

    def hint(self, key: str | None) -> bool:
        """A Boolean whose absence is no fault."""
        known = len(self.faults)
        value = self.truth(key)
        del self.faults[known:]
        return value is True

    def choice(self, key: str, allowed: Collection[Choice] = ()) -> Choice | None:
        """What a selector shows; None with a fault where it is unusable or not among `allowed`."""
        value = self._usable(key)
        if value is None:
            return None
        if isinstance(value, int | str) and (not allowed or among(value, allowed)):
            return value
        wanted = f"one of {shown(allowed)}" if allowed else "a whole number, a text or a Boolean"
        self._bad(key, FaultKind.TYPE, f"{wanted} is wanted, received {value!r}")
        return None

    def text(self, key: str | None) -> str:
        """A word of the DCS for people; "" when there is none."""
        delivered = None if key is None else self._snapshot.measurements.get(key)
        value = None if delivered is None else delivered.value
        return value if isinstance(value, str) and self._trusted else ""

    # ------------------------------------------------------------------ memory

    def init_since(self, *, raised: bool) -> float:
        """Plant time since when Init has been raised without a break; NaN when it is not."""
        if not raised:
            return math.nan
        before = self._memory.init_since_s
        if not self._clock_readable:
            return before
        continued = math.isfinite(self.elapsed_s) and math.isfinite(before)
        return before if continued else self._snapshot.plant_time_s

    def remembered(self, init_since_s: float) -> ValidationMemory:
        """What the next scan must know."""
        time, before = self._snapshot.plant_time_s, self._memory.plant_time_s
        if math.isfinite(self.elapsed_s):  # a jitter back is no elapsed time
            time = max(time, before)
        return replace(
            self.noticed(),
            plant_time_s=time if self._clock_readable else before,
            init_since_s=init_since_s,
            tags=MappingProxyType(self._tags),
        )

    def noticed(self) -> ValidationMemory:
        """What a tick leaves behind: the server's clock and session, which no scan may miss."""
        connected = self._snapshot.connected
        return replace(
            self._memory,
            newest_source=self._newest,
            newest_seen_s=self._newest_seen_s,
            source_seen=MappingProxyType(self._source_seen),
            session=self._snapshot.session if connected else self._memory.session,
            severed=not connected,
        )

    # ------------------------------------------------------------------ inside

    def _number(
        self, key: str, convert: Callable[[float], float], low: float, high: float
    ) -> float:
        value = self._usable(key)
        if value is None:
            return math.nan
        if isinstance(value, bool | str):
            return self._bad(key, FaultKind.TYPE, f"a number is wanted, received {value!r}")
        if not math.isfinite(value):
            return self._bad(key, FaultKind.NON_FINITE, f"received {value}")
        number = convert(float(value))
        if not low <= number <= high:
            detail = f"{number:g} is outside {low:g} to {high:g}"
            return self._bad(key, FaultKind.RANGE, detail)
        return number

    def _usable(self, key: str) -> Scalar | None:
        """The delivered value unless its quality is bad; the fault is noted."""
        if not self._trusted:
            self.quality[key] = Quality.BAD
            return None
        delivered = self._snapshot.measurements.get(key)
        if delivered is None:
            self._bad(key, FaultKind.MISSING, "never delivered")
            return None
        if delivered.quality is Quality.BAD or delivered.value is None:
            self._bad(key, FaultKind.QUALITY, delivered.status)
            return None
        self.quality[key] = delivered.quality
        if delivered.quality is Quality.UNCERTAIN:
            fault = Fault(tag=key, kind=FaultKind.UNCERTAIN, detail=delivered.status)
            self.faults.append(fault)
        return delivered.value

    def _doubt_age(self, tag: BoundTag) -> tuple[FaultKind, str] | None:
        """Stale by delivery, or by a source time that lags behind the server's clock."""
        delivered = self._snapshot.measurements.get(tag.key)
        if delivered is None or not self._trusted:
            return None
        limit = tag.stale_after_s or self._rules.heartbeat_limit_s
        age = self._snapshot.monotonic_s - delivered.received_s
        if not age <= limit:
            return FaultKind.STALE, f"delivered {age:.1f} s ago, allowed {limit:g} s"
        lag = self._source_age(delivered) if tag.stale_after_s is not None else 0.0
        if not lag <= limit:
            return FaultKind.STALE, f"measured {lag:.1f} s ago, allowed {limit:g} s"
        return None

    def _source_age(self, delivered: Measurement) -> float:
        """How long ago the source measured [s], by the server's clock and by its own progress.

        The second finds a source that stands still although its clock is ahead of the server's.
        """
        if delivered.source_time is None or self._newest is None:
            return 0.0
        behind = (self._newest - delivered.source_time).total_seconds()
        now = self._snapshot.monotonic_s
        return max(behind + now - self._newest_seen_s, now - self._source_seen[delivered.tag][1])

    def _server_clock(self, binding: Binding) -> tuple[datetime | None, float]:
        """The newest source time of the tags that keep moving, and when it was first seen."""
        measurements = self._snapshot.measurements
        newest = newest_source(
            (measurements[key] for key in clock_keys(binding) if key in measurements),
            self._snapshot.server_time,
        )
        if newest is not None and newest == self._memory.newest_source:
            return newest, self._memory.newest_seen_s
        return newest, self._snapshot.monotonic_s

    def _sources(self, binding: Binding) -> dict[str, tuple[datetime, float]]:
        """Source time of each measured tag, and when it was first seen."""
        found: dict[str, tuple[datetime, float]] = {}
        for tag in measured(binding):
            delivered = self._snapshot.measurements.get(tag.key)
            if delivered is not None and delivered.source_time is not None:
                time, before = delivered.source_time, self._memory.source_seen.get(tag.key)
                stands = before is not None and before[0] == time
                found[tag.key] = before if before and stands else (time, self._snapshot.monotonic_s)
        return found

    def _bad(self, key: str, kind: FaultKind, detail: str) -> float:
        self.quality[key] = Quality.BAD
        self.faults.append(Fault(tag=key, kind=kind, detail=detail))
        return math.nan


def _against_past(
    tag: BoundTag,
    value: float,
    past: TagMemory | None,
    time_s: float,
    *,
    rules: ValidationRules,
    count: int,
) -> tuple[tuple[FaultKind, str] | None, TagMemory]:
    """Judge a sound value against the tag's past: spike, frozen.  Returns (fault, new past).

    count: scans that have passed, 0 on a tick.
    """
    if past is None:
        return None, TagMemory(believed=value, seen=value, seen_s=time_s)
    repeats = past.repeats + count if value == past.seen else 0
    samples = max(1.0, (time_s - past.seen_s) / rules.sample_time_s)
    step = math.inf if tag.max_step is None else tag.max_step * samples
    if abs(value - past.believed) > step:
        rejected = past.rejected + count if abs(value - past.seen) <= step else 1
        if rejected <= SPIKE_SCANS:
            jump = f"a step of {value - past.believed:g}, allowed {step:g}"
            kept = replace(past, seen=value, seen_s=time_s, repeats=repeats, rejected=rejected)
            return (FaultKind.SPIKE, jump), kept
    now = TagMemory(believed=value, seen=value, seen_s=time_s, repeats=repeats)
    if 0 < tag.frozen_after_scans <= repeats:
        return (FaultKind.FROZEN, f"{value:g} for {repeats} scans"), now
    return None, now
