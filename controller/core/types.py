"""The values that travel along one scan.

All are frozen: a scan reads one `Snapshot`, turns it into `Readings`, asks for a `Proposal`, guards
it into a `Move`, writes it with a `WriteOutcome`, and closes with one `CycleReport`.  Expected
faults are values of these types; an exception is a bug.

Logical tag keys are the dotted keys of tags.toml: "cv.PolymerConc.pv", "mv.InitiatorFeed.actual",
"handshake.permit", "clock.plant_time".  Arrays follow the order and the units of the bundle's
manifest; NaN marks a value that must not be used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from models.runtime import Advice, AdviceRequest, Refusal

F64: TypeAlias = NDArray[np.float64]
B1: TypeAlias = NDArray[np.bool_]
Scalar: TypeAlias = float | int | bool | str


def vector(values: Iterable[float]) -> F64:
    """A read-only float64 vector."""
    array = np.array(list(values), dtype=np.float64)
    array.setflags(write=False)
    return array


def flags(values: Iterable[bool]) -> B1:
    """A read-only boolean vector."""
    array = np.array(list(values), dtype=np.bool_)
    array.setflags(write=False)
    return array


class Quality(StrEnum):
    """The quality of a value, as OPC UA's status code divides it."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


class OperatorMode(StrEnum):
    """What the operator's selector in the DCS asks of the controller."""

    MANUAL = "manual"
    SHADOW = "shadow"
    AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One value as the server delivered it, in the server's unit.

    value: None when the server sent none (a Bad status nulls the value).
    source_time: the server's SourceTimestamp (UTC, aware), None when absent.
    received_s: monotonic time of the last delivery, by notification or by poll; what is judged by
        its age is polled at every supervision tick, since a quiet subscription proves nothing.
    status: the name of the OPC UA status code ("Good", "BadSensorFailure"...).
    """

    tag: str
    value: Scalar | None
    quality: Quality
    source_time: datetime | None
    received_s: float
    status: str = "Good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One instant of the scan grid, on the monotonic clock [s].

    scan_id counts the scans of this run from 0; skipped counts grid points that were passed over
    since the previous scan.  budget_s is the time the scan may take until its deadline.
    """

    scan_id: int
    due_s: float
    started_s: float
    budget_s: float
    skipped: int = 0

    @property
    def lateness_s(self) -> float:
        """How long after its due time the scan started."""
        return self.started_s - self.due_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The process image of one instant: what `link.freeze` returns, without waiting.

    plant_time_s: the tag clock.plant_time; where there is none, monotonic_s.
    measurements: logical tag key -> last delivered value; a tag never delivered is absent.
    heartbeat_age_s: seconds since handshake.heartbeat_out last took a *new* value (monotonic
        clock); None where the DCS has no such tag.
    session: number of sessions opened so far; another than last time means that the line was lost
        in between, however short the loss.
    current: False when the image could not be polled now; then it is not of this instant.
    server_time: the server's own clock at this instant (UTC, aware), None where it tells none.
    """

    plant_time_s: float
    monotonic_s: float
    utc: datetime
    connected: bool
    measurements: Mapping[str, Measurement]
    heartbeat_age_s: float | None = None
    session: int = 0
    current: bool = True
    server_time: datetime | None = None


class FaultKind(StrEnum):
    """Why a value must not be used."""

    MISSING = "missing"
    QUALITY = "bad quality"
    UNCERTAIN = "uncertain quality"  # usable; bars the entry to AUTO
    TYPE = "wrong type"
    NON_FINITE = "not finite"
    RANGE = "out of range"
    STALE = "stale"
    SPIKE = "spike"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One tag's fault in this scan; detail is for the operator."""

    tag: str
    kind: FaultKind
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """The DCS's side of the hand-shake; None where the DCS has no such tag or it is unusable.

    operator: the selector, or the configured stand-in where the DCS has no selector; None =
    unknown now (the tag is configured, but missing, stale or bad).
    """

    operator: OperatorMode | None
    permit: bool | None
    active: bool | None
    shed_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperatorLimits:
    """What the operator and the manifest allow, in the manifest's units; all arrays (n_mv,).

    low, high: the DCS's LoLim/HiLim cut with tags.toml's range and the manifest's; low > high when
    they cross, NaN when a configured limit tag is unusable.
    max_move: largest move a scan, the smaller of the DCS's and tags.toml's.
    range_low, range_high: the range without the operator's limits.
    """

    low: F64
    high: F64
    max_move: F64
    range_low: F64
    range_high: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """A validated snapshot in the manifest's order and units; NaN = must not be used.

    cv, sp: (n_cv,).  dv: (n_dv,).  mv (Actual), target (read back, NaN where unreadable) and
    track (Actual where the DCS has no Track): (n_mv,).
    available: MVs that accept a remote target now.  init, windup_low, windup_high: per MV.
    connected: False without a connection and when the values could not be polled now.
    elapsed_s: plant time since the previous scan; NaN on the first and where the clock jumped.
    clock_step_s: how far the plant's clock jumped: below 0 when it ran back, above when it left out
        more than the model can bridge; 0 when it goes on, or cannot be read.
    new_session: the connection was lost since the previous scan or tick, and is open again.
    init_s: plant time for which some MV's Init has been raised without a break; 0 when none is.
    quality: judged quality by tag key.  faults: every reason for a NaN, and the uncertain values.
    """

    plant_time_s: float
    elapsed_s: float
    connected: bool
    cv: F64
    sp: F64
    mv: F64
    dv: F64
    target: F64
    track: F64
    available: B1
    init: B1
    windup_low: B1
    windup_high: B1
    init_s: float
    limits: OperatorLimits
    handshake: Handshake
    quality: Mapping[str, Quality]
    faults: tuple[Fault, ...] = ()
    heartbeat_stale: bool = False
    clock_step_s: float = 0.0
    new_session: bool = False

    @property
    def usable(self) -> bool:
        """True when every value that the model needs is there."""
        arrays = (self.cv, self.sp, self.mv, self.dv)
        return math.isfinite(self.plant_time_s) and all(bool(np.isfinite(a).all()) for a in arrays)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Advised:
    """The model answered in time."""

    advice: Advice
    request: AdviceRequest
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Late:
    """The answer came after the deadline: recorded, never written.

    answer: what the built-in kernel returned too late (its memory has advanced); None when a
    computation was cut off, and then the memory has not advanced.  Where a foreign policy was late,
    the kernel's answer is about the bundle's own policy.  detail: who was late; "" for the kernel.
    """

    request: AdviceRequest
    elapsed_s: float
    answer: Advice | Refusal | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refused:
    """The model declined to answer, and says why."""

    refusal: Refusal
    request: AdviceRequest
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Faulted:
    """The model failed (a bug), or a foreign policy did (a broken process).

    answer: None when the model failed, and then its memory has not advanced.  Where a foreign
    policy failed, the kernel's answer about the bundle's own policy: recorded, never written.
    """

    detail: str
    request: AdviceRequest
    elapsed_s: float
    answer: Advice | Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAsked:
    """The readings or the box did not permit a request; the memory has not advanced."""

    reason: str


Proposal: TypeAlias = Advised | Late | Refused | Faulted | NotAsked


class MoveOrigin(StrEnum):
    """Where a move comes from."""

    CORRECTION = "correction"  # the certified move of the model, unchanged
    RELEASE = "release"  # no target: Request := False, the DCS takes the MVs back


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Move:
    """What one scan writes to the DCS.

    targets: (n_mv,) in the manifest's units; NaN where write is False.
    write: (n_mv,) which MVs get a new target (the available ones).
    request: the value of APC/Request that goes with it.  Targets come before Request in the write.
    """

    targets: F64
    write: B1
    request: bool
    origin: MoveOrigin
    entering: bool = False


class GuardReason(StrEnum):
    """Why the guard let nothing through."""

    NO_ADVICE = "no advice"
    NOT_CERTIFIED = "not certified"
    SHAPE = "wrong shape"
    NON_FINITE = "not finite"
    OUTSIDE_BOX = "outside the box of allowed moves"
    OUTSIDE_LIMITS = "outside the limits"
    NOT_IN_CONTROL = "not in AUTO"
    READ_ONLY = "read-only"
    EMPTY_BOX = "no room to move"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRefusal:
    """The guard's refusal: nothing is written.  mv: the index of the first offender, if one."""

    reason: GuardReason
    detail: str
    mv: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFailure:
    """One tag that the server did not accept; status is the OPC UA status name."""

    tag: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The server accepted every value."""

    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """The server accepted some values; `failures` names the others."""

    failures: tuple[WriteFailure, ...]
    elapsed_s: float = 0.0


class NotWrittenReason(StrEnum):
    """Why nothing reached the server."""

    NOTHING_TO_WRITE = "nothing to write"  # by intention: MANUAL, SHADOW, HOLD
    GUARD = "refused by the guard"
    DISCONNECTED = "not connected"
    TIMEOUT = "no answer in time"
    REJECTED = "rejected by the server"
    LEASE = "lease not held"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWritten:
    """Nothing was accepted by the server."""

    reason: NotWrittenReason
    detail: str = ""
    failures: tuple[WriteFailure, ...] = ()
    elapsed_s: float = 0.0


WriteOutcome: TypeAlias = Written | Partial | NotWritten
NOTHING_WRITTEN = NotWritten(reason=NotWrittenReason.NOTHING_TO_WRITE)
