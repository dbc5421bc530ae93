"""What scans leave in metrics, journal and diagnostics."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import numpy as np
import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from structlog.testing import capture_logs

from controller.core.conditions import Condition, Effect, Effects
from controller.core.modes import next_mode
from controller.core.report import CycleReport, Supervision
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
    Partial,
    Quality,
    Refused,
    Tick,
    WriteFailure,
    Written,
    flags,
    vector,
)
from controller.journal.writer import Event
from controller.metrics import Labelling, Metrics
from controller.reporting import TRANSITIONS, Reporter
from controller.scan_meter import OUTCOMES, REFUSALS, Ceiling, Yardsticks
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


YARDSTICKS = Yardsticks(
    low=vector([0.0, 0.0]),
    high=vector([100.0, 100.0]),
    ceilings=(Ceiling(name="CV1.safe_high", cv=1, value=80.0, span=100.0),),
    horizon_s=300.0,
)


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
                transitions=TRANSITIONS,
                constraints=["CV1.safe_high"],
            )
        )
        self.records: list = []
        self.reporter = Reporter(
            metrics=self.metrics,
            binding=replace(plain_binding(2, 2, 1), **binding),
            yardsticks=YARDSTICKS,
            record=self.keep,
        )

    def keep(self, item) -> bool:
        self.records.append(item)
        return True

    def value(self, name: str, **labels: str) -> float:
        found = self.metrics.registry.get_sample_value(f"trimtab_{name}", labels)
        assert found is not None, f"{name} {labels}"
        return found

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
    assert math.isnan(rig.value("action_applied", tag="MV0"))
    assert rig.value("move_ratio_total", tag="MV0") == 0.0
    assert rig.value("limit_hits_total", tag="MV1", limit="high") == 0
    assert rig.value("scans_total", outcome="not_written") == 1


def test_an_mv_that_was_not_written_hits_no_limit_and_shows_no_target(rig):
    rig.reporter.scan(moved(45.0, 60.0))
    whole = moved(40.0, 60.0, readings=plain_readings(available=flags([False, True])))
    kept = replace(whole.move, targets=vector([np.nan, 60.0]), write=flags([False, True]))
    rig.reporter.scan(replace(whole, move=kept))
    assert math.isnan(rig.value("action_applied", tag="MV0"))
    assert rig.value("action_applied", tag="MV1") == 60.0
    assert rig.value("limit_hits_total", tag="MV0", limit="low") == 0
    assert rig.value("limit_hits_total", tag="MV1", limit="high") == 2
    rig.reporter.scan(moved(45.0, 60.0))
    assert rig.value("action_applied", tag="MV0") == 45.0
    assert rig.value("move_ratio_total", tag="MV0") == pytest.approx(0.05 + 0.05)


def test_of_a_move_that_was_accepted_in_part_that_part_is_shown(rig):
    failure = WriteFailure(tag="mv.MV1.target", status="BadNotWritable")
    outcome = Partial(failures=(failure,))
    rig.reporter.scan(replace(moved(45.0, 60.0), outcome=outcome))
    assert rig.value("action_applied", tag="MV0") == 45.0
    assert math.isnan(rig.value("action_applied", tag="MV1"))
    assert rig.value("move_ratio_total", tag="MV0") == pytest.approx(0.05)
    assert rig.value("move_ratio_total", tag="MV1") == 0.0


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
    assert rig.value("control_seconds_total") == rig.value("plant_seconds_total") == 300.0


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
    assert math.isnan(rig.value("ood_score"))
    whole = moved(10.0, 50.0)
    advice = replace(whole.proposal.advice, novelty=1.5, outside_bands=0.125)
    rig.reporter.scan(replace(whole, proposal=replace(whole.proposal, advice=advice)))
    assert rig.value("ood_score") == 1.5
    assert rig.value("model_outside_bands_ratio") == 0.125
    rig.reporter.scan(report())
    assert math.isnan(rig.value("ood_score"))


def test_without_advice_or_command_a_move_is_not_shown_as_if_it_stood(rig):
    rig.reporter.scan(moved(45.0, 60.0))
    rig.reporter.scan(report(after=ModeState(mode=Mode.SHED)))
    for name in ("action_proposed", "action_corrected", "action_applied"):
        assert math.isnan(rig.value(name, tag="MV0")), name


def test_the_margin_to_a_ceiling_and_the_plant_time_beyond_it(rig):
    labels = {"constraint": "CV1.safe_high"}
    assert math.isnan(rig.value("constraint_margin_ratio", **labels))
    for value in (50.0, 85.0, 81.0):
        readings = plain_readings(cv=vector([50.0, value]), elapsed_s=300.0)
        rig.reporter.scan(report(readings=readings))
    assert rig.value("constraint_margin_ratio", **labels) == pytest.approx(-0.01)
    assert rig.value("constraint_violation_seconds_total", **labels) == 600.0
    rig.reporter.scan(report(readings=plain_readings(cv=vector([50.0, np.nan]))))
    assert math.isnan(rig.value("constraint_margin_ratio", **labels))
    assert rig.value("constraint_violation_seconds_total", **labels) == 600.0


def look(**changes) -> Supervision:
    whole = Supervision(
        utc=UTC_NOW, readings=plain_readings(), before=AUTO, after=AUTO, conditions=()
    )
    return replace(whole, **changes)


def test_margin_and_quality_are_of_the_last_look_and_not_of_the_last_scan(rig):
    labels = {"constraint": "CV1.safe_high"}
    rig.reporter.scan(report(readings=plain_readings(cv=vector([50.0, 70.0]))))
    assert rig.value("constraint_margin_ratio", **labels) == pytest.approx(0.1)
    rig.reporter.look(look(readings=plain_readings(cv=vector([50.0, 85.0]))))
    assert rig.value("constraint_margin_ratio", **labels) == pytest.approx(-0.05)
    assert rig.value("constraint_violation_seconds_total", **labels) == 0.0
    quality = {"cv.CV1.pv": Quality.BAD}
    unread = plain_readings(cv=vector([50.0, np.nan]), quality=quality)
    rig.reporter.look(look(readings=unread))
    assert math.isnan(rig.value("constraint_margin_ratio", **labels))
    assert rig.reporter.quality == quality


def test_between_scans_no_target_is_shown_of_what_the_controller_has_let_go(rig):
    rig.reporter.scan(moved(45.0, 60.0))
    rig.reporter.look(look())
    assert rig.value("action_applied", tag="MV0") == 45.0
    rig.reporter.look(look(readings=plain_readings(available=flags([False, True]))))
    assert math.isnan(rig.value("action_applied", tag="MV0"))
    assert rig.value("action_applied", tag="MV1") == 60.0
    rig.reporter.look(look(after=ModeState(mode=Mode.SHED)))
    assert math.isnan(rig.value("action_applied", tag="MV1"))
    assert rig.value("mode", trimtab_mode=Mode.SHED.value) == 1.0


def test_limits_are_those_in_force(rig):
    readings = plain_readings()
    limits = replace(readings.limits, high=vector([100.0, 70.0]))
    rig.reporter.scan(report(readings=replace(readings, limits=limits)))
    assert rig.value("action_limit", tag="MV1", limit="high") == 70.0
    assert rig.value("action_limit", tag="MV1", limit="low") == 0.0
    assert rig.value("process_limit", tag="CV1", unit="kg/m3", limit="safe_high") == 80.0
    assert rig.value("process_limit", tag="CV0", unit="kg/m3", limit="high") == 100.0


def predicting(at_s: float, *, cv: float, predicted: float, **changes) -> CycleReport:
    """A scan at a plant time that writes, reads CV0, and predicts CV0 for the next."""
    whole = moved(45.0, 60.0, **changes)
    readings = plain_readings(cv=vector([cv, 50.0]), plant_time_s=at_s)
    ahead = np.array([[predicted, 50.0], [0.0, 0.0]])
    advice = replace(whole.proposal.advice, predicted=ahead)
    return replace(whole, readings=readings, proposal=replace(whole.proposal, advice=advice))


def test_a_prediction_is_compared_with_what_came_true(rig):
    rig.reporter.scan(predicting(0.0, cv=10.0, predicted=12.0))
    assert math.isnan(rig.value("prediction_error_ratio", output="CV0"))
    rig.reporter.scan(predicting(300.0, cv=13.0, predicted=20.0))
    assert rig.value("prediction_error_ratio", output="CV0") == pytest.approx(0.01)
    assert rig.value("prediction_error_ratio", output="CV1") == 0.0


def test_a_prediction_of_another_instant_or_of_a_move_not_made_is_not_compared(rig):
    refused = NotWritten(reason=NotWrittenReason.REJECTED)
    error = {"name": "prediction_error_ratio", "output": "CV0"}
    rig.reporter.scan(predicting(0.0, cv=10.0, predicted=12.0))
    rig.reporter.scan(predicting(600.0, cv=13.0, predicted=20.0))
    assert math.isnan(rig.value(**error))
    rig.reporter.scan(replace(predicting(900.0, cv=10.0, predicted=12.0), outcome=refused))
    assert rig.value(**error) == pytest.approx(0.1)
    rig.reporter.scan(predicting(1200.0, cv=13.0, predicted=20.0))
    assert rig.value(**error) == pytest.approx(0.1), "the move of 900 s was not made"
    rig.reporter.scan(report(after=ModeState(mode=Mode.SHED)))
    assert math.isnan(rig.value(**error))


def test_the_time_to_no_return_is_that_of_the_advice(rig):
    assert math.isnan(rig.value("time_to_no_return_seconds"))
    whole = moved(10.0, 50.0)
    advice = replace(whole.proposal.advice, time_to_no_return_s=math.inf)
    rig.reporter.scan(replace(whole, proposal=replace(whole.proposal, advice=advice)))
    assert rig.value("time_to_no_return_seconds") == math.inf


def test_what_a_scan_measures_names_the_scan(rig):
    rig.reporter.scan(moved(45.0, 60.0))
    text = generate_latest(rig.metrics.registry).decode()
    for name in ("scan_duration_seconds", "scan_start_lateness_seconds", "correction_gap"):
        lines = [line for line in text.splitlines() if line.startswith(f"trimtab_{name}_bucket")]
        assert sum('# {scan_id="1"}' in line for line in lines) == 1, name


def test_every_change_of_mode_of_the_machine_has_its_series_before_it_happens():
    known = {(before, after) for before, after, _ in TRANSITIONS}
    reachable = set()
    flags = [Effect.NONE, *Effect, Effect.SHED | Effect.HOLD]
    operators = [*OperatorMode, None]
    for mode, held, flag, operator in product(Mode, range(3), flags, operators):
        for armed in (False, True):
            state = ModeState(mode=mode, armed=armed, holds=held, waits=held, acknowledged=True)
            after = next_mode(state, Effects(flags=flag), operator).mode
            reachable |= {(mode.value, after.value)} if after is not mode else set()
    assert reachable == known
