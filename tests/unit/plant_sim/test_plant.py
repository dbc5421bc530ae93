"""The plant as a device: measurement, modes, override, interlock, actuators, options."""

from dataclasses import replace

import numpy as np
import pytest

from plant_sim.integrate import advance
from plant_sim.interlock import TripCause
from plant_sim.plant import LoopCommand, LoopMode, Plant, PlantOptions
from plant_sim.reactor import steady_inputs
from plant_sim.regulatory import PiTuning
from plant_sim.scenarios import SCENARIOS, Start

REMOTE = (LoopMode.RCAS, LoopMode.RCAS)
MANUAL = (LoopMode.MAN, LoopMode.MAN)


def make(scenario="grade_up", seed=0, start=None, **options):
    return Plant(SCENARIOS[scenario], seed=seed, options=PlantOptions(**options), start=start)


def hot(T, **options):
    """A plant that is hot and lively, still fed with initiator."""
    state = np.array([430.0, 13.0, 2.5e-6, 120.0, T])
    actual = np.array([1.9, 342.0])
    setpoint = np.array([100.0, 350.0])
    return make(start=Start(state=state, actual=actual, setpoint=setpoint, cold=False), **options)


def remote(feed, coolant):
    return LoopCommand(mode=REMOTE, setpoint=(100.0, 350.0), target=(feed, coolant))


def test_remote_targets_reach_the_reactor_unchanged():
    plant = make(seed=4)
    expected = plant.state
    for _ in range(30):
        expected, _ = advance(expected, (1.5, 341.0), 10.0)
    summary = plant.step(300.0, remote(1.5, 341.0))
    assert np.array_equal(plant.state, expected)
    assert plant.actual.tolist() == [1.5, 341.0]
    assert summary.mean_actual == pytest.approx([1.5, 341.0], rel=1e-12)
    assert plant.time_s == 300.0


def test_manual_outputs_and_a_mixture_of_modes():
    plant = make()
    plant.step(10.0, LoopCommand(mode=MANUAL, setpoint=(1, 350), output=(0.7, 333.0)))
    assert plant.actual.tolist() == [0.7, 333.0]
    mixed = LoopCommand(
        mode=(LoopMode.MAN, LoopMode.RCAS), setpoint=(1, 350), output=(0.4, 0.0), target=(9, 331)
    )
    plant.step(10.0, mixed)
    assert plant.actual.tolist() == [0.4, 331.0]


def test_outputs_outside_their_range_are_limited():
    plant = make()
    plant.step(10.0, remote(99.0, -5.0))
    assert plant.actual.tolist() == [2.5, 300.0]


@pytest.mark.parametrize("dt", [0.05, 3.0, 10.0, 25.0, 300.0, 301.5])
def test_any_step_length_covers_exactly_its_time(dt):
    plant = make(seed=2)
    expected, _ = advance(plant.state, (1.5, 341.0), dt)
    summary = plant.step(dt, remote(1.5, 341.0))
    assert plant.state == pytest.approx(expected, rel=1e-7)
    assert plant.time_s == dt
    assert summary.mean_actual == pytest.approx([1.5, 341.0], rel=1e-12)


def test_cutting_a_step_at_scan_times_changes_nothing():
    whole, cut = (make("startup", seed=8, noise=True, actuators=True) for _ in range(2))
    command = LoopCommand(setpoint=(100.0, 350.0))
    summary = whole.step(600.0, command)
    parts = [cut.step(dt, command) for dt in (10.0, 290.0, 20.0, 280.0)]
    assert np.array_equal(whole.state, cut.state)
    assert np.array_equal(whole.actual, cut.actual)
    assert whole.measure() == cut.measure()
    assert summary.peak_T == max(part.peak_T for part in parts)


def test_a_scan_of_odd_length_integrates_its_elapsed_time():
    plant = make("startup", seed=1)
    error = np.array([100.0, 350.0]) - plant.state[3:]
    plant.step(4.0, LoopCommand(setpoint=(100.0, 350.0)))
    # the feed is saturated (Kp e = 8 kg/h): its integral stands still; the other moves by Ki e dt
    assert plant.pi_output_integral[0] == 0.0
    assert plant.pi_output_integral[1] == pytest.approx(5.58e-4 * error[1] * 4.0)


def test_measurement_noise_has_the_documented_size_and_is_repeatable():
    plant = make(noise=True, seed=3)
    residuals = []
    for _ in range(2000):
        plant.step(10.0, remote(1.79, 339.9))
        measured = plant.measure()
        assert plant.measure() == measured
        residuals.append(np.array([measured.A, measured.P, measured.T]) - plant.state[[0, 3, 4]])
    assert np.std(residuals, axis=0) == pytest.approx([1.0, 1.0, 0.3], rel=0.06)
    assert np.mean(residuals, axis=0) == pytest.approx([0.0, 0.0, 0.0], abs=0.08)


def test_measuring_without_noise_is_the_truth():
    plant = make()
    measured = plant.measure()
    assert plant.state[[0, 3, 4]].tolist() == [measured.A, measured.P, measured.T]


def test_noise_changes_neither_start_nor_parameters():
    quiet, noisy = make(seed=11, mismatch=True), make(seed=11, mismatch=True, noise=True)
    assert np.array_equal(quiet.state, noisy.state)
    assert quiet.parameters == noisy.parameters
    assert quiet.measure() != noisy.measure()


def test_seeds_differ():
    assert not np.array_equal(make(seed=1).state, make(seed=2).state)
    assert make(seed=1, mismatch=True).parameters != make(seed=2, mismatch=True).parameters


def test_override_acts_in_every_mode_and_releases_below_its_lower_limit():
    commands = [
        LoopCommand(setpoint=(140.0, 355.0)),
        remote(2.5, 350.0),
        LoopCommand(mode=MANUAL, setpoint=(140, 355), output=(2.5, 350.0)),
    ]
    for command in commands:
        plant = hot(363.0)
        summary = plant.step(10.0, command)
        assert plant.override_active
        assert plant.actual.tolist() == [0.0, 310.0]
        assert summary.override_s == 10.0
        while plant.override_active:
            before = plant.state[4]
            plant.step(10.0, command)
            assert plant.time_s < 7200.0
        assert before <= 360.0, "it had not yet cooled down when the override released"
        assert not plant.tripped


def test_override_limits_are_options():
    plant = hot(359.0, override_on_K=358.0, override_off_K=355.0)
    plant.step(10.0, remote(2.5, 350.0))
    assert plant.override_active
    plant = hot(365.0, override_on_K=400.0)
    plant.step(10.0, remote(1.9, 342.0))
    assert not plant.override_active
    with pytest.raises(ValueError, match="off <= on"):
        PlantOptions(override_on_K=358.0, override_off_K=360.0)


def test_trip_is_latched_and_remembers_its_first_cause():
    plant = hot(367.9, override_on_K=400.0)
    summary = plant.step(300.0, remote(2.5, 350.0))
    assert summary.peak_T >= 368.0
    assert summary.tripped
    assert summary.first_out == TripCause.HIGH_TEMPERATURE
    assert plant.actual.tolist() == [0.0, 300.0]
    for _ in range(48):
        plant.step(1800.0, remote(2.5, 350.0))
    assert plant.state[4] < 330.0
    assert plant.tripped
    assert not plant.override_active
    assert plant.actual.tolist() == [0.0, 300.0]
    plant.emergency_stop()
    assert plant.first_out == TripCause.HIGH_TEMPERATURE


def test_trip_sees_a_peak_inside_a_scan():
    # radicals above their balance: the temperature passes 368 K and is below again at the end
    state = np.array([430.0, 0.0, 1.3e-5, 100.0, 367.97])
    start = Start(state=state, actual=np.array([0.0, 300.0]), setpoint=state[3:], cold=False)
    plant = make(start=start)
    summary = plant.step(10.0, remote(0.0, 300.0))
    assert plant.state[4] < 368.0 <= summary.peak_T
    assert summary.tripped


def test_emergency_stop():
    plant = make()
    plant.emergency_stop()
    summary = plant.step(10.0, remote(1.5, 340.0))
    assert summary.first_out == TripCause.EMERGENCY_STOP
    assert plant.actual.tolist() == [0.0, 300.0]


def test_actuators_lag_and_are_rate_limited():
    plant = make(actuators=True, seed=5)
    start = plant.actual
    plant.step(60.0, remote(start[0] + 0.01, start[1]))
    # 63 % after one time constant; the move is small enough to stay inside the rate limit
    assert plant.actual[0] - start[0] == pytest.approx(0.01 * (1.0 - np.exp(-1.0)), rel=1e-6)
    before = plant.actual
    plant.step(1800.0, remote(0.0, 300.0))
    assert plant.actual - before == pytest.approx([-0.5, -10.0], rel=1e-9)


def test_override_and_trip_are_not_held_up_by_the_rate_limits():
    plant = hot(364.0, actuators=True)
    plant.step(300.0, remote(2.5, 350.0))
    assert plant.actual == pytest.approx([0.0, 310.0], abs=0.5)


def test_disturbance_comes_at_its_time():
    quiet, disturbed = make(seed=7), make(seed=7, disturbance=True, disturbance_at_s=3600.0)
    command = remote(1.7, 340.0)
    quiet.step(3600.0, command)
    disturbed.step(3600.0, command)
    assert np.array_equal(quiet.state, disturbed.state)
    expected, _ = advance(disturbed.state, (1.7, 340.0), 10.0, disturbed.parameters.disturbed())
    disturbed.step(10.0, command)
    assert np.array_equal(disturbed.state, expected)
    quiet.step(7200.0, command)
    disturbed.step(7190.0, command)
    assert disturbed.state[0] < quiet.state[0] - 1.0


def test_flow_lag_counts_the_feed_of_the_step_before():
    plant = make(seed=9, flow_lag=True)
    plant.step(10.0, remote(2.0, 340.0))
    expected, _ = advance(plant.state, (0.5, 340.0), 10.0, flow_feed=2.0)
    plant.step(10.0, remote(0.5, 340.0))
    assert np.array_equal(plant.state, expected)


def test_dither_is_added_to_the_pi_output():
    plain, dithered = make(seed=6), make(seed=6)
    plain.step(10.0, LoopCommand(setpoint=plain.setpoint))
    dithered.step(10.0, LoopCommand(setpoint=dithered.setpoint, bias_offset=(-0.1, -2.0)))
    assert dithered.actual - plain.actual == pytest.approx([-0.1, -2.0])


def test_the_pi_acts_on_the_reading_of_its_instant():
    tuning = PiTuning(kp=(0.01, 0.5), ki=(0.0, 0.0), bias=(1.2, 341.0))
    plant = make("grade_up", seed=6, noise=True, tuning=tuning)
    plant.step(10.0, LoopCommand(mode=MANUAL, setpoint=(1, 350), output=(1.2, 341.0)))
    for seen_by in range(3):
        measured, integral = plant.measure(), plant.pi_output_integral
        error = np.array([110.0 - measured.P, 350.0 - measured.T])
        plant.step(10.0, LoopCommand(setpoint=(110.0, 350.0)))
        if seen_by > 0:  # the first scan after MAN tracks
            expected = np.array(tuning.bias) + np.array(tuning.kp) * error + integral
            assert plant.actual == pytest.approx(expected, abs=1e-9)


def test_the_mean_of_a_moving_input():
    plant, ten = make(actuators=True, seed=5), make(actuators=True, seed=5)
    seen = []
    for _ in range(6):
        ten.step(10.0, remote(2.0, 335.0))
        seen.append(ten.actual)
    ten.step(4.0, remote(2.0, 335.0))
    expected = (10.0 * np.sum(seen, axis=0) + 4.0 * ten.actual) / 64.0
    summary = plant.step(64.0, remote(2.0, 335.0))
    assert np.ptp(seen, axis=0).min() > 1e-3
    assert summary.mean_actual == pytest.approx(expected, rel=1e-12)


def test_pi_holds_a_grade_change_start_without_a_bump():
    plant = make("grade_down", seed=2)
    start = plant.actual
    plant.step(3600.0, LoopCommand(setpoint=plant.setpoint))
    assert plant.actual == pytest.approx(start, abs=1e-6)
    assert plant.state[3:] == pytest.approx(plant.setpoint, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"target": (float("nan"), 340.0)}, "target"),
        ({"target": (1.0, float("inf"))}, "target"),
        ({"target": (1.0, 2.0, 3.0)}, "target"),
        ({"setpoint": (float("nan"), 350.0)}, "setpoint"),
        ({"bias_offset": (0.0, float("nan"))}, "bias_offset"),
        ({"mode": MANUAL}, "output"),
    ],
)
def test_a_bad_command_is_refused_and_leaves_the_plant_alone(change, named):
    plant = make(noise=True)
    before, measured = plant.state, plant.measure()
    with pytest.raises(ValueError, match=named):
        plant.step(10.0, replace(remote(1.0, 340.0), **change))
    assert np.array_equal(plant.state, before)
    assert plant.measure() == measured
    assert plant.time_s == 0.0


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_bad_step_is_refused(dt):
    with pytest.raises(ValueError, match="dt_s"):
        make().step(dt, remote(1.0, 340.0))


@pytest.mark.parametrize(
    ("state", "actual"),
    [
        ([440.0, 0.0, 0.0, 0.0, 900.0], [1.0, 345.0]),
        ([440.0, -1.0, 0.0, 0.0, 350.0], [1.0, 345.0]),
        ([440.0, 0.0, 0.0, 350.0], [1.0, 345.0]),
        ([440.0, 0.0, 0.0, 0.0, 350.0], [3.0, 345.0]),
        ([440.0, 0.0, 0.0, 0.0, 350.0], [float("nan"), 345.0]),
    ],
)
def test_an_impossible_start_is_refused(state, actual):
    start = Start(
        state=np.array(state), actual=np.array(actual), setpoint=np.array([100, 350.0]), cold=True
    )
    with pytest.raises(ValueError, match="allowed"):
        make(start=start)


def test_properties_are_copies():
    plant = make()
    for array in (plant.state, plant.actual, plant.setpoint):
        array[:] = 0.0
    assert plant.state[4] > 300.0
    assert plant.actual[1] > 300.0
    assert plant.setpoint[0] > 0.0


def test_steady_inputs_hold_the_target():
    plant = make("grade_up", seed=1)
    for _ in range(50):
        plant.step(3600.0, remote(*steady_inputs(140.0, 355.0)))
    assert plant.state[3:] == pytest.approx([140.0, 355.0], abs=0.05)
