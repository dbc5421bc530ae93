"""The Gymnasium environment."""

import subprocess
import sys
import timeit
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import plant_sim
from plant_sim.env import PolymerCSTREnv
from plant_sim.plant import LoopCommand, LoopMode, Plant, PlantOptions
from plant_sim.reactor import steady_inputs
from plant_sim.regulatory import PiTuning
from plant_sim.scenarios import SCENARIOS

ID = "plant_sim/PolymerCSTR-v0"
EVERYTHING = {
    "scenario": "grade_up",
    "sample_time_s": 1800.0,
    "noise": True,
    "mismatch": True,
    "disturbance": True,
    "actuators": True,
    "flow_lag": True,
    "episode_hours": 100.0,
}


@pytest.mark.parametrize("options", [{}, {"noise": True, "scenario": "grade_down"}, EVERYTHING])
def test_passes_gymnasiums_checker(options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(ID, **options).unwrapped)
    # the action is in physical units on purpose; the checker would like it within [-1, 1]
    unexpected = [
        str(w.message) for w in caught if "symmetric and normalized" not in str(w.message)
    ]
    assert unexpected == []


def test_importing_the_package_registers_and_compiles_nothing():
    assert plant_sim.__doc__
    code = (
        "import sys, plant_sim, gymnasium\n"
        f"assert '{ID}' in gymnasium.registry\n"
        "assert 'numba' not in sys.modules\n"
        "assert not any(m.startswith('plant_sim.') for m in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_spaces():
    env = PolymerCSTREnv()
    assert env.action_space.low.tolist() == [0.0, 300.0]
    assert env.action_space.high.tolist() == [2.5, 350.0]
    assert env.observation_space.shape == (7,)


def test_observation_and_info_agree():
    env = PolymerCSTREnv(scenario="grade_up")
    observation, info = env.reset(seed=5)
    assert observation[:3] == pytest.approx(info["state"][[0, 3, 4]])
    assert observation[3:5].tolist() == [140.0, 355.0]
    assert observation[5:] == pytest.approx(info["actual"])
    observation, reward, terminated, truncated, info = env.step(np.array([1.9, 341.0]))
    assert observation[5:].tolist() == [1.9, 341.0]
    error = info["state"][3:] - info["setpoint"]
    assert reward == pytest.approx(-(error @ error) * 300.0 / 1800.0)
    assert not terminated
    assert not truncated
    assert info["time_s"] == 300.0
    assert info["peak_T"] >= info["state"][4]
    assert info["mean_actual"] == pytest.approx([1.9, 341.0])
    assert info["override_s"] == 0.0
    assert info["tripped"] is False


def test_the_environment_is_the_plant():
    env = PolymerCSTREnv(scenario="startup", noise=True, mismatch=True)
    env.reset(seed=21)
    plant = Plant(SCENARIOS["startup"], seed=21, options=PlantOptions(noise=True, mismatch=True))
    modes = (LoopMode.RCAS, LoopMode.RCAS)
    for feed in (1.0, 2.0, 0.3):
        observation, *_, info = env.step([feed, 343.0])
        plant.step(300.0, LoopCommand(mode=modes, setpoint=(100, 350), target=(feed, 343.0)))
        assert np.array_equal(info["state"], plant.state)
        measured = plant.measure()
        assert observation[:3].tolist() == [measured.A, measured.P, measured.T]


def test_reset_without_a_seed_goes_on_with_new_episodes():
    one, two = PolymerCSTREnv(), PolymerCSTREnv()
    first = [one.reset(seed=1)[0], one.reset()[0], one.reset()[0]]
    second = [two.reset(seed=1)[0], two.reset()[0], two.reset()[0]]
    assert np.array_equal(first, second)
    assert len({tuple(observation) for observation in first}) == 3


def test_time_truncates_and_does_not_terminate():
    env = PolymerCSTREnv(episode_hours=1.0)
    env.reset(seed=0)
    ends = [env.step([1.0, 345.0])[2:4] for _ in range(12)]
    assert ends == [(False, False)] * 11 + [(False, True)]


def test_a_trip_terminates():
    env = PolymerCSTREnv()
    env.reset(
        seed=0, options={"initial_state": [430.0, 13, 3e-6, 120, 367.9], "override_on_K": 400.0}
    )
    _, _, terminated, truncated, info = env.step([2.5, 350.0])
    assert terminated
    assert not truncated
    assert info["tripped"] is True
    assert info["first_out"] == "reactor temperature high-high"
    assert info["peak_T"] >= 368.0


@pytest.mark.parametrize("wrong", [[np.nan, 340.0], [1.0, np.inf], [1.0], [[1.0, 340.0]]])
def test_an_action_that_is_no_number_is_refused(wrong):
    env = PolymerCSTREnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(wrong)


def test_an_action_outside_the_box_is_limited():
    env = PolymerCSTREnv()
    env.reset(seed=0)
    *_, info = env.step(np.array([-3.0, 1e6]))
    assert info["actual"].tolist() == [0.0, 350.0]


def test_reset_options():
    env = PolymerCSTREnv(scenario="grade_up")
    tuning = PiTuning(kp=(0.0, 0.0), ki=(0.0, 0.0), bias=(1.2, 341.0))
    state = [450.0, 9.8, 1.5e-6, 100.0, 350.0]
    observation, info = env.reset(
        seed=0,
        options={
            "tuning": tuning,
            "setpoint": (90.0, 349.0),
            "initial_state": state,
            "initial_actual": (1.2, 341.0),
        },
    )
    assert info["state"].tolist() == state
    assert info["setpoint"].tolist() == [90.0, 349.0]
    assert observation[3:].tolist() == [90.0, 349.0, 1.2, 341.0]
    *_, info = env.step_regulatory()
    assert info["actual"].tolist() == [1.2, 341.0], "a PI without gains holds its bias"
    *_, info = env.step_regulatory(bias_offset=(0.1, -1.0))
    assert info["mean_actual"] == pytest.approx([1.3, 340.0])
    _, info = env.reset(seed=0)
    assert info["setpoint"].tolist() == [140.0, 355.0]
    assert env.plant.options.tuning != tuning


def test_override_limits_by_reset():
    env = PolymerCSTREnv()
    hot = [430.0, 13.0, 2.5e-6, 120.0, 359.0]
    env.reset(
        seed=0, options={"initial_state": hot, "override_on_K": 358.0, "override_off_K": 355.0}
    )
    assert env.step([2.5, 350.0])[4]["override_s"] > 0.0
    env.reset(seed=0, options={"initial_state": hot})
    assert env.step([1.0, 330.0])[4]["override_s"] == 0.0


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"tunning": None}, ValueError, "tunning"),
        ({"tuning": (0.1, 1.0)}, TypeError, "tuning"),
        ({"setpoint": (float("nan"), 350.0)}, ValueError, "setpoint"),
        ({"setpoint": (100.0,)}, ValueError, "setpoint"),
        ({"initial_state": [1, 2, 3]}, ValueError, "initial state"),
        ({"initial_actual": (5.0, 340.0)}, ValueError, "inputs"),
        ({"override_off_K": 370.0}, ValueError, "override_on_K"),
    ],
)
def test_bad_reset_options_are_refused_by_name(options, error, named):
    with pytest.raises(error, match=named):
        PolymerCSTREnv().reset(seed=0, options=options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"scenario": "shutdown"}, "startup, grade_down, grade_up"),
        ({"sample_time_s": 0.0}, "sample_time_s"),
        ({"episode_hours": float("nan")}, "episode_hours"),
        ({"render_mode": "human"}, "render_mode"),
    ],
)
def test_bad_arguments_are_refused_by_name(options, named):
    with pytest.raises(ValueError, match=named):
        PolymerCSTREnv(**options)


def test_stepping_before_reset_says_so():
    with pytest.raises(RuntimeError, match="reset"):
        PolymerCSTREnv().step([1.0, 340.0])


def test_the_pi_takes_over_from_the_agent_without_a_bump():
    env = PolymerCSTREnv(scenario="grade_up", sample_time_s=10.0)
    env.reset(seed=3)
    for _ in range(60):
        env.step([2.2, 338.0])
    *_, info = env.step_regulatory()
    assert info["actual"] == pytest.approx([2.2, 338.0], abs=1e-9)


def test_disturbance_at_half_of_the_episode():
    quiet, disturbed = (
        PolymerCSTREnv(scenario="grade_up", episode_hours=4.0, disturbance=on)
        for on in (False, True)
    )
    action = steady_inputs(100.0, 350.0)
    same = []
    quiet.reset(seed=2)
    disturbed.reset(seed=2)
    for _ in range(48):
        pair = [env.step(action)[4]["state"] for env in (quiet, disturbed)]
        same.append(np.array_equal(*pair))
    assert same == [True] * 24 + [False] * 24


def test_vector_environments():
    envs = gymnasium.make_vec(ID, num_envs=3, vectorization_mode="sync", noise=True)
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (3, 7)
    observations, rewards, *_ = envs.step(np.tile([1.5, 341.0], (3, 1)))
    assert np.all(rewards < 0.0)
    assert len(np.unique(observations[:, 0])) == 3


def test_a_sample_takes_well_under_200_microseconds():
    env = PolymerCSTREnv(noise=True, episode_hours=1000.0)
    env.reset(seed=0)
    action = np.array([1.5, 341.0])
    best = min(timeit.repeat(lambda: env.step(action), repeat=20, number=20)) / 20
    assert best < 200e-6


def test_a_loop_in_manual_keeps_the_operators_output_and_returns_without_a_bump():
    env = gymnasium.make("plant_sim/PolymerCSTR-v0", scenario="grade_up").unwrapped
    _, start = env.reset(seed=1)
    feed = float(start["actual"][0]) - 0.1
    *_, info = env.step_regulatory(manual=(feed, np.nan))
    assert info["mean_actual"][0] == pytest.approx(feed)
    assert info["mean_actual"][1] != start["actual"][1]
    *_, after = env.step_regulatory()
    assert after["mean_actual"][0] == pytest.approx(feed, abs=0.1)
    with pytest.raises(ValueError, match="manual"):
        env.step_regulatory(manual=(np.inf, 340.0))


def test_a_setpoint_changes_within_an_episode():
    env = gymnasium.make("plant_sim/PolymerCSTR-v0", scenario="grade_up").unwrapped
    env.reset(seed=1)
    env.change_setpoint((90.0, 348.0))
    seen, *_ = env.step_regulatory()
    assert seen[3:5].tolist() == [90.0, 348.0]
    with pytest.raises(ValueError, match="setpoint"):
        env.change_setpoint((90.0, 900.0))


def test_the_move_limit_is_what_the_actuators_follow():
    """0.5 kg/h and 10 K in 30 min, over a sample and the lag; no limit without actuators."""
    slow = gymnasium.make("plant_sim/PolymerCSTR-v0", actuators=True).unwrapped
    np.testing.assert_allclose(slow.move_limit, [0.1, 2.0])
    assert np.isinf(gymnasium.make("plant_sim/PolymerCSTR-v0").unwrapped.move_limit).all()
