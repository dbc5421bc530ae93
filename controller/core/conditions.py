"""What can be the matter, and what it does: one readable table.

`derive` looks at a scan and names every condition that holds, with words for the operator;
`effects` folds them into what the mode machine reacts to.  Both are pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Flag, StrEnum, auto
from typing import TYPE_CHECKING, assert_never

import numpy as np

from controller.core.state import Mode
from controller.core.types import (
    Advised,
    Faulted,
    FaultKind,
    Late,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    OperatorMode,
    Partial,
    Refused,
    Written,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from controller.core.state import ModeState
    from controller.core.types import F64, Handshake, Proposal, Readings, WriteOutcome

BUMPLESS_SHARE = 0.005
"""Largest step of an MV on entering AUTO, and of a read-back: 0.5 % of the span."""

OVERRIDE_LIMIT_S = 1800.0
"""Plant time after which a lasting override (Init) sheds: the plant's own limit, 30 min."""


class Effect(Flag):
    """What a condition does to the mode."""

    NONE = 0
    NO_ENTRY = auto()  # AUTO cannot be entered
    HOLD = auto()  # the last move stands; bars the entry too
    SHED = auto()  # the DCS's own PI takes the MVs; bars the entry too
    AWAIT = auto()  # the DCS has not taken our targets yet; counted, then shed
    LATCHED = auto()  # the DCS waits for an operator's acknowledgement
    DISARM = auto()  # the operator must select Auto anew


BARS = Effect.NO_ENTRY | Effect.HOLD | Effect.SHED | Effect.LATCHED | Effect.DISARM


class Condition(StrEnum):
    """Everything that bears on the mode."""

    STOPPING = "stopping"
    GUARD_REFUSED = "guard_refused"
    PLANT_SHED = "plant_shed"
    PERMIT_LOST = "permit_lost"
    NEW_SESSION = "new_session"
    CLOCK_JUMPED = "clock_jumped"
    READBACK_MISMATCH = "readback_mismatch"
    LEASE_LOST = "lease_lost"
    OVERRIDE_LASTS = "override_lasts"
    JOURNAL_FAILED = "journal_failed"
    DISCONNECTED = "disconnected"
    HEARTBEAT_STALE = "heartbeat_stale"
    OPERATOR_UNKNOWN = "operator_unknown"
    SCAN_PERIOD = "scan_period"
    BAD_INPUT = "bad_input"
    LIMITS_CROSSED = "limits_crossed"
    NO_MV = "no_mv"
    ADVICE_LATE = "advice_late"
    ADVICE_REFUSED = "advice_refused"
    ADVICE_FAULTED = "advice_faulted"
    ADVICE_MISSING = "advice_missing"
    NOT_CERTIFIED = "not_certified"
    WRITE_FAILED = "write_failed"
    AWAITING_ACTIVE = "awaiting_active"
    READBACK_MISSING = "readback_missing"
    OVERRIDE = "override"
    NO_PERMIT = "no_permit"
    FOREIGN_ACTIVE = "foreign_active"
    RELEASE_DUE = "release_due"
    SHED_STANDS = "shed_stands"
    UNCERTAIN_INPUT = "uncertain_input"
    READ_ONLY = "read_only"
    JOURNAL_DEGRADED = "journal_degraded"


_SHED, _HOLD, _BAR = Effect.SHED, Effect.HOLD, Effect.NO_ENTRY

TABLE: dict[Condition, tuple[Effect, str]] = {
    Condition.STOPPING: (_SHED, "the controller is being stopped"),
    Condition.GUARD_REFUSED: (_SHED, "the guard refused a move of the model"),
    Condition.PLANT_SHED: (_SHED, "the DCS took the MVs back"),
    Condition.PERMIT_LOST: (_SHED | Effect.LATCHED, "the DCS withdrew its permit"),
    Condition.NEW_SESSION: (
        _SHED | Effect.DISARM,
        "the connection to the OPC UA server was lost and is open again",
    ),
    Condition.CLOCK_JUMPED: (_SHED, "the plant's clock jumped, as by a reset of the plant"),
    Condition.READBACK_MISMATCH: (_SHED, "a target reads back other than written"),
    Condition.LEASE_LOST: (_SHED, "the lease is not held"),
    Condition.OVERRIDE_LASTS: (_SHED, "the plant's override lasts too long"),
    Condition.JOURNAL_FAILED: (_SHED, "the journal cannot be written"),
    Condition.DISCONNECTED: (_HOLD | Effect.DISARM, "no connection to the OPC UA server"),
    Condition.HEARTBEAT_STALE: (_HOLD, "the DCS's heartbeat stands still"),
    Condition.OPERATOR_UNKNOWN: (_HOLD, "the operator's selector cannot be read"),
    Condition.SCAN_PERIOD: (_HOLD, "the scan period does not fit the plant's speed"),
    Condition.BAD_INPUT: (_HOLD, "a measurement must not be used"),
    Condition.LIMITS_CROSSED: (_HOLD, "an MV has no room between its limits"),
    Condition.NO_MV: (_HOLD, "no MV follows the controller"),
    Condition.ADVICE_LATE: (_HOLD, "the advice came after the deadline"),
    Condition.ADVICE_REFUSED: (_HOLD, "the model gave no advice"),
    Condition.ADVICE_FAULTED: (_HOLD, "the model failed"),
    Condition.ADVICE_MISSING: (_HOLD, "the model was not asked"),
    Condition.NOT_CERTIFIED: (_HOLD, "the correction is not certified"),
    Condition.WRITE_FAILED: (_HOLD, "the last write failed"),
    Condition.AWAITING_ACTIVE: (Effect.AWAIT, "the DCS has not switched to the targets yet"),
    Condition.READBACK_MISSING: (_BAR, "a target cannot be read back"),
    Condition.OVERRIDE: (_BAR, "the plant's override acts"),
    Condition.NO_PERMIT: (_BAR | Effect.LATCHED, "the DCS gives no permit"),
    Condition.FOREIGN_ACTIVE: (_BAR, "the DCS follows another controller"),
    Condition.RELEASE_DUE: (_BAR, "the DCS has not confirmed yet that it took the MVs back"),
    Condition.SHED_STANDS: (
        Effect.LATCHED,
        "this controller put the selector back: the operator must select anew",
    ),
    Condition.UNCERTAIN_INPUT: (_BAR, "a measurement is of uncertain quality"),
    Condition.READ_ONLY: (_BAR, "read-only: nothing is written"),
    Condition.JOURNAL_DEGRADED: (Effect.NONE, "the journal cannot be written"),
}
"""Condition -> (effects, words for the operator), the gravest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A condition that holds, and its particulars."""

    condition: Condition
    detail: str = ""

    @property
    def words(self) -> str:
        """A sentence for the operator."""
        words = TABLE[self.condition][1]
        return f"{words}: {self.detail}" if self.detail else words


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """All effects of a scan, and the findings that cause them, the gravest first."""

    flags: Effect = Effect.NONE
    findings: tuple[Finding, ...] = ()

    def why(self, wanted: Effect) -> str:
        """Words of the gravest finding that has one of the wanted effects; "" if none has."""
        causes = (f for f in self.findings if TABLE[f.condition][0] & wanted)
        return next((finding.words for finding in causes), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the core is told from outside the scan.

    period_problem: why the scan period does not fit sample time and plant speed; "" when it does.
    release_due: the DCS was told to take the MVs back, and has not confirmed it.
    release_refusal: what it refused of that, and how; "" where it did not, or was not asked yet.
    selector_written: a shed writes the operator's selector, so that what it then shows is no act.
    """

    read_only: bool = False
    stopping: bool = False
    lease_lost: bool = False
    journal_failed: bool = False
    shed_on_journal: bool = True
    period_problem: str = ""
    release_due: bool = False
    release_refusal: str = ""
    selector_written: bool = False


def effects(findings: Iterable[Finding]) -> Effects:
    """Fold findings into effects, the gravest finding first (the order of the table)."""
    order = {condition: rank for rank, condition in enumerate(TABLE)}
    ranked = tuple(sorted(findings, key=lambda finding: order[finding.condition]))
    flags = Effect.NONE
    for finding in ranked:
        flags |= TABLE[finding.condition][0]
    return Effects(flags=flags, findings=ranked)


def derive(
    readings: Readings,
    *,
    state: ModeState,
    proposal: Proposal | None,
    last: WriteOutcome,
    last_target: F64,
    around: Circumstances,
) -> tuple[Finding, ...]:
    """Every condition that holds now.

    proposal: None on a supervision tick, which asks for no advice.  A read-back is then not judged
    either, since only a scan polls it, nor while the DCS does not follow (it then sets Target), nor
    after a write without an answer.
    last: the outcome of the previous scan's write.
    last_target: (n_mv,) last accepted targets, NaN where none is in force.
    """
    found = [*_surroundings(around), *_inputs(readings), *_handshake(readings, state)]
    if state.mode is Mode.SHED and around.selector_written:
        found.append(Finding(condition=Condition.SHED_STANDS))
    if readings.new_session:
        found.append(Finding(condition=Condition.NEW_SESSION))
    if proposal is not None:
        found += _proposal(proposal)
    if state.in_control:
        found += _clock(readings)
        found += _outcome(last)
        follows = state.acknowledged and readings.handshake.active is not False
        if proposal is not None and follows and not _unanswered(last):
            found += _readback(readings, last_target)
    return tuple(found)


def _surroundings(around: Circumstances) -> Iterator[Finding]:
    if around.read_only:
        yield Finding(condition=Condition.READ_ONLY)
    if around.stopping:
        yield Finding(condition=Condition.STOPPING)
    if around.lease_lost:
        yield Finding(condition=Condition.LEASE_LOST)
    if around.release_due:
        yield Finding(condition=Condition.RELEASE_DUE, detail=around.release_refusal)
    if around.period_problem:
        yield Finding(condition=Condition.SCAN_PERIOD, detail=around.period_problem)
    if around.journal_failed:
        grave = around.shed_on_journal
        yield Finding(condition=Condition.JOURNAL_FAILED if grave else Condition.JOURNAL_DEGRADED)


def _inputs(readings: Readings) -> Iterator[Finding]:
    if not readings.connected:
        yield Finding(condition=Condition.DISCONNECTED)
        return
    if readings.heartbeat_stale:
        yield Finding(condition=Condition.HEARTBEAT_STALE)
        return
    hard = [fault for fault in readings.faults if fault.kind is not FaultKind.UNCERTAIN]
    soft = [fault for fault in readings.faults if fault.kind is FaultKind.UNCERTAIN]
    if hard or not readings.usable:
        detail = "; ".join(f"{fault.tag} {fault.kind}, {fault.detail}" for fault in hard[:3])
        yield Finding(condition=Condition.BAD_INPUT, detail=detail)
    if soft:
        names = ", ".join(fault.tag for fault in soft[:3])
        yield Finding(condition=Condition.UNCERTAIN_INPUT, detail=names)
    yield from _manipulated(readings)


def _clock(readings: Readings) -> Iterator[Finding]:
    """A jump of plant time, after which the model knows nothing of the past."""
    step = readings.clock_step_s
    if step != 0.0:
        detail = f"back by {-step:g} s" if step < 0.0 else f"ahead by {step:g} s"
        yield Finding(condition=Condition.CLOCK_JUMPED, detail=detail)


def _manipulated(readings: Readings) -> Iterator[Finding]:
    limits = readings.limits
    if not bool((limits.low <= limits.high).all()):
        yield Finding(condition=Condition.LIMITS_CROSSED)
    if bool(readings.init.any()):
        lasts = readings.init_s >= OVERRIDE_LIMIT_S
        yield Finding(condition=Condition.OVERRIDE_LASTS if lasts else Condition.OVERRIDE)
    elif not bool(readings.available.any()):
        yield Finding(condition=Condition.NO_MV)


def _handshake(readings: Readings, state: ModeState) -> Iterator[Finding]:
    """The DCS's side.  Active is the authority while in command: an override keeps it."""
    shake = readings.handshake
    if not readings.connected or readings.heartbeat_stale:
        return
    if shake.operator is None:
        yield Finding(condition=Condition.OPERATOR_UNKNOWN)
    if state.in_control and not shake.active:
        yield from _out_of_command(shake, state)
        return
    if shake.permit is False:
        yield Finding(condition=Condition.NO_PERMIT)
    if shake.active and not state.in_control:
        yield Finding(condition=Condition.FOREIGN_ACTIVE)


def _out_of_command(shake: Handshake, state: ModeState) -> Iterator[Finding]:
    """In AUTO or HOLD, and the DCS does not say that it follows: a release, a shed, or not yet.

    A DCS that sheds gives a reason and withdraws its permit; a selector that is off Auto without
    that is the operator's own act, and `next_mode` releases.
    """
    off = shake.operator in {OperatorMode.MANUAL, OperatorMode.SHADOW}
    shed = bool(shake.shed_reason) and shake.permit is not True
    if off and not shed:
        return
    if shake.permit is False:
        yield Finding(condition=Condition.PERMIT_LOST)
    if shake.active is None:
        return
    if state.acknowledged or off:
        yield Finding(condition=Condition.PLANT_SHED, detail=shake.shed_reason)
    else:
        yield Finding(condition=Condition.AWAITING_ACTIVE)


def _proposal(proposal: Proposal) -> Iterator[Finding]:
    match proposal:
        case Advised(advice=advice):
            if not advice.certified or not math.isfinite(advice.gap):
                detail = f"gap {advice.gap:.3g}, allowed {advice.tolerance:.3g}"
                yield Finding(condition=Condition.NOT_CERTIFIED, detail=detail)
        case Late(elapsed_s=elapsed, detail=who):
            late = who or f"{1e3 * elapsed:.1f} ms"
            yield Finding(condition=Condition.ADVICE_LATE, detail=late)
        case Refused(refusal=refusal):
            yield Finding(condition=Condition.ADVICE_REFUSED, detail=refusal.detail)
        case Faulted(detail=detail):
            yield Finding(condition=Condition.ADVICE_FAULTED, detail=detail)
        case NotAsked(reason=reason):
            yield Finding(condition=Condition.ADVICE_MISSING, detail=reason)
        case _:
            assert_never(proposal)


def _outcome(last: WriteOutcome) -> Iterator[Finding]:
    match last:
        case Written():
            return
        case Partial(failures=failures):
            detail = ", ".join(f"{failure.tag} {failure.status}" for failure in failures[:3])
            yield Finding(condition=Condition.WRITE_FAILED, detail=detail)
        case NotWritten(reason=NotWrittenReason.NOTHING_TO_WRITE):
            return
        case NotWritten(reason=NotWrittenReason.GUARD, detail=detail):
            yield Finding(condition=Condition.GUARD_REFUSED, detail=detail)
        case NotWritten(reason=NotWrittenReason.LEASE, detail=detail):
            yield Finding(condition=Condition.LEASE_LOST, detail=detail)
        case NotWritten(reason=reason, detail=detail):
            words = detail if detail.startswith(reason) else f"{reason} {detail}".strip()
            yield Finding(condition=Condition.WRITE_FAILED, detail=words)
        case _:
            assert_never(last)


def _unanswered(last: WriteOutcome) -> bool:
    """True when nobody knows what the last write did."""
    unknown = {NotWrittenReason.TIMEOUT, NotWrittenReason.DISCONNECTED}
    return isinstance(last, NotWritten) and last.reason in unknown


def _readback(readings: Readings, last_target: F64) -> Iterator[Finding]:
    """A target that reads back neither as written nor as cut by limits changed since, or not."""
    limits = readings.limits
    slack = BUMPLESS_SHARE * (limits.range_high - limits.range_low)
    cut = np.clip(last_target, limits.low, limits.high)
    near = np.minimum(np.abs(readings.target - last_target), np.abs(readings.target - cut))
    unread = readings.available & np.isfinite(last_target) & ~np.isfinite(readings.target)
    for index in np.flatnonzero(unread):
        yield Finding(condition=Condition.READBACK_MISSING, detail=f"MV {index}")
    wrong = readings.available & (near > slack)  # NaN (not readable, none in force) compares False
    for index in np.flatnonzero(wrong):
        detail = f"MV {index}: wrote {last_target[index]:g}, reads {readings.target[index]:g}"
        yield Finding(condition=Condition.READBACK_MISMATCH, detail=detail)
