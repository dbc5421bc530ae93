"""Prometheus metrics of one controller: what is measured each scan, and the port it is read on.

Names have the prefix `trimtab_`, base units and pre-created label sets, so that a series is there,
at zero, before the first event it counts.  Each service owns its registry.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info
from prometheus_client import start_http_server as serve_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

STAGES = ("policy", "read", "validate", "advise", "guard", "write")
"""Parts of a scan that are timed by themselves, in their order."""

SERVICES = ("connect", "read", "write", "heartbeat", "lease", "call")
"""OPC UA requests that are timed and whose failures are counted."""

POLICY_ANSWERS = ("move", "late", "failed")
"""What a foreign policy answers, as far as it is counted."""

DEADLINE_SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 1.25, 2.5, 5.0)
"""Bucket edges as shares of the deadline; 1.0 makes one edge the deadline itself."""

GAP_EDGES = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)
ITERATION_EDGES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
RATIO_EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
REQUEST_EDGES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """Everything that names a series: known before the first scan and fixed afterwards.

    cvs, mvs: (name, unit) in the order of the manifest.  tags: every tag in the process image.
    modes, outcomes, refusals: the closed sets of the core.
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


class Metrics:
    """The instruments, one attribute each; see the help texts for meaning and unit."""

    def __init__(self, labels: Labelling) -> None:
        self.registry = CollectorRegistry()
        self._identity(labels)
        self._timing(labels)
        self._modes(labels)
        self._actions(labels)
        self._performance(labels)
        self._policy(labels)
        self._connection(labels)

    def _gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(f"trimtab_{name}", text, tuple(labels), registry=self.registry)

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"trimtab_{name}", text, tuple(labels), registry=self.registry)

    def _histogram(
        self, name: str, text: str, edges: Iterable[float], labels: Iterable[str] = ()
    ) -> Histogram:
        return Histogram(
            f"trimtab_{name}",
            text,
            tuple(labels),
            buckets=tuple(edges),
            registry=self.registry,
        )

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
        edges = [share * labels.deadline_s for share in DEADLINE_SHARES]
        self.scan_duration = self._histogram(
            "scan_duration_seconds", "Start of a scan to its commit.", edges
        )
        self.stage_duration = self._histogram(
            "stage_duration_seconds", "Duration of one stage of a scan.", edges, ["stage"]
        )
        self.lateness = self._histogram(
            "scan_start_lateness_seconds", "Grid instant to the start of the scan.", edges
        )
        self.scans = self._counter("scans_total", "Complete scans by outcome.", ["outcome"])
        self.overruns = self._counter(
            "scan_overruns_total", "Scans that ended after their deadline."
        )
        self.skipped = self._counter(
            "scan_skipped_total", "Grid instants passed over because a scan ran too long."
        )
        self.last_scan = self._gauge(
            "last_scan_timestamp_seconds", "Unix time of the last complete scan."
        )
        self._gauge("scan_period_seconds", "Distance of two scans.").set(labels.period_s)
        self._gauge("scan_deadline_seconds", "Time allowed from the grid instant.").set(
            labels.deadline_s
        )
        for stage in STAGES:
            self.stage_duration.labels(stage)
        for outcome in labels.outcomes:
            self.scans.labels(outcome)

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
        )

    def _actions(self, labels: Labelling) -> None:
        self.proposed = self._gauge("action_proposed", "Move of the policy.", ["tag"])
        self.corrected = self._gauge("action_corrected", "Move after the correction.", ["tag"])
        self.applied = self._gauge("action_applied", "Target accepted by the plant.", ["tag"])
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
            "correction_refused_total", "Scans without usable advice, by reason.", ["reason"]
        )
        self.novelty = self._gauge(
            "model_novelty_ratio",
            "Distance of the state from the training data over its threshold; NaN if not known.",
        )
        self.outside_bands = self._gauge(
            "model_outside_bands_ratio",
            "Share of recent one-block predictions outside their error band; NaN if not known.",
        )
        self.novelty.set(nan)
        self.outside_bands.set(nan)
        self.limit_hits = self._counter(
            "limit_hits_total", "Moves that ended at a limit of their box.", ["tag", "limit"]
        )
        self.move_ratio = self._counter(
            "move_ratio_total", "Sum of the moves written, as shares of the span.", ["tag"]
        )
        for reason in labels.refusals:
            self.refused.labels(reason)
        for name, _unit in labels.mvs:
            self.move_ratio.labels(name)
            for limit in ("low", "high"):
                self.limit_hits.labels(name, limit)

    def _performance(self, labels: Labelling) -> None:
        self.process_value = self._gauge("process_value", "Measured value.", ["tag", "unit"])
        self.setpoint = self._gauge("setpoint", "Setpoint in force.", ["tag", "unit"])
        self.iae = self._counter(
            "iae_total", "Integral of |setpoint - value| over plant time [unit s].", ["loop"]
        )
        self.in_spec = self._counter(
            "in_spec_seconds_total", "Plant time with the value inside its band.", ["loop"]
        )
        self.control = self._counter(
            "control_seconds_total", "Plant time with the controller in AUTO."
        )
        for name, _unit in labels.cvs:
            self.iae.labels(name)
            self.in_spec.labels(name)

    def _policy(self, labels: Labelling) -> None:
        self.policy_up = self._gauge(
            "policy_up", "1 while the worker of a foreign policy answers; NaN without one."
        )
        self.policy_answers = self._counter(
            "policy_answers_total", "Questions to a foreign policy, by what came of them.",
            ["answer"],
        )  # fmt: skip
        self.policy_dropped = self._counter(
            "policy_dropped_total", "Answers of a foreign policy that came after their scan."
        )
        self.policy_restarts = self._counter(
            "policy_restarts_total", "Workers of a foreign policy started after the first."
        )
        self.policy_duration = self._histogram(
            "policy_duration_seconds",
            "Question to the answer of a foreign policy.",
            [share * labels.deadline_s for share in DEADLINE_SHARES],
        )
        self.policy_up.set(nan)
        for answer in POLICY_ANSWERS:
            self.policy_answers.labels(answer)

    def _connection(self, labels: Labelling) -> None:
        self.request_duration = self._histogram(
            "opcua_request_duration_seconds",
            "Duration of an OPC UA request.",
            REQUEST_EDGES,
            ["service"],
        )
        self.request_failures = self._counter(
            "opcua_request_failures_total",
            "OPC UA requests that failed.",
            ["service", "status"],
        )
        self.reconnects = self._counter(
            "opcua_reconnects_total", "Connections made after the first."
        )
        self.connected = self._gauge("opcua_connected", "1 while a session is open.")
        self.journal_failing = self._gauge(
            "journal_failing", "1 while the last attempt to write the journal failed."
        )
        self.journal_lost = self._gauge(
            "journal_lost_records", "Records of this run that the journal had no room for."
        )
        self.journal_waiting = self._gauge(
            "journal_waiting_records", "Records that wait for the disk."
        )
        self.tag_quality = self._gauge(
            "tag_quality", "Quality of a tag: 2 good, 1 uncertain, 0 bad or missing.", ["tag"]
        )
        self.tag_source_time = self._gauge(
            "tag_source_timestamp_seconds", "Unix time the source gave to the value.", ["tag"]
        )
        for service in SERVICES:
            self.request_duration.labels(service)
            self.request_failures.labels(service, "timeout")
        for tag in labels.tags:
            self.tag_quality.labels(tag)
            self.tag_source_time.labels(tag)


class MetricsServer:
    """Serves a registry over HTTP from a daemon thread; `port` is the port really bound."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        """Bind and begin to serve.  Raises OSError when the address cannot be bound."""
        served: tuple[WSGIServer, Thread] = serve_registry(port, addr=host, registry=registry)
        self._server, self._thread = served
        self.port: int = self._server.server_port
        self.url = f"http://{host}:{self.port}/metrics"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)
