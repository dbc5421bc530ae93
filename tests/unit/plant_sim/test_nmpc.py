"""The NMPC: on spec without offset on a plant it does not know, inside its bounds, repeatable."""

import numpy as np
import pytest
from scipy.optimize import minimize

from plant_sim.env import PolymerCSTREnv
from plant_sim.reactor import INPUT_HIGH, INPUT_LOW, NOMINAL, steady_point
from plant_sim.yardstick import pilots
from plant_sim.yardstick.horizon import Quadratic, minimise_box
from plant_sim.yardstick.nmpc import Nmpc, NmpcOptions, NmpcPilot
from plant_sim.yardstick.observer import DISTURBANCES, Observer


def fly(pilot, samples, **switches):
    env = PolymerCSTREnv(**switches)
    seen, info = env.reset(seed=11, options=pilot.reset_options())
    pilot.begin(env, seen, info)
    moves, errors, peak = [], [], 0.0
    for _ in range(samples):
        moves.append(pilot.decide(seen, info))
        seen, _, _, _, info = env.step(moves[-1])
        errors.append(info["state"][3:] - info["setpoint"])
        peak = max(peak, info["peak_T"])
    return np.array(moves), np.array(errors), peak


@pytest.mark.parametrize("scenario", ["startup", "grade_up"])
def test_no_offset_on_a_plant_that_differs_from_the_model(scenario):
    pilot = pilots.nmpc(300.0)
    moves, errors, peak = fly(pilot, 300, scenario=scenario, mismatch=True)
    assert np.abs(errors[-36:].mean(axis=0)).max() < 0.01
    assert peak < 363.0
    assert (moves >= INPUT_LOW).all()
    assert (moves <= INPUT_HIGH).all()
    assert pilot.held == 0


def test_the_same_start_gives_the_same_moves():
    first, *_ = fly(pilots.nmpc(1800.0), 20, sample_time_s=1800.0, noise=True)
    again, *_ = fly(pilots.nmpc(1800.0), 20, sample_time_s=1800.0, noise=True)
    assert (first == again).all()


def test_the_plan_keeps_to_what_the_valves_can_do():
    controller = Nmpc(NmpcOptions(), rate_limited=True)
    seen = np.array([450.0, 0.0, 350.0, 100.0, 350.0, 1.0, 345.0])
    controller.start(seen)
    move = np.abs(controller.decide(seen) - seen[5:])
    assert move.max() > 0.0
    assert (move <= np.array([0.5, 10.0]) * 300.0 / 1800.0 + 1e-9).all()


def test_plans_that_slow_valves_can_follow_never_need_the_override():
    _, errors, peak = fly(pilots.nmpc(300.0), 250, scenario="grade_up", actuators=True)
    assert peak < 363.0
    assert np.abs(errors[-36:].mean(axis=0)).max() < 0.01


def test_a_missing_reading_is_bridged_and_a_missing_setpoint_holds_the_last_move():
    pilot = NmpcPilot()
    env = PolymerCSTREnv(scenario="grade_up")
    seen, info = env.reset(seed=1)
    pilot.begin(env, seen, info)
    seen, *_, info = env.step(pilot.decide(seen, info))
    seen[2] = np.nan
    move = pilot.decide(seen, info)
    assert np.isfinite(move).all()
    assert pilot.noted == {"refused": 0.0}
    seen, *_, info = env.step(move)
    seen[3] = np.nan
    assert (pilot.decide(seen, info) == move).all()
    assert pilot.held == 1
    assert pilot.noted == {"refused": 1.0}


@pytest.mark.parametrize("kind", DISTURBANCES)
def test_the_observer_of_the_model_itself_finds_no_disturbance(kind):
    state, inputs = steady_point(100.0, 350.0, NOMINAL)
    observer = Observer(kind=kind, sample_time_s=300.0, disturbance_sd=(0.02, 0.02, 0.02))
    observer.start(state[[0, 3, 4]], inputs)
    assert observer.z[:4] == pytest.approx(state[[0, 1, 3, 4]], abs=1e-3)
    assert np.abs(observer.z[4:]).max() < 1e-3


def test_an_unknown_disturbance_is_refused():
    observer = Observer(kind="weather", sample_time_s=300.0, disturbance_sd=(0.1, 0.1, 0.1))
    with pytest.raises(ValueError, match=r"'weather'; allowed: inputs, balances, factors"):
        observer.start(np.array([300.0, 100.0, 350.0]), np.array([1.8, 340.0]))


@pytest.mark.parametrize("seed", range(5))
def test_the_box_problem_has_the_minimum_of_a_general_solver(seed):
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((24, 24))
    q = Quadratic(
        H=factor @ factor.T + np.eye(24),
        g=10.0 * rng.standard_normal(24),
        G=rng.standard_normal((50, 24)),
        t=rng.standard_normal(50),
    )
    low, high = np.full(24, -0.3), np.full(24, 0.3)
    found = q.value(minimise_box(q, low, high))
    general = minimize(q.value, np.zeros(24), bounds=list(zip(low, high, strict=True)))
    assert found <= general.fun + 1e-6 * abs(general.fun)
