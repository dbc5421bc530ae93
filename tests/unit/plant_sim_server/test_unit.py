"""R101 without a server: loops, hand-shake and instruments together."""

from datetime import UTC, datetime

import numpy as np
import pytest

from plant_sim.plant import LoopMode, PlantOptions
from plant_sim.regulatory import OVERRIDE_OUTPUT
from plant_sim.unit.handshake import ApcMode, Handshake, ShedOption, take_lease
from plant_sim.unit.reactor_unit import ReactorUnit, Refusal
from plant_sim.unit.tag_image import grade_of, tag_image
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import Grade
from plant_sim.unit.writes import apply_write

FEED = "R101/MV/InitiatorFeed"
COOLANT = "R101/MV/CoolantTemperature"
SPAN = (2.5, 50.0)


class Rows:
    def __init__(self):
        self.rows = []

    def record(self, row):
        self.rows.append(row)


def make_unit(scenario: str = "grade_up", **options) -> ReactorUnit:
    return ReactorUnit(
        scenario=scenario,
        seed=1,
        options=PlantOptions(**options),
        hand=Handshake(),
        speed=1.0,
        trend=Rows(),
    )


def write(unit: ReactorUnit, path: str, value, session: str = "apc", now_s: float = 0.0):
    refusal = apply_write(unit, path, value, session, now_s)
    unit.settle(now_s)
    return refusal


def activate(unit: ReactorUnit, now_s: float = 0.0) -> None:
    unit.hand, _ = take_lease(unit.hand, "apc", "test", 1e9, now_s)
    write(unit, "APC/HeartbeatIn", unit.hand.heartbeat + 1, now_s=now_s)
    write(unit, "APC/Mode", 2, now_s=now_s)
    write(unit, "APC/Request", True, now_s=now_s)  # noqa: FBT003
    assert unit.hand.active


def image(unit: ReactorUnit) -> dict:
    return tag_image(unit, 0, 0.0, datetime(2025, 1, 1, tzinfo=UTC))


def test_the_image_shows_every_tag_and_nothing_else():
    assert set(image(make_unit())) == {tag.path for tag in TAGS}


def test_entry_holds_the_outputs_and_targets_then_take_effect():
    unit = make_unit()
    unit.advance(600.0, 0.0)
    before = unit.plant.actual
    activate(unit)
    unit.advance(60.0, 0.0)
    assert np.array_equal(unit.plant.actual, before)
    write(unit, f"{FEED}/Target", float(before[0]) - 0.3)
    unit.advance(10.0, 0.0)
    assert unit.plant.actual[0] == pytest.approx(before[0] - 0.3)
    write(unit, f"{FEED}/Target", 0.0)
    unit.advance(10.0, 0.0)
    assert unit.plant.actual[0] == pytest.approx(before[0] - 0.8)  # MaxMove 0.5
    shown = image(unit)
    assert shown[f"{FEED}/Target"] == 0.0
    assert shown[f"{FEED}/Status"] == "RCAS RATE LIMIT"


def test_first_target_may_come_with_the_request_in_one_write():
    unit = make_unit()
    unit.hand, _ = take_lease(unit.hand, "apc", "test", 1e9, 0.0)
    track = image(unit)[f"{FEED}/Track"]
    apply_write(unit, "APC/HeartbeatIn", 1, "apc", 0.0)
    apply_write(unit, "APC/Mode", 2, "operator", 0.0)
    apply_write(unit, f"{FEED}/Target", track + 0.01, "apc", 0.0)
    apply_write(unit, "APC/Request", True, "apc", 0.0)  # noqa: FBT003
    unit.settle(0.0)
    assert unit.hand.active
    unit.advance(10.0, 0.0)
    assert unit.plant.actual[0] == track + 0.01


@pytest.mark.parametrize("name", [FEED, COOLANT])
def test_the_pi_takes_over_from_the_actual_outputs(name):
    unit = make_unit(noise=True)
    activate(unit)
    start = image(unit)[f"{name}/Track"]
    move = -0.4 if name == FEED else -8.0
    write(unit, f"{name}/Target", start + move)
    unit.advance(1800.0, 0.0)
    actual = unit.plant.actual
    unit.advance(10.0, 100.0)  # heartbeat is stale: shed before the next scan
    assert not unit.hand.active
    assert unit.hand.shed_reason == "heartbeat lost"
    unit.advance(10.0, 100.0)
    assert np.all(np.abs(unit.plant.actual - actual) <= 0.005 * np.array(SPAN))


def test_shed_option_safe_cools_until_acknowledged():
    unit = make_unit()
    unit.hand = Handshake(shed_option=ShedOption.SAFE)
    activate(unit)
    unit.settle(100.0)
    unit.advance(10.0, 100.0)
    assert np.array_equal(unit.plant.actual, OVERRIDE_OUTPUT)
    assert image(unit)[f"{FEED}/Status"] == "SAFE"
    write(unit, "APC/Mode", 1, now_s=100.0)
    unit.advance(10.0, 100.0)
    assert image(unit)[f"{FEED}/Status"] == "PI"
    assert unit.plant.actual[0] == pytest.approx(0.0, abs=0.005 * 2.5)


def test_operator_takes_one_mv_and_gives_it_back_without_a_bump():
    unit = make_unit()
    activate(unit)
    actual = float(unit.plant.actual[0])
    write(unit, f"{FEED}/Mode", int(LoopMode.MAN))
    shown = image(unit)
    assert shown[f"{FEED}/Output"] == actual
    assert shown[f"{FEED}/Permit"] is False
    assert shown[f"{COOLANT}/Permit"] is True
    write(unit, f"{FEED}/Output", 0.7)
    write(unit, f"{FEED}/Target", 2.0)
    unit.advance(10.0, 0.0)
    assert unit.plant.actual[0] == 0.7
    write(unit, f"{FEED}/Mode", int(LoopMode.RCAS), now_s=2.0)
    unit.advance(10.0, 2.0)
    assert unit.plant.actual[0] == 0.7
    assert image(unit)[f"{FEED}/Track"] == 0.7


def test_output_is_refused_outside_man():
    unit = make_unit()
    assert write(unit, f"{FEED}/Output", 1.0) is Refusal.INVALID_STATE


def test_crossed_limits_are_refused_and_change_nothing():
    unit = make_unit()
    assert write(unit, f"{FEED}/HiLim", 1.5) is None
    assert write(unit, f"{FEED}/LoLim", 1.6) is Refusal.OUT_OF_RANGE
    assert write(unit, f"{FEED}/LoLim", 1.5) is None
    assert write(unit, f"{FEED}/HiLim", 1.4) is Refusal.OUT_OF_RANGE
    assert (unit.loops[0].lo_lim, unit.loops[0].hi_lim) == (1.5, 1.5)


def test_limits_bind_the_target_at_once_and_show_as_windup():
    unit = make_unit()
    activate(unit)
    track = image(unit)[f"{FEED}/Track"]
    write(unit, f"{FEED}/HiLim", track - 0.2)
    shown = image(unit)
    assert shown[f"{FEED}/WindupHi"] is True
    assert shown[f"{FEED}/WindupLo"] is False
    assert shown[f"{FEED}/Status"] == "RCAS HIGH LIMIT"
    unit.advance(10.0, 0.0)
    assert unit.plant.actual[0] == pytest.approx(track - 0.2)


def test_grade_writes_both_setpoints_and_custom_cannot_be_chosen():
    unit = make_unit()
    assert write(unit, "R101/Grade", int(Grade.G140)) is None
    assert unit.setpoint == [140.0, 355.0]
    assert image(unit)["R101/Grade"] == Grade.G140
    write(unit, "R101/SP/PolymerConc", 141.0)
    assert grade_of(unit.setpoint) is Grade.CUSTOM
    assert write(unit, "R101/Grade", int(Grade.CUSTOM)) is Refusal.OUT_OF_RANGE


def test_hold_is_refused_as_shed_option():
    unit = make_unit()
    assert write(unit, "APC/ShedOption", int(ShedOption.HOLD)) is Refusal.OUT_OF_RANGE
    assert write(unit, "APC/ShedOption", int(ShedOption.SAFE)) is None


def test_leased_tags_refuse_every_other_session():
    unit = make_unit()
    activate(unit)
    for path, value in (
        ("APC/HeartbeatIn", 99),
        ("APC/Request", False),
        (f"{FEED}/Target", 0.0),
        (f"{COOLANT}/Target", 300.0),
    ):
        assert write(unit, path, value, session="other") is Refusal.ACCESS_DENIED
    assert unit.hand.active
    assert unit.hand.heartbeat == 1


def test_override_raises_init_and_the_targets_follow_it():
    unit = make_unit("startup", override_on_K=340.0, override_off_K=330.0)
    unit.advance(10.0, 0.0)
    shown = image(unit)
    assert shown[f"{FEED}/Init"] is True
    assert shown["APC/Permit"] is False
    assert shown[f"{FEED}/Status"] == "OVERRIDE"
    assert (shown[f"{FEED}/Track"], shown[f"{COOLANT}/Track"]) == OVERRIDE_OUTPUT


def test_a_trip_sheds_and_is_shown():
    unit = make_unit()
    activate(unit)
    unit.plant.emergency_stop()
    unit.advance(10.0, 0.0)
    shown = image(unit)
    assert shown["SIS/Tripped"] is True
    assert shown["SIS/FirstOut"] == "emergency stop"
    assert shown["APC/ShedReason"] == "trip"
    assert shown["APC/Active"] is False
    assert shown[f"{FEED}/Status"] == "TRIP"
    assert (shown[f"{FEED}/Actual"], shown[f"{COOLANT}/Actual"]) == (0.0, 300.0)


def test_a_bad_cv_takes_the_permit_but_not_control_at_once():
    unit = make_unit()
    activate(unit)
    assert unit.inject("Temperature", "bad_quality", 0.0, 3600.0) is None
    unit.settle(0.0)
    assert unit.hand.active
    assert not unit.hand.permit
    unit.advance(1860.0, 0.0)
    assert not unit.hand.active


def test_faults_need_a_known_tag_and_kind():
    unit = make_unit()
    assert unit.inject("R101/PV/Pressure", "freeze", 0.0, 1.0) is Refusal.OUT_OF_RANGE
    assert unit.inject("Temperature", "explode", 0.0, 1.0) is Refusal.OUT_OF_RANGE
    assert unit.inject("*", "nan", 0.0, 60.0) is None
    assert not any(reading.good for reading in unit.readings.values())


def test_reset_begins_anew():
    unit = make_unit(noise=True)
    activate(unit)
    write(unit, f"{FEED}/HiLim", 2.0)
    write(unit, "APC/Diagnostics/CycleMs", 5.0)
    unit.inject("*", "bad_quality", 0.0, 1e6)
    unit.advance(3600.0, 0.0)
    unit.reset("startup", 7)
    shown = image(unit)
    assert shown["Sim/PlantTime"] == 0.0
    assert shown["Sim/Scenario"] == "startup"
    assert shown["Sim/Seed"] == 7
    assert shown["APC/Mode"] == ApcMode.MANUAL
    assert shown["APC/Active"] is False
    assert shown[f"{FEED}/HiLim"] == 2.5
    assert shown["APC/Diagnostics/CycleMs"] == 0.0
    assert shown["R101/PV/Temperature"].good
    assert shown["R101/SP/PolymerConc"] == 100.0
    assert shown["Sim/Truth/PeakTemperature"] == shown["Sim/Truth/Temperature"]
    assert unit.episode == 1


def test_reset_refuses_an_unknown_scenario_and_leaves_the_episode_alone():
    unit = make_unit()
    unit.advance(60.0, 0.0)
    with pytest.raises(ValueError, match="shutdown"):
        unit.reset("shutdown", 0)
    assert unit.plant.time_s == 60.0
    assert unit.episode == 0


def test_a_grade_change_starts_at_its_steady_point():
    unit = make_unit("grade_down")
    state = unit.plant.state
    assert unit.setpoint == [state[3], state[4]]


@pytest.mark.parametrize("step_s", [0.05, 7.0, 150.0, 86.4])
def test_the_trend_has_one_row_a_minute_whatever_the_tick(step_s):
    unit = make_unit("startup", noise=True)
    for _ in range(max(8, int(200.0 / step_s))):
        unit.advance(step_s, 0.0)
    rows = unit._trend.rows
    times = [row.plant_time_s for row in rows]
    assert times == pytest.approx([60.0 * n for n in range(len(rows))], abs=1e-6)
    assert unit.plant.time_s - times[-1] < 60.0
    assert all(row.peak_T >= row.state[4] for row in rows)
    assert unit.peak_T >= max(row.peak_T for row in rows)


def test_a_reactor_that_cannot_be_integrated_stops_the_simulation_until_reset():
    unit = make_unit()
    unit.plant._state[4] = np.nan
    unit.advance(60.0, 0.0)
    assert unit.paused
    assert "integrated" in unit.failure
    assert not any(reading.good for reading in unit.readings.values())
    assert write(unit, "Sim/Paused", False) is Refusal.INVALID_STATE  # noqa: FBT003
    unit.reset("startup", 0)
    assert not unit.paused
    assert unit.readings["Temperature"].good
    unit.advance(60.0, 0.0)
    assert unit.plant.time_s == 60.0
