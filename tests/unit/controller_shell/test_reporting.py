"""What scans leave in metrics, journal and diagnostics."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from structlog.testing import capture_logs

from controller.core.conditions import Condition
from controller.core.report import CycleReport
from controller.core.state import Mode, ModeState
from controller.core.types import (
    Advised,
    Late,
    Move,
    MoveOrigin,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    OperatorMode,
    Refused,
    Tick,
    Written,
    flags,
    vector,
)
from controller.journal.writer import Event
from controller.metrics import Labelling, Metrics
from controller.reporting import OUTCOMES, REFUSALS, Reporter
from controller.testing import plain_advice, plain_binding, plain_readings
from models.runtime import AdviceRequest, ProcessSample, Refusal, RefusalReason

UTC_NOW = datetime(2026, 1, 1, tzinfo=UTC)
TWO = vector([50.0, 50.0])
REQUEST = AdviceRequest(
    sample=ProcessSample(plant_time_s=0.0, cv=TWO, sp=TWO, mv=TWO, dv=vector([50.0])),
    low=vector([40.0, 40.0]),
    high=vector([60.0, 60.0]),
    range_low=vector([0.0, 0.0]),
    range_high=vector([100.0, 100.0]),
    windup_low=flags([False, False]),
    windup_high=flags([False, False]),
    freeze=False,
)
AUTO = ModeState(mode=Mode.AUTO, acknowledged=True)


class Rig:
    def __init__(self, **binding) -> None:
        self.metrics = Metrics(
            Labelling(
                cvs=[("CV0", "kg/m3"), ("CV1", "kg/m3")],
                mvs=[("MV0", "kg/m3"), ("MV1", "kg/m3")],
                tags=[],
                modes=[mode.value for mode in Mode],
                outcomes=OUTCOMES,
                refusals=[str(reason) for reason in REFUSALS],
                period_s=1.0,
                deadline_s=0.5,
                version="0",
                model_name="m",
                model_version="1",
                model_sha256="0",
            )
        )
        self.records: list = []
        self.reporter = Reporter(
            metrics=self.metrics,
            binding=replace(plain_binding(2, 2, 1), **binding),
            spans=[100.0, 100.0],
            record=self.keep,
        )

    def keep(self, item) -> bool:
        self.records.append(item)
        return True

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"trimtab_{name}", labels) or 0.0

    def events(self, kind: str) -> list[dict]:
        return [i.detail for i in self.records if isinstance(i, Event) and i.kind == kind]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def report(**changes) -> CycleReport:
    whole = CycleReport(
        tick=Tick(scan_id=1, due_s=0.0, started_s=0.001, budget_s=0.5, skipped=0),
        utc=UTC_NOW,
        before=AUTO,
        after=AUTO,
        readings=plain_readings(),
        proposal=NotAsked(reason="test"),
        move=None,
        outcome=NotWritten(reason=NotWrittenReason.NOTHING_TO_WRITE),
        conditions=(),
        duration_s=0.01,
        deadline_s=0.5,
        stage_s={"read": 0.001},
    )
    return replace(whole, **changes)


def moved(low: float, high: float, **changes) -> CycleReport:
    """A scan that wrote (low, high)."""
    targets = vector([low, high])
    advice = replace(plain_advice(targets, gap=1e-9), policy_move=vector([low, high - 10.0]))
    return report(
        proposal=Advised(advice=advice, request=REQUEST, elapsed_s=0.004),
        move=Move(
            targets=targets,
            write=flags([True, True]),
            request=True,
            origin=MoveOrigin.CORRECTION,
        ),
        outcome=Written(),
        **changes,
    )


def test_every_scan_is_recorded_timed_and_counted(rig):
    late = Tick(scan_id=2, due_s=0.0, started_s=0.2, budget_s=0.3, skipped=3)
    rig.reporter.scan(report())
    rig.reporter.scan(report(tick=late, duration_s=0.4, deadline_s=0.3))
    assert len(rig.records) == 2
    assert rig.value("scans_total", outcome="nothing") == 2
    assert rig.value("scan_overruns_total") == 1
    assert rig.value("scan_skipped_total") == 3
    assert rig.value("scan_duration_seconds_count") == 2
    assert rig.value("scan_start_lateness_seconds_sum") == pytest.approx(0.201)


def test_moves_are_shown_as_proposed_corrected_and_applied(rig):
    rig.reporter.scan(moved(45.0, 60.0))
    assert rig.value("action_proposed", tag="MV1") == 50.0
    assert rig.value("action_corrected", tag="MV1") == 60.0
    assert rig.value("action_applied", tag="MV1") == 60.0
    assert rig.value("limit_hits_total", tag="MV1", limit="high") == 1
    assert rig.value("limit_hits_total", tag="MV0", limit="high") == 0
    assert rig.value("correction_norm_ratio_sum") == pytest.approx(0.1)
    assert rig.value("scans_total", outcome="written") == 1


def test_travel_counts_from_track_and_then_from_the_last_target(rig):
    rig.reporter.scan(moved(45.0, 50.0))
    rig.reporter.scan(moved(55.0, 50.0))
    assert rig.value("move_ratio_total", tag="MV0") == pytest.approx(0.05 + 0.10)
    assert rig.value("move_ratio_total", tag="MV1") == 0.0


def test_a_move_that_was_not_accepted_is_not_applied(rig):
    refused = NotWritten(reason=NotWrittenReason.REJECTED)
    rig.reporter.scan(replace(moved(45.0, 60.0), outcome=refused))
    assert rig.value("action_applied", tag="MV0") == 0.0
    assert rig.value("move_ratio_total", tag="MV0") == 0.0
    assert rig.value("limit_hits_total", tag="MV1", limit="high") == 0
    assert rig.value("scans_total", outcome="not_written") == 1


@pytest.mark.parametrize(
    ("proposal", "reason"),
    [
        (Late(request=REQUEST, elapsed_s=1.0), "late"),
        (NotAsked(reason="x"), "not_asked"),
        (
            Refused(
                refusal=Refusal(reason=RefusalReason.NOT_CERTIFIED, detail=""),
                request=REQUEST,
                elapsed_s=0.0,
            ),
            "not_certified",
        ),
    ],
)
def test_scans_without_usable_advice_are_counted_by_reason(rig, proposal, reason):
    rig.reporter.scan(report(proposal=proposal))
    assert rig.value("correction_refused_total", reason=reason) == 1


def test_performance_counts_in_plant_time(rig):
    readings = plain_readings(cv=vector([49.9, 40.0]), elapsed_s=300.0)
    rig.reporter.scan(report(readings=readings))
    assert rig.value("iae_total", loop="CV0") == pytest.approx(30.0)
    assert rig.value("iae_total", loop="CV1") == pytest.approx(3000.0)
    assert rig.value("in_spec_seconds_total", loop="CV0") == 300.0
    assert rig.value("in_spec_seconds_total", loop="CV1") == 0.0
    assert rig.value("control_seconds_total") == 300.0


def test_values_that_must_not_be_used_count_nowhere(rig):
    readings = plain_readings(cv=vector([np.nan, 50.0]), elapsed_s=np.nan)
    rig.reporter.scan(report(readings=readings))
    assert rig.value("iae_total", loop="CV0") == 0.0
    assert rig.value("control_seconds_total") == 0.0


def test_a_change_of_mode_is_logged_counted_and_journaled_with_its_cause(rig):
    shed = ModeState(mode=Mode.SHED, reason="the lease is not held")
    with capture_logs() as lines:
        rig.reporter.scan(
            report(after=shed, conditions=(Condition.LEASE_LOST, Condition.NO_PERMIT))
        )
    assert [(line["event"], line["log_level"]) for line in lines if line["event"] == "mode"] == [
        ("mode", "warning")
    ]
    labels = {"from_mode": "AUTO", "to_mode": "SHED", "reason": "lease_lost"}
    assert rig.value("mode_transitions_total", **labels) == 1
    assert rig.events("mode")[0]["reason"] == "the lease is not held"
    assert rig.value("mode", trimtab_mode="SHED") == 1.0


def test_a_scan_that_changes_nothing_is_not_logged(rig):
    with capture_logs() as lines:
        for _ in range(3):
            rig.reporter.scan(moved(45.0, 50.0))
    assert lines == []


def test_acts_of_the_operator_are_journaled(rig):
    first = plain_readings()
    handshake = replace(first.handshake, operator=OperatorMode.SHADOW)
    limits = replace(first.limits, high=vector([100.0, 70.0]))
    second = replace(first, handshake=handshake, sp=vector([50.0, 55.0]), limits=limits)
    rig.reporter.scan(report(readings=first))
    assert rig.events("operator") == []
    rig.reporter.scan(report(readings=second))
    acts = {act["what"]: (act["before"], act["after"]) for act in rig.events("operator")}
    assert acts == {
        "mode": ("auto", "shadow"),
        "setpoint": ([50.0, 50.0], [50.0, 55.0]),
        "high_limit": ([100.0, 100.0], [100.0, 70.0]),
    }


def test_a_selector_that_a_shed_put_back_is_no_act_of_the_operator():
    rig, first = Rig(mode_on_shed=0), plain_readings()
    back = replace(first, handshake=replace(first.handshake, operator=OperatorMode.MANUAL))
    rig.reporter.scan(report(readings=first))
    rig.reporter.scan(report(readings=back, after=ModeState(mode=Mode.SHED)))
    assert rig.events("operator") == []
    assert [event["after"] for event in rig.events("selector")] == ["manual"]
    rig.reporter.scan(report(readings=first, after=ModeState(mode=Mode.SHED)))
    assert [event["after"] for event in rig.events("operator")] == ["auto"]


def test_a_lost_value_is_no_act_of_the_operator(rig):
    first = plain_readings()
    rig.reporter.scan(report(readings=first))
    rig.reporter.scan(report(readings=replace(first, sp=vector([np.nan, 50.0]))))
    rig.reporter.scan(report(readings=replace(first, connected=False, sp=vector([1.0, 1.0]))))
    assert rig.events("operator") == []


def test_diagnostics_are_finite_and_in_the_servers_units(rig):
    assert rig.reporter.diagnostics() == {}
    rig.reporter.scan(moved(45.0, 60.0))
    told = rig.reporter.diagnostics()
    assert told["diagnostics.cycle_ms"] == pytest.approx(10.0)
    assert told["diagnostics.advice_ms"] == pytest.approx(4.0)
    assert told["diagnostics.advisory.MV1"] == 60.0
    assert all(np.isfinite(value) for value in told.values())


@pytest.mark.parametrize(
    ("mode", "certified", "shown"),
    [(mode, True, mode in {Mode.SHADOW, Mode.AUTO}) for mode in Mode]
    + [(Mode.AUTO, False, False), (Mode.SHADOW, False, False)],
)
def test_moves_are_shown_to_the_dcs_in_shadow_and_auto_when_certified(rig, mode, certified, shown):
    whole = moved(45.0, 60.0, after=ModeState(mode=mode))
    advice = replace(whole.proposal.advice, gap=1e-9 if certified else math.inf)
    rig.reporter.scan(replace(whole, proposal=replace(whole.proposal, advice=advice)))
    told = rig.reporter.diagnostics()
    assert ("diagnostics.advisory.MV0" in told) is shown
    assert "diagnostics.cycle_ms" in told


def test_novelty_is_a_gauge_of_the_scan_that_was_advised_and_nothing_else(rig):
    rig.reporter.scan(moved(10.0, 50.0))
    assert math.isnan(rig.value("model_novelty_ratio"))
    whole = moved(10.0, 50.0)
    advice = replace(whole.proposal.advice, novelty=1.5, outside_bands=0.125)
    rig.reporter.scan(replace(whole, proposal=replace(whole.proposal, advice=advice)))
    assert rig.value("model_novelty_ratio") == 1.5
    assert rig.value("model_outside_bands_ratio") == 0.125
    rig.reporter.scan(report())
    assert math.isnan(rig.value("model_novelty_ratio"))
