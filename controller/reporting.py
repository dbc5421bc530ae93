"""What a scan's report is turned into: metrics, log lines, journal records, DCS diagnostics.

Scans are measured, changes are logged and journaled as events; an operator's act is seen as a
change of what the operator alone can write.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from controller.core.conditions import TABLE, Condition, Effect
from controller.core.state import Mode
from controller.core.types import Advised, NotAsked, OperatorMode
from controller.journal.document import number, numbers
from controller.journal.writer import Event
from controller.logs import logger
from controller.scan_meter import ScanMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from controller.configuration.binding import Binding
    from controller.core.report import CycleReport, Supervision
    from controller.core.state import ModeState
    from controller.core.types import Quality, Readings
    from controller.journal.writer import Item
    from controller.metrics import Metrics
    from controller.scan_meter import Yardsticks

OPERATOR = "operator"
SELECTOR = "selector"
"""Kinds of events: an operator's act, and what a shed made the selector show."""

ADVISING = frozenset({Mode.SHADOW, Mode.AUTO})
"""Modes in which the DCS is shown the moves: in the others nobody wants, or should trust, them."""

_CAUSES = {
    Mode.SHED: Effect.SHED | Effect.HOLD | Effect.AWAIT,
    Mode.HOLD: Effect.HOLD,
}


def _transitions() -> tuple[tuple[str, str, str], ...]:
    """(from, to, cause) of every change of mode that the mode machine makes."""
    found = [(Mode.AUTO, Mode.HOLD), (Mode.AUTO, Mode.SHED), (Mode.HOLD, Mode.SHED)]
    caused = [
        (before.value, after.value, condition.value)
        for before, after in found
        for condition in TABLE
        if TABLE[condition][0] & _CAUSES[after]
    ]
    watching = (Mode.MANUAL, Mode.SHADOW)
    begun = [(before, after) for before in Mode for after in watching if before is not after]
    begun += [(before, Mode.AUTO) for before in (*watching, Mode.HOLD)]
    return (*caused, *((before.value, after.value, OPERATOR) for before, after in begun))


TRANSITIONS = _transitions()


class Reporter:
    """Feeds metrics, log and journal; remembers only what a change is measured against."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        binding: Binding,
        yardsticks: Yardsticks,
        record: Callable[[Item], bool],
    ) -> None:
        """yardsticks: what scans are measured against.  record: the journal's intake."""
        self._metrics = metrics
        self._binding = binding
        self._meter = ScanMeter(metrics, binding, yardsticks)
        self._record = record
        self._log = logger("cycle")
        self._before: Readings | None = None
        self._conditions: tuple[Condition, ...] = ()
        self.last: CycleReport | None = None
        self.quality: Mapping[str, Quality] = {}
        """As the last scan, or a look since, judged each tag; by logical tag key."""

    def scan(self, report: CycleReport) -> None:
        """Take in one complete scan."""
        self._record(report)
        self._meter.scan(report)
        self._notice_acts(report)
        self.transition(report.before, report.after, report.conditions, report.utc)
        if report.conditions != self._conditions:
            self._conditions = report.conditions
            self._log.debug("conditions", now=[str(item) for item in report.conditions])
        self.last = report
        self.quality = report.readings.quality

    def look(self, seen: Supervision) -> None:
        """Take in a supervision tick."""
        self._meter.look(seen.readings, in_control=seen.after.in_control)
        self.transition(seen.before, seen.after, seen.conditions, seen.utc)
        self.quality = seen.readings.quality

    def transition(
        self,
        before: ModeState,
        after: ModeState,
        conditions: Sequence[Condition],
        utc: datetime,
    ) -> None:
        """Take in the mode after a scan or a look."""
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
            "diagnostics.deadline_misses": float(self._meter.misses),
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


def _cause(mode: Mode, conditions: Sequence[Condition]) -> str:
    """The gravest condition that leads to `mode`; without one it was the operator."""
    effects = _CAUSES.get(mode, Effect.NONE)
    return next((item.value for item in conditions if TABLE[item][0] & effects), OPERATOR)
