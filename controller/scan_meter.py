"""Metrics of a scan: what the report of each complete scan adds to the instruments.

A label costs more than an observation, so every series of a scan is looked up once.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import numpy as np

from controller.core.box import accepted_targets, no_targets, targets_in_force
from controller.core.types import (
    Advised,
    Faulted,
    Late,
    Move,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    Partial,
    Refused,
    Written,
)
from controller.metrics import STAGES
from models.runtime import RefusalReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import Gauge

    from controller.configuration.binding import Binding
    from controller.core.report import CycleReport
    from controller.core.types import F64, Proposal, Readings
    from controller.metrics import Metrics
    from models.bundle import Manifest
    from models.runtime import AdviceRequest

IN_SPEC_SHARE = 0.005
"""Half width of the band that counts as in spec, as a share of the CV's range in the manifest."""

HORIZON_TOLERANCE = 0.2
"""A prediction is compared when the next scan is this share of its horizon early or late."""

OUTCOMES = ("written", "partial", "not_written", "nothing")
REFUSALS = (*RefusalReason, "late", "faulted", "not_asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """A limit of a CV from above.  cv: its place; value in its unit; span: width of its range."""

    name: str
    cv: int
    value: float
    span: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardsticks:
    """What the manifest says a scan is measured against.

    low, high: (n_cv,) each CV's range.  horizon_s: plant time to the first prediction, where
    that is the next scan; NaN otherwise, and then predictions are not compared.
    """

    low: F64
    high: F64
    ceilings: tuple[Ceiling, ...] = ()
    horizon_s: float = math.nan

    @property
    def spans(self) -> F64:
        """(n_cv,) width of each range."""
        return self.high - self.low

    @classmethod
    def of(cls, manifest: Manifest) -> Yardsticks:
        """The yardsticks of a bundle."""
        return cls(
            low=np.array([cv.low for cv in manifest.cvs]),
            high=np.array([cv.high for cv in manifest.cvs]),
            ceilings=tuple(
                Ceiling(
                    name=f"{cv.name}.safe_high", cv=place, value=cv.safe_high, span=cv.high - cv.low
                )
                for place, cv in enumerate(manifest.cvs)
                if cv.safe_high is not None
            ),
            horizon_s=manifest.sample_time_s if manifest.cost.blocks[0] == 1 else math.nan,
        )


class ScanMeter:
    """Feeds the metrics; remembers the targets in force and the last prediction.

    The targets are followed by the functions by which the cycle follows them.
    """

    def __init__(self, metrics: Metrics, binding: Binding, yardsticks: Yardsticks) -> None:
        self._metrics = metrics
        self._horizon_s = yardsticks.horizon_s
        self._cv_spans = yardsticks.spans
        self._bands = yardsticks.spans * IN_SPEC_SHARE
        self._spans = np.array([mv.span for mv in binding.mvs])
        self._target_keys = [mv.target_key for mv in binding.mvs]
        self._targets = no_targets(len(binding.mvs))
        self._expected: tuple[float, F64] | None = None
        self._misses = 0
        names, cvs = [mv.name for mv in binding.mvs], binding.cvs
        self._proposed = [metrics.proposed.labels(name) for name in names]
        self._corrected = [metrics.corrected.labels(name) for name in names]
        self._applied = [metrics.applied.labels(name) for name in names]
        self._travel = [metrics.move_ratio.labels(name) for name in names]
        self._hits = [
            (metrics.limit_hits.labels(name, "low"), metrics.limit_hits.labels(name, "high"))
            for name in names
        ]
        self._bounds = {
            limit: [metrics.action_limit.labels(name, limit) for name in names]
            for limit in ("low", "high")
        }
        for cv, low, high in zip(cvs, yardsticks.low, yardsticks.high, strict=True):
            metrics.process_limit.labels(cv.name, cv.unit, "low").set(low)
            metrics.process_limit.labels(cv.name, cv.unit, "high").set(high)
        for each in yardsticks.ceilings:
            cv = cvs[each.cv]
            metrics.process_limit.labels(cv.name, cv.unit, "safe_high").set(each.value)
        self._values = [metrics.process_value.labels(cv.name, cv.unit) for cv in cvs]
        self._setpoints = [metrics.setpoint.labels(cv.name, cv.unit) for cv in cvs]
        self._iae = [metrics.iae.labels(cv.name) for cv in cvs]
        self._in_spec = [metrics.in_spec.labels(cv.name) for cv in cvs]
        self._errors = [metrics.prediction_error.labels(cv.name) for cv in cvs]
        self._limits = [
            (each, metrics.margin.labels(each.name), metrics.violation.labels(each.name))
            for each in yardsticks.ceilings
        ]
        self._stages = {name: metrics.stage_duration.labels(name) for name in STAGES}
        self._outcomes = {name: metrics.scans.labels(name) for name in OUTCOMES}

    @property
    def misses(self) -> int:
        """Scans of this run that ended after their deadline."""
        return self._misses

    def scan(self, report: CycleReport) -> None:
        """Take in one complete scan."""
        exemplar = {"scan_id": str(report.tick.scan_id)}
        self._timing(report, exemplar)
        self._advice(report, exemplar)
        self._moves(report)
        self._loops(report)
        self._ceilings(report)
        self._prediction(report)

    def look(self, readings: Readings, *, in_control: bool) -> None:
        """Take in a look between scans: what must not stand until the next one."""
        self._margins(readings)
        self._targets = (
            targets_in_force(self._targets, readings)
            if in_control
            else no_targets(self._targets.size)
        )
        _show(self._applied, self._targets)

    def _timing(self, report: CycleReport, exemplar: dict[str, str]) -> None:
        metrics = self._metrics
        metrics.scan_duration.observe(report.duration_s, exemplar)
        metrics.lateness.observe(max(0.0, report.tick.lateness_s), exemplar)
        for stage, seconds in report.stage_s.items():
            self._stages[stage].observe(seconds)
        self._outcomes[_outcome(report)].inc()
        metrics.skipped.inc(report.tick.skipped)
        metrics.last_scan.set(time.time())
        if report.overrun:
            metrics.overruns.inc(1, exemplar)
            self._misses += 1

    def _advice(self, report: CycleReport, exemplar: dict[str, str]) -> None:
        metrics, proposal = self._metrics, report.proposal
        if not isinstance(proposal, Advised):
            metrics.refused.labels(_refusal(proposal)).inc(1, exemplar)
            for gauge in (*self._proposed, *self._corrected):
                gauge.set(math.nan)
            for gauge in (metrics.ood_score, metrics.outside_bands, metrics.no_return):
                gauge.set(math.nan)
            return
        advice = proposal.advice
        share = np.abs(advice.move - advice.policy_move) / self._spans
        metrics.correction_norm.observe(float(np.sqrt(np.sum(share**2))), exemplar)
        metrics.correction_iterations.observe(advice.iterations)
        metrics.correction_gap.observe(advice.gap, exemplar)
        metrics.ood_score.set(advice.novelty)
        metrics.outside_bands.set(advice.outside_bands)
        metrics.no_return.set(advice.time_to_no_return_s)
        _show(self._proposed, advice.policy_move)
        _show(self._corrected, advice.move)
        if report.written and isinstance(report.move, Move):
            self._count_hits(report.move, proposal.request)

    def _count_hits(self, move: Move, request: AdviceRequest) -> None:
        """An MV that was not written has a box of no width, and is at both ends of it."""
        bounds = (request.low, request.high)
        for place in np.flatnonzero(move.write):
            for counter, bound in zip(self._hits[place], bounds, strict=True):
                if move.targets[place] == bound[place]:
                    counter.inc()

    def _moves(self, report: CycleReport) -> None:
        before, readings = self._targets, report.readings
        self._targets = accepted_targets(
            before,
            report.move if isinstance(report.move, Move) else None,
            report.outcome,
            state=report.after,
            readings=readings,
            target_keys=self._target_keys,
        )
        start = np.where(np.isnan(before), readings.track, before)
        travel = np.abs(self._targets - start) / self._spans
        for place in np.flatnonzero(np.isfinite(travel)):
            self._travel[place].inc(float(travel[place]))
        _show(self._applied, self._targets)
        _show(self._bounds["low"], report.readings.limits.low)
        _show(self._bounds["high"], report.readings.limits.high)

    def _loops(self, report: CycleReport) -> None:
        readings = report.readings
        elapsed = readings.elapsed_s if math.isfinite(readings.elapsed_s) else 0.0
        self._metrics.plant_time.inc(elapsed)
        if report.before.in_control:
            self._metrics.control.inc(elapsed)
        _show(self._values, readings.cv)
        _show(self._setpoints, readings.sp)
        errors = np.abs(readings.sp - readings.cv)
        for place in np.flatnonzero(np.isfinite(errors)):
            self._iae[place].inc(float(errors[place]) * elapsed)
            if errors[place] <= self._bands[place]:
                self._in_spec[place].inc(elapsed)

    def _ceilings(self, report: CycleReport) -> None:
        """Distance of each CV to its ceiling; the plant time since the last scan, if beyond it."""
        readings = report.readings
        self._margins(readings)
        for ceiling, _, violation in self._limits:
            beyond = float(readings.cv[ceiling.cv]) > ceiling.value
            if beyond and math.isfinite(readings.elapsed_s):
                violation.inc(readings.elapsed_s)

    def _margins(self, readings: Readings) -> None:
        for ceiling, margin, _ in self._limits:
            margin.set((ceiling.value - float(readings.cv[ceiling.cv])) / ceiling.span)

    def _prediction(self, report: CycleReport) -> None:
        """Compare what the last scan predicted of this one, had its plan's first move been made.

        A scan that was skipped, or a write that failed, leaves the last comparison standing.
        """
        expected, self._expected = self._expected, None
        now_s, horizon_s = report.readings.plant_time_s, self._horizon_s
        if expected is not None and abs(now_s - expected[0]) <= HORIZON_TOLERANCE * horizon_s:
            _show(self._errors, np.abs(report.readings.cv - expected[1]) / self._cv_spans)
        elif not report.after.in_control:
            _show(self._errors, self._cv_spans * math.nan)
        if report.written and isinstance(report.proposal, Advised):
            self._expected = now_s + horizon_s, report.proposal.advice.predicted[0]


def _show(gauges: Sequence[Gauge], values: F64) -> None:
    for gauge, value in zip(gauges, values.tolist(), strict=True):
        gauge.set(value)


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


def _refusal(proposal: Proposal) -> str:
    """Why there is no usable advice, as `REFUSALS` has it."""
    match proposal:
        case Refused(refusal=refusal):
            return refusal.reason.value
        case Late():
            return "late"
        case Faulted():
            return "faulted"
        case NotAsked():
            return "not_asked"
        case Advised():
            raise AssertionError(proposal)
        case _:
            assert_never(proposal)
