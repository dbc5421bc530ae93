"""What the journal stores of a scan, as one JSON document that gives every bit back.

A finite float is written by Python's repr, which reads back to the same bits.  JSON has no NaN and
no infinity: NaN, the sign of an absent value, is null; the infinities are "inf" and "-inf".
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

import numpy as np

from controller.core.policy import PolicyFailed, PolicyLate, PolicyMove
from controller.core.types import (
    Advised,
    Faulted,
    GuardRefusal,
    Late,
    Move,
    NotAsked,
    NotWritten,
    Partial,
    Refused,
    WriteFailure,
    Written,
)
from models.runtime import Advice, AdviceRequest, ProcessSample, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.core.policy import PolicyAnswer
    from controller.core.report import CycleReport
    from controller.core.state import ModeState
    from controller.core.types import F64, Proposal, Readings, WriteOutcome
Document: TypeAlias = dict[str, Any]

_ADVICE_ARRAYS = ("policy_move", "move", "plan", "predicted")
_ADVICE_NUMBERS = (
    *("cost", "gap", "tolerance", "kkt", "novelty", "outside_bands"),
    "time_to_no_return_s",
)
ADDED_KEYS = frozenset({"novelty", "outside_bands", "time_to_no_return_s"})
"""Keys of an answer that scans of an older journal do not have."""

_ANSWER_KEYS = (
    *_ADVICE_ARRAYS,
    *_ADVICE_NUMBERS,
    "model_target",
    "iterations",
    "certified",
    "refusal",
)


def encode(document: Mapping[str, Any]) -> str:
    """Compact JSON text; raises ValueError for a float that went past `number`."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def number(value: float) -> float | str | None:
    """A float as JSON can hold it."""
    value = float(value)
    if math.isnan(value):
        return None
    return str(value) if math.isinf(value) else value


def storable(value: Any) -> Any:
    """A value of an event as JSON can hold it."""
    match value:
        case float():
            return number(value)
        case bool() | int() | str() | None:
            return value
        case dict():
            return {str(key): storable(entry) for key, entry in value.items()}
        case list() | tuple():
            return [storable(entry) for entry in value]
        case _:
            return str(value)


def restore(value: float | str | None) -> float:
    """The float that `number` was given."""
    return math.nan if value is None else float(value)


def numbers(array: F64) -> list[Any]:
    """An array of floats, nested like its shape."""
    if array.ndim > 1:
        return [numbers(row) for row in array]
    return [number(value) for value in array.tolist()]


def restored(values: Sequence[Any]) -> F64:
    """The array that `numbers` was given."""
    if values and isinstance(values[0], list):
        return np.array([restored(row) for row in values], dtype=np.float64)
    return np.array([restore(value) for value in values], dtype=np.float64)


def scan_document(report: CycleReport, run: int) -> Document:
    """Everything of one scan."""
    tick = report.tick
    return {
        "run": run,
        "scan_id": tick.scan_id,
        "utc": report.utc.isoformat(),
        "plant_time_s": number(report.readings.plant_time_s),
        "mode_before": str(report.before.mode),
        "mode_after": str(report.after.mode),
        "reason": report.after.reason,
        "state": _state(report.after),
        **_readings(report.readings),
        **_proposal(report.proposal),
        "policy": _policy(report.policy),
        **_move(report.move),
        **_outcome(report.outcome),
        "written": report.written,
        "conditions": [str(condition) for condition in report.conditions],
        "stage_s": {stage: number(seconds) for stage, seconds in report.stage_s.items()},
        "duration_s": number(report.duration_s),
        "deadline_s": number(report.deadline_s),
        "lateness_s": number(tick.lateness_s),
        "overrun": report.overrun,
        "skipped": tick.skipped,
    }


def request_of(document: Document) -> AdviceRequest | None:
    """The recorded question, None when the model was not asked."""
    asked = document["request"]
    if asked is None:
        return None
    return AdviceRequest(
        sample=ProcessSample(
            plant_time_s=restore(asked["plant_time_s"]),
            cv=restored(asked["cv"]),
            sp=restored(asked["sp"]),
            mv=restored(asked["mv"]),
            dv=restored(asked["dv"]),
        ),
        low=restored(asked["low"]),
        high=restored(asked["high"]),
        range_low=restored(asked["range_low"]),
        range_high=restored(asked["range_high"]),
        windup_low=np.array(asked["windup_low"], dtype=np.bool_),
        windup_high=np.array(asked["windup_high"], dtype=np.bool_),
        freeze=asked["freeze"],
        policy_move=None if asked.get("policy_move") is None else restored(asked["policy_move"]),
    )


def answer_document(answer: Advice | Refusal | None) -> Document:
    """The model's answer; all keys are there for every kind of answer."""
    document: Document = dict.fromkeys(_ANSWER_KEYS)
    match answer:
        case Advice():
            document |= {key: numbers(getattr(answer, key)) for key in _ADVICE_ARRAYS}
            document |= {key: number(getattr(answer, key)) for key in _ADVICE_NUMBERS}
            document["model_target"] = numbers(answer.target)
            document["iterations"] = int(answer.iterations)
            document["certified"] = bool(answer.certified)
        case Refusal():
            document["refusal"] = [str(answer.reason), answer.detail]
        case None:
            pass
        case _:
            assert_never(answer)
    return document


def _state(state: ModeState) -> Document:
    return {
        "armed": state.armed,
        "entering": state.entering,
        "holds": state.holds,
        "waits": state.waits,
        "acknowledged": state.acknowledged,
    }


def _readings(readings: Readings) -> Document:
    shake, limits = readings.handshake, readings.limits
    return {
        "elapsed_s": number(readings.elapsed_s),
        "connected": readings.connected,
        "heartbeat_stale": readings.heartbeat_stale,
        "cv": numbers(readings.cv),
        "sp": numbers(readings.sp),
        "mv": numbers(readings.mv),
        "dv": numbers(readings.dv),
        "read_back": numbers(readings.target),
        "track": numbers(readings.track),
        "available": readings.available.tolist(),
        "init": readings.init.tolist(),
        "limit_low": numbers(limits.low),
        "limit_high": numbers(limits.high),
        "max_move": numbers(limits.max_move),
        "operator": None if shake.operator is None else str(shake.operator),
        "permit": shake.permit,
        "active": shake.active,
        "shed_reason": shake.shed_reason,
        "faults": [[fault.tag, str(fault.kind), fault.detail] for fault in readings.faults],
    }


def _proposal(proposal: Proposal) -> Document:
    """The question and the answer.  "proposal" names the kind; "advise_s" its duration."""
    answer: Advice | Refusal | None = None
    request: AdviceRequest | None = None
    seconds, detail = math.nan, ""
    match proposal:
        case Advised(advice=answer, request=request, elapsed_s=seconds):
            kind = "advised"
        case Late(answer=answer, request=request, elapsed_s=seconds, detail=detail):
            kind = "late"
        case Refused(refusal=answer, request=request, elapsed_s=seconds):
            kind = "refused"
        case Faulted(answer=answer, detail=detail, request=request, elapsed_s=seconds):
            kind = "faulted"
        case NotAsked(reason=detail):
            kind = "not_asked"
        case _:
            assert_never(proposal)
    asked = None if request is None else _request(request)
    return {
        "proposal": kind,
        "proposal_detail": detail,
        "advise_s": number(seconds),
        "request": asked,
        "low": None if asked is None else asked["low"],
        "high": None if asked is None else asked["high"],
        "range_low": None if asked is None else asked["range_low"],
        "range_high": None if asked is None else asked["range_high"],
        **answer_document(answer),
    }


def _request(request: AdviceRequest) -> Document:
    return {
        **_sample(request.sample),
        "low": numbers(request.low),
        "high": numbers(request.high),
        "range_low": numbers(request.range_low),
        "range_high": numbers(request.range_high),
        "windup_low": request.windup_low.tolist(),
        "windup_high": request.windup_high.tolist(),
        "freeze": bool(request.freeze),
        "policy_move": None if request.policy_move is None else numbers(request.policy_move),
    }


def _policy(answer: PolicyAnswer | None) -> Document | None:
    """What a foreign policy was asked, and its answer; null without one."""
    move: F64 | None = None
    detail = ""
    match answer:
        case None:
            return None
        case PolicyMove(move=move):
            kind = "move"
        case PolicyLate(detail=detail):
            kind = "late"
        case PolicyFailed(detail=detail):
            kind = "failed"
        case _:
            assert_never(answer)
    return {
        "answer": kind,
        "detail": detail,
        "elapsed_s": number(answer.elapsed_s),
        "asked": None if answer.asked is None else _sample(answer.asked),
        "move": None if move is None else numbers(move),
    }


def _sample(sample: ProcessSample) -> Document:
    return {
        "plant_time_s": number(sample.plant_time_s),
        "cv": numbers(sample.cv),
        "sp": numbers(sample.sp),
        "mv": numbers(sample.mv),
        "dv": numbers(sample.dv),
    }


def _move(move: Move | GuardRefusal | None) -> Document:
    """What the guard let through: "target" is null where nothing was to be written."""
    document: Document = {"target": None, "write": None, "raise_request": None, "guard": None}
    match move:
        case Move():
            document["target"] = numbers(move.targets)
            document["write"] = move.write.tolist()
            document["raise_request"] = move.request
        case GuardRefusal():
            document["guard"] = [str(move.reason), move.detail]
        case None:
            pass
        case _:
            assert_never(move)
    return document


def _outcome(outcome: WriteOutcome) -> Document:
    failures: tuple[WriteFailure, ...]
    match outcome:
        case Written():
            kind, detail, failures = "written", "", ()
        case Partial(failures=failures):
            kind, detail = "partial", ""
        case NotWritten(reason=reason, detail=words, failures=failures):
            kind, detail = "not_written", f"{reason}: {words}" if words else str(reason)
        case _:
            assert_never(outcome)
    return {
        "outcome": kind,
        "outcome_detail": detail,
        "failures": [[failure.tag, failure.status] for failure in failures],
    }
