"""Prometheus metrics of one controller: what is measured of each scan, the line and the record.

Names have the prefix `trimtab_`, base units and pre-created label sets, so that a series is there
before the first event it counts: a counter at zero, a gauge at NaN while there is nothing to show.
Each service owns its registry.  `controller.exposition` serves it.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STAGES = ("policy", "read", "validate", "advise", "guard", "write")
"""Parts of a scan that are timed by themselves, in their order."""

SERVICES = ("connect", "read", "write", "heartbeat", "lease", "call")
"""OPC UA requests that are timed and whose failures are counted."""

FAILURES = ("timeout", "connection")
"""Statuses of a failed request that are no names of OPC UA."""

POLICY_ANSWERS = ("move", "late", "failed")
"""What a foreign policy answers, as far as it is counted."""
CERTIFICATE_ROLES = ("own", "server")
"""Whose certificate."""
ALARM_PRIORITIES = ("low", "medium", "high")
ALARM_STATES = ("unacknowledged", "acknowledged", "returned", "shelved")
"""Of the plant's alarms that are not normal, as ISA-18.2 has them; shelved: or suppressed."""

DEADLINE_SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 1.25, 2.5, 5.0)
"""Bucket edges as shares of the deadline; 1.0 makes one edge the deadline itself."""

GAP_EDGES = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)
ITERATION_EDGES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
RATIO_EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
REQUEST_EDGES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # series that nobody asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """Everything that names a series: known before the first scan and fixed afterwards.

    cvs, mvs: (name, unit) in the order of the manifest.  tags: every tag in the process image.
    modes, outcomes, refusals: the closed sets of the core.  transitions: (from, to, reason).
    constraints: what the model holds the process within, by name.
    """

    cvs: Sequence[tuple[str, str]]
    mvs: Sequence[tuple[str, str]]
    tags: Sequence[str]
    modes: Sequence[str]
    outcomes: Sequence[str]
    refusals: Sequence[str]
    period_s: float
    deadline_s: float
    version: str
    model_name: str
    model_version: str
    model_sha256: str
    transitions: Sequence[tuple[str, str, str]] = ()
    constraints: Sequence[str] = ()


class Metrics:
    """The instruments, one attribute each; see the help texts for meaning and unit."""

    def __init__(self, labels: Labelling) -> None:
        self.registry = CollectorRegistry()
        self._deadline_edges = [share * labels.deadline_s for share in DEADLINE_SHARES]
        self._identity(labels)
        self._timing(labels)
        self._modes(labels)
        self._actions(labels)
        self._correction(labels)
        self._process(labels)
        self._constraints(labels)
        self._model(labels)
        self._policy()
        self._connection()
        self._plant(labels)
        self._journal()

    def _gauge(
        self, name: str, text: str, labels: Sequence[str] = (), sets: Iterable[Sequence[str]] = ()
    ) -> Gauge:
        """A gauge that shows NaN, in each of the label sets, until it is set."""
        gauge = Gauge(f"trimtab_{name}", text, tuple(labels), registry=self.registry)
        if not labels:
            gauge.set(nan)
        for values in sets:
            gauge.labels(*values).set(nan)
        return gauge

    def _counter(
        self, name: str, text: str, labels: Sequence[str] = (), sets: Iterable[Sequence[str]] = ()
    ) -> Counter:
        counter = Counter(f"trimtab_{name}", text, tuple(labels), registry=self.registry)
        for values in sets:
            counter.labels(*values)
        return counter

    def _histogram(
        self,
        name: str,
        text: str,
        edges: Iterable[float],
        labels: Sequence[str] = (),
        sets: Iterable[Sequence[str]] = (),
    ) -> Histogram:
        histogram = Histogram(
            f"trimtab_{name}", text, tuple(labels), buckets=tuple(edges), registry=self.registry
        )
        for values in sets:
            histogram.labels(*values)
        return histogram

    def _identity(self, labels: Labelling) -> None:
        build = Info("trimtab_build", "Version of the controller.", registry=self.registry)
        build.info({"version": labels.version, "python": platform.python_version()})
        model = Info("trimtab_model", "Bundle that gives the advice.", registry=self.registry)
        model.info(
            {
                "name": labels.model_name,
                "version": labels.model_version,
                "sha256": labels.model_sha256,
            }
        )

    def _timing(self, labels: Labelling) -> None:
        self.scan_duration = self._histogram(
            "scan_duration_seconds", "Start of a scan to its commit.", self._deadline_edges
        )
        self.stage_duration = self._histogram(
            "stage_duration_seconds",
            "Duration of one stage of a scan.",
            self._deadline_edges,
            ["stage"],
            [[stage] for stage in STAGES],
        )
        self.lateness = self._histogram(
            "scan_start_lateness_seconds",
            "Grid instant to the start of the scan.",
            self._deadline_edges,
        )
        self.scans = self._counter(
            "scans_total",
            "Complete scans by outcome.",
            ["outcome"],
            [[outcome] for outcome in labels.outcomes],
        )
        self.overruns = self._counter(
            "scan_overruns_total", "Scans that ended after their deadline."
        )
        self.skipped = self._counter(
            "scan_skipped_total", "Grid instants passed over because a scan ran too long."
        )
        self.last_scan = self._gauge(
            "last_scan_timestamp_seconds", "Unix time of the last complete scan; 0 before it."
        )
        self.last_scan.set(0.0)
        self._gauge("scan_period_seconds", "Distance of two scans.").set(labels.period_s)
        self._gauge("scan_deadline_seconds", "Time allowed from the grid instant.").set(
            labels.deadline_s
        )

    def _modes(self, labels: Labelling) -> None:
        self.mode = Enum(
            "trimtab_mode",
            "Mode of the controller.",
            states=list(labels.modes),
            registry=self.registry,
        )
        self.transitions = self._counter(
            "mode_transitions_total",
            "Changes of mode, with the condition that caused them.",
            ["from_mode", "to_mode", "reason"],
            labels.transitions,
        )

    def _actions(self, labels: Labelling) -> None:
        tags = [[name] for name, _unit in labels.mvs]
        self.proposed = self._gauge(
            "action_proposed", "Move of the policy; NaN without advice.", ["tag"], tags
        )
        self.corrected = self._gauge(
            "action_corrected", "Move after the correction; NaN without advice.", ["tag"], tags
        )
        self.applied = self._gauge(
            "action_applied",
            "Target the plant accepted last; NaN out of control and where the MV does not follow.",
            ["tag"],
            tags,
        )
        self.action_limit = self._gauge(
            "action_limit",
            "Limit of a target: the operator's, the DCS's or the model's, whichever is narrower.",
            ["tag", "limit"],
            [[*tag, limit] for tag in tags for limit in ("low", "high")],
        )
        self.move_ratio = self._counter(
            "move_ratio_total", "Sum of the moves written, as shares of the span.", ["tag"], tags
        )
        self.limit_hits = self._counter(
            "limit_hits_total",
            "Moves written that ended at a limit of their box.",
            ["tag", "limit"],
            [[*tag, limit] for tag in tags for limit in ("low", "high")],
        )

    def _correction(self, labels: Labelling) -> None:
        self.correction_norm = self._histogram(
            "correction_norm_ratio",
            "Distance of policy move and corrected move as a share of the spans of the MVs.",
            RATIO_EDGES,
        )
        self.correction_iterations = self._histogram(
            "correction_iterations", "Iterations of the correction.", ITERATION_EDGES
        )
        self.correction_gap = self._histogram(
            "correction_gap", "Certified bound on the cost above the least cost.", GAP_EDGES
        )
        self.refused = self._counter(
            "correction_refused_total",
            "Scans without usable advice, by reason.",
            ["reason"],
            [[reason] for reason in labels.refusals],
        )

    def _process(self, labels: Labelling) -> None:
        loops = [[name] for name, _unit in labels.cvs]
        self.process_value = self._gauge(
            "process_value", "Measured value; NaN while unusable.", ["tag", "unit"], labels.cvs
        )
        self.setpoint = self._gauge(
            "setpoint", "Setpoint in force; NaN while unusable.", ["tag", "unit"], labels.cvs
        )
        self.iae = self._counter(
            "iae_total", "Integral of |setpoint - value| over plant time [unit s].", ["loop"], loops
        )
        self.in_spec = self._counter(
            "in_spec_seconds_total", "Plant time with the value inside its band.", ["loop"], loops
        )
        self.plant_time = self._counter(
            "plant_seconds_total", "Plant time from scan to scan, in any mode."
        )
        self.control = self._counter(
            "control_seconds_total", "Plant time with the controller in AUTO."
        )

    def _constraints(self, labels: Labelling) -> None:
        names = [[name] for name in labels.constraints]
        self.process_limit = self._gauge(
            "process_limit",
            "Limit of a measured value: the model's range, and its ceiling.",
            ["tag", "unit", "limit"],
        )
        self.margin = self._gauge(
            "constraint_margin_ratio",
            "Distance to a limit as a share of the range, at the last look; below 0 violated, NaN "
            "while unknown.",
            ["constraint"],
            names,
        )
        self.violation = self._counter(
            "constraint_violation_seconds_total",
            "Plant time beyond a limit.",
            ["constraint"],
            names,
        )
        self.no_return = self._gauge(
            "time_to_no_return_seconds",
            "Plant time for which the moves in force may at most be held before, by the model, a "
            "ceiling can no longer be kept by moves of the size allowed; 0 act at once, or too "
            "late; +Inf beyond the horizon, NaN without advice or ceiling.",
        )

    def _model(self, labels: Labelling) -> None:
        self.ood_score = self._gauge(
            "ood_score",
            "Distance of the state from the training data over its threshold; NaN if not known.",
        )
        self.outside_bands = self._gauge(
            "model_outside_bands_ratio",
            "Share of recent one-block predictions outside their error band; NaN if not known.",
        )
        self.prediction_error = self._gauge(
            "prediction_error_ratio",
            "Distance of value and last scan's prediction of it as a share of the range; NaN "
            "while no move is made.",
            ["output"],
            [[name] for name, _unit in labels.cvs],
        )

    def _policy(self) -> None:
        self.policy_up = self._gauge(
            "policy_up", "1 while the worker of a foreign policy answers; NaN without one."
        )
        self.policy_answers = self._counter(
            "policy_answers_total",
            "Questions to a foreign policy, by what came of them.",
            ["answer"],
            [[answer] for answer in POLICY_ANSWERS],
        )
        self.policy_dropped = self._counter(
            "policy_dropped_total", "Answers of a foreign policy that came after their scan."
        )
        self.policy_restarts = self._counter(
            "policy_restarts_total", "Workers of a foreign policy started after the first."
        )
        self.policy_duration = self._histogram(
            "policy_duration_seconds",
            "Question to the answer of a foreign policy.",
            self._deadline_edges,
        )

    def _connection(self) -> None:
        self.request_duration = self._histogram(
            "opcua_request_duration_seconds",
            "Duration of an OPC UA request.",
            REQUEST_EDGES,
            ["service"],
            [[service] for service in SERVICES],
        )
        self.request_failures = self._counter(
            "opcua_request_failures_total",
            "OPC UA requests that failed.",
            ["service", "status"],
            [[service, status] for service in SERVICES for status in FAILURES],
        )
        self.reconnects = self._counter(
            "opcua_reconnects_total", "Connections made after the first."
        )
        self.connected = self._gauge("opcua_connected", "1 while a session is open.")
        self.connected.set(0.0)
        self.release_due = self._gauge(
            "release_due", "1 while the DCS has not confirmed that it took the MVs back."
        )
        self.release_due.set(0.0)
        self.certificate_expiry = self._gauge(
            "opcua_certificate_expiry_timestamp_seconds",
            "Unix time a certificate expires; NaN where none is in use.",
            ["role"],
            [[role] for role in CERTIFICATE_ROLES],
        )

    def _plant(self, labels: Labelling) -> None:
        tags = [[tag] for tag in labels.tags]
        self.tag_quality = self._gauge(
            "tag_quality",
            "Quality of a tag, as judged at the last look and delivered since: 2 good, "
            "1 uncertain, 0 bad or missing; NaN before the first.",
            ["tag"],
            tags,
        )
        self.tag_source_time = self._gauge(
            "tag_source_timestamp_seconds",
            "Unix time the source gave to the value; NaN where it gives none.",
            ["tag"],
            tags,
        )
        self.alarms = self._gauge(
            "alarms_active",
            "Alarms of the plant that are not normal; NaN where it tells of none, and while their "
            "number is not known.",
            ["priority", "state"],
            [[priority, state] for priority in ALARM_PRIORITIES for state in ALARM_STATES],
        )

    def _journal(self) -> None:
        self.journal_failing = self._gauge(
            "journal_failing", "1 while the last attempt to write the journal failed."
        )
        self.journal_lost = self._gauge(
            "journal_lost_records", "Records of this run that the journal had no room for."
        )
        self.journal_waiting = self._gauge(
            "journal_waiting_records", "Records that wait for the disk."
        )
        for gauge in (self.journal_failing, self.journal_lost, self.journal_waiting):
            gauge.set(0.0)
