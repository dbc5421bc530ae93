"""What a scan's report is turned into: metrics, log lines, journal records, DCS diagnostics.

Scans are measured, changes are logged and journaled as events; an operator's act is seen as a
change of what the operator alone can write.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, assert_never

import numpy as np

from controller.core.conditions import TABLE, Condition, Effect
from controller.core.state import Mode
from controller.core.types import (
    Advised,
    Faulted,
    Late,
    Move,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    OperatorMode,
    Partial,
    Refused,
    Written,
)
from controller.journal.document import number, numbers
from controller.journal.writer import Event
from controller.logs import logger
from models.runtime import RefusalReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from controller.configuration.binding import Binding
    from controller.core.report import CycleReport
    from controller.core.state import ModeState
    from controller.core.types import F64, Readings
    from controller.journal.writer import Item
    from controller.metrics import Metrics

IN_SPEC_SHARE = 0.005
"""Half width of the band that counts as in spec, as a share of the CV's range in the manifest."""

OUTCOMES = ("written", "partial", "not_written", "nothing")
REFUSALS = (*RefusalReason, "late", "faulted", "not_asked")
OPERATOR = "operator"
SELECTOR = "selector"
"""Kinds of events: an operator's act, and what a shed made the selector show."""

ADVISING = frozenset({Mode.SHADOW, Mode.AUTO})
"""Modes in which the DCS is shown the moves: in the others nobody wants, or should trust, them."""

_CAUSES = {
    Mode.SHED: Effect.SHED | Effect.HOLD | Effect.AWAIT,
    Mode.HOLD: Effect.HOLD,
}


class Reporter:
    """Feeds metrics, log and journal; remembers only what a change is measured against."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        binding: Binding,
        spans: Sequence[float],
        record: Callable[[Item], bool],
    ) -> None:
        """spans: width of each CV's range in the manifest.  record: the journal's intake."""
        self._metrics = metrics
        self._binding = binding
        self._bands = np.array(spans) * IN_SPEC_SHARE
        self._record = record
        self._log = logger("cycle")
        self._before: Readings | None = None
        self._targets: F64 = np.full(len(binding.mvs), np.nan)
        self._conditions: tuple[Condition, ...] = ()
        self._misses = 0
        self.last: CycleReport | None = None

    def scan(self, report: CycleReport) -> None:
        """Take in one complete scan."""
        self._record(report)
        self._measure_timing(report)
        self._measure_advice(report)
        self._measure_process(report)
        self._notice_acts(report)
        self.transition(report.before, report.after, report.conditions, report.utc)
        if report.conditions != self._conditions:
            self._conditions = report.conditions
            self._log.debug("conditions", now=[str(item) for item in report.conditions])
        self.last = report

    def transition(
        self,
        before: ModeState,
        after: ModeState,
        conditions: Sequence[Condition],
        utc: datetime,
    ) -> None:
        """Take in the mode after a scan or a tick."""
        self._metrics.mode.state(after.mode.value)
        if before.mode is after.mode:
            return
        cause = _cause(after.mode, conditions)
        self._metrics.transitions.labels(before.mode.value, after.mode.value, cause).inc()
        grave = after.mode in {Mode.HOLD, Mode.SHED}
        say = self._log.warning if grave else self._log.info
        say("mode", before=before.mode.value, after=after.mode.value, reason=after.reason)
        detail = {"before": before.mode.value, "after": after.mode.value, "reason": after.reason}
        self._record(Event(kind="mode", utc=utc, detail={**detail, "cause": cause}))

    def diagnostics(self) -> Mapping[str, float]:
        """Return what the DCS is told about the last scan, by logical tag key, finite values."""
        report = self.last
        if report is None:
            return {}
        values = {
            "diagnostics.cycle_ms": 1e3 * report.duration_s,
            "diagnostics.deadline_misses": float(self._misses),
        }
        if not isinstance(report.proposal, NotAsked):
            values["diagnostics.advice_ms"] = 1e3 * report.proposal.elapsed_s
        if isinstance(report.proposal, Advised):
            advice = report.proposal.advice
            values["diagnostics.correction_gap"] = advice.gap
            if advice.certified and report.after.mode in ADVISING:
                for mv, move in zip(self._binding.mvs, advice.move.tolist(), strict=True):
                    values[f"diagnostics.advisory.{mv.name}"] = mv.conversion.to_server(move)
        return {key: value for key, value in values.items() if math.isfinite(value)}

    # ------------------------------------------------------------------ metrics

    def _measure_timing(self, report: CycleReport) -> None:
        metrics = self._metrics
        metrics.scan_duration.observe(report.duration_s)
        metrics.lateness.observe(max(0.0, report.tick.lateness_s))
        for stage, seconds in report.stage_s.items():
            metrics.stage_duration.labels(stage).observe(seconds)
        metrics.scans.labels(_outcome(report)).inc()
        metrics.skipped.inc(report.tick.skipped)
        metrics.last_scan.set(time.time())
        if report.overrun:
            metrics.overruns.inc()
            self._misses += 1

    def _measure_advice(self, report: CycleReport) -> None:
        metrics = self._metrics
        novelty = outside_bands = math.nan
        match report.proposal:
            case Advised(advice=advice, request=request):
                novelty, outside_bands = advice.novelty, advice.outside_bands
                spans = np.array([mv.span for mv in self._binding.mvs])
                share = np.abs(advice.move - advice.policy_move) / spans
                metrics.correction_norm.observe(float(np.sqrt(np.sum(share**2))))
                metrics.correction_iterations.observe(advice.iterations)
                metrics.correction_gap.observe(advice.gap)
                for place, mv in enumerate(self._binding.mvs):
                    metrics.proposed.labels(mv.name).set(advice.policy_move[place])
                    metrics.corrected.labels(mv.name).set(advice.move[place])
                    if report.written:
                        for limit, bound in (("low", request.low), ("high", request.high)):
                            hit = bool(advice.move[place] == bound[place])
                            metrics.limit_hits.labels(mv.name, limit).inc(hit)
            case Refused(refusal=refusal):
                metrics.refused.labels(refusal.reason.value).inc()
            case Late():
                metrics.refused.labels("late").inc()
            case Faulted():
                metrics.refused.labels("faulted").inc()
            case NotAsked():
                metrics.refused.labels("not_asked").inc()
            case _:
                assert_never(report.proposal)
        metrics.novelty.set(novelty)
        metrics.outside_bands.set(outside_bands)
        self._measure_moves(report)

    def _measure_moves(self, report: CycleReport) -> None:
        if not report.after.in_control:
            self._targets = np.full(len(self._binding.mvs), np.nan)
        if not (report.written and isinstance(report.move, Move)):
            return
        start = np.where(np.isnan(self._targets), report.readings.track, self._targets)
        for place, mv in enumerate(self._binding.mvs):
            if report.move.write[place]:
                target = report.move.targets[place]
                self._metrics.applied.labels(mv.name).set(target)
                travel = float(abs(target - start[place]) / mv.span)
                if math.isfinite(travel):
                    self._metrics.move_ratio.labels(mv.name).inc(travel)
        self._targets = np.where(report.move.write, report.move.targets, self._targets)

    def _measure_process(self, report: CycleReport) -> None:
        metrics, readings = self._metrics, report.readings
        elapsed = readings.elapsed_s if math.isfinite(readings.elapsed_s) else 0.0
        if report.before.in_control:
            metrics.control.inc(elapsed)
        for place, cv in enumerate(self._binding.cvs):
            value, wanted = float(readings.cv[place]), float(readings.sp[place])
            metrics.process_value.labels(cv.name, cv.unit).set(value)
            metrics.setpoint.labels(cv.name, cv.unit).set(wanted)
            error = abs(wanted - value)
            if math.isfinite(error):
                metrics.iae.labels(cv.name).inc(error * elapsed)
                inside = error <= self._bands[place]
                metrics.in_spec.labels(cv.name).inc(elapsed if inside else 0.0)

    # ------------------------------------------------------------------ operator

    def _notice_acts(self, report: CycleReport) -> None:
        """Journal what the operator changed since the last scan that could read it.

        A selector that a shed has put off auto is journaled as that.
        """
        now, utc = report.readings, report.utc
        before, self._before = self._before, now
        if before is None or not (before.connected and now.connected):
            return
        was, now_is = before.handshake.operator, now.handshake.operator
        if was is not None and now_is is not None and was is not now_is:
            own = self._binding.mode_on_shed is not None and report.after.mode is Mode.SHED
            kind = SELECTOR if own and now_is is OperatorMode.MANUAL else OPERATOR
            event = "operator_mode" if kind == OPERATOR else "selector_put_back"
            self._log.info(event, before=was.value, after=now_is.value)
            self._act("mode", was.value, now_is.value, utc, kind=kind)
        for name, old, new in (
            ("setpoint", before.sp, now.sp),
            ("low_limit", before.limits.low, now.limits.low),
            ("high_limit", before.limits.high, now.limits.high),
            ("max_move", before.limits.max_move, now.limits.max_move),
        ):
            known = np.isfinite(old) & np.isfinite(new)
            if bool((known & (old != new)).any()):
                self._act(name, numbers(old), numbers(new), utc)

    def _act(
        self, what: str, before: object, after: object, utc: datetime, *, kind: str = OPERATOR
    ) -> None:
        detail = {"what": what, "before": before, "after": after}
        plant_time = number(self._before.plant_time_s) if self._before is not None else None
        detail["plant_time_s"] = plant_time
        self._record(Event(kind=kind, utc=utc, detail=detail))


def _outcome(report: CycleReport) -> str:
    match report.outcome:
        case Written():
            return "written"
        case Partial():
            return "partial"
        case NotWritten(reason=NotWrittenReason.NOTHING_TO_WRITE):
            return "nothing"
        case NotWritten():
            return "not_written"
        case _:
            assert_never(report.outcome)


def _cause(mode: Mode, conditions: Sequence[Condition]) -> str:
    """The gravest condition that leads to `mode`; without one it was the operator."""
    effects = _CAUSES.get(mode, Effect.NONE)
    return next((item.value for item in conditions if TABLE[item][0] & effects), OPERATOR)
