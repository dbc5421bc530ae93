"""The optimum of a perfect model: attained on the plant, and above everybody else."""

import gymnasium
import numpy as np
import pytest

import plant_sim.env  # noqa: F401  (registers the environment)

pytest.importorskip("casadi", reason="the optimum needs CasADi, of the dev extra")
from plant_sim.yardstick import optimum


def _episode(pilot, *, hours=12.0, seed=3, **options):
    env = gymnasium.make(
        "plant_sim/PolymerCSTR-v0", sample_time_s=300.0, episode_hours=hours, **options
    ).unwrapped
    seen, info = env.reset(seed=seed)
    if pilot is not None:
        pilot.begin(env, seen, info)
    total, peak, done = 0.0, 0.0, False
    while not done:
        if pilot is None:
            _, reward, tripped, over, info = env.step_regulatory()
        else:
            _, reward, tripped, over, info = env.step(pilot.decide(seen, info))
        total, peak, done = total + reward, max(peak, info["peak_T"]), tripped or over
    return total, peak


def _problem(*, scenario="startup", samples=144, seed=3, **options):
    env = gymnasium.make("plant_sim/PolymerCSTR-v0", scenario=scenario, **options).unwrapped
    env.reset(seed=seed)
    return optimum.Problem(
        state=env.plant.state,
        actual=env.plant.actual,
        setpoint=np.array(env.scenario.setpoint),
        parameters=env.plant.parameter_rows,
        disturbed_at=samples // 2,
        samples=samples,
        sample_time_s=300.0,
        actuators=options.get("actuators", False),
    )


@pytest.mark.parametrize("scenario", ["startup", "grade_down", "grade_up"])
def test_the_plant_gives_what_the_program_promised(scenario):
    promised = optimum.optimise(_problem(scenario=scenario, mismatch=True))
    assert promised.solved
    total, peak = _episode(optimum.OptimumPilot(), scenario=scenario, mismatch=True)
    assert total == pytest.approx(promised.objective, rel=1e-5)
    assert peak < 363.0  # the override never acts
    assert total > _episode(None, scenario=scenario, mismatch=True)[0]


def test_a_disturbance_is_known_beforehand():
    total, peak = _episode(optimum.OptimumPilot(), scenario="grade_up", disturbance=True)
    assert total == pytest.approx(
        optimum.optimise(_problem(scenario="grade_up", disturbance=True)).objective, rel=1e-5
    )
    assert peak < 363.0


def test_actuators_are_planned_for():
    options = {"scenario": "grade_up", "actuators": True}
    promised = optimum.optimise(_problem(**options))
    total, _ = _episode(optimum.OptimumPilot(), **options)
    assert total == pytest.approx(promised.objective, rel=5e-3)
    assert total < _episode(optimum.OptimumPilot(), scenario="grade_up")[0]


@pytest.mark.parametrize("seed", [501, 502])
def test_a_startup_feeds_from_the_first_sample(seed, monkeypatch):
    """With three collocation points these starts ended in an optimum that was none."""
    good = optimum.optimise(_problem(seed=seed))
    assert good.inputs[0, 0] == pytest.approx(2.5, abs=1e-3)
    monkeypatch.setattr(optimum, "DEGREE", 3)
    optimum._solver.cache_clear()
    assert optimum.optimise(_problem(seed=seed)).objective < good.objective - 100.0
    optimum._solver.cache_clear()
