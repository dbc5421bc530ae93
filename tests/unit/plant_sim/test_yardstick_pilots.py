"""The yardstick pilots and the PI tuner."""

import pickle
import sys

import numpy as np
import pytest

from plant_sim.env import PolymerCSTREnv
from plant_sim.regulatory import DEFAULT_TUNING, PUBLISHED_BIAS, PiTuning
from plant_sim.yardstick import pilots, tuner
from plant_sim.yardstick.nmpc import NmpcOptions, NmpcPilot
from plant_sim.yardstick.symbolic import CasadiMissingError

SMALL = tuner.Budget(
    starts=1, scenarios=("grade_up",), suites=("nominal",), individuals=6, generations=2
)
REFERENCES = tuner.References(published=np.array([-20000.0]), optimum=np.array([-3700.0]))


def test_published_tunings_are_those_of_the_seed():
    few, many = pilots.published(3, seed=7), pilots.published(20, seed=7)
    assert few == many[:3]
    assert len({pilot.digest for pilot in many}) == 20
    assert pilots.published(3, seed=8) != few
    assert [pilot.name for pilot in few] == [f"pi_published_00{i}" for i in range(3)]
    assert all(pilot.tuning.bias == PUBLISHED_BIAS for pilot in many)


def test_no_published_tunings_are_refused():
    with pytest.raises(ValueError, match=r"count: 0; allowed: 1 and above"):
        pilots.published(0, seed=1)


def test_a_pi_pilot_is_the_dcs_with_its_tuning():
    pilot = pilots.published(1, seed=7)[0]
    env = PolymerCSTREnv(scenario="grade_up")
    seen, info = env.reset(seed=3, options=pilot.reset_options())
    pilot.begin(env, seen, info)
    assert pilot.decide(seen, info) is None
    assert env.plant.options.tuning == pilot.tuning


@pytest.mark.parametrize(
    "pilot", [pilots.robust(), pilots.nmpc(300.0), pilots.nmpc(1800.0)], ids=lambda p: p.name
)
def test_pilots_travel_between_processes(pilot):
    copy = pickle.loads(pickle.dumps(pilot))  # noqa: S301
    assert copy == pilot
    assert copy.digest == pilot.digest


def test_the_digest_changes_with_the_options():
    default, other = NmpcPilot(), NmpcPilot(options=NmpcOptions(ceiling_K=350.0))
    assert default.digest == NmpcPilot().digest
    assert default.digest != other.digest
    assert default.digest != pilots.robust().digest


def test_without_casadi_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "casadi", None)
    for make in (pilots.optimum, lambda: pilots.nmpc(300.0)):
        with pytest.raises(CasadiMissingError, match=r"pip install .* '\.\[dev\]'"):
            make()


def test_a_sample_time_without_blocks_is_refused():
    with pytest.raises(ValueError, match=r"sample_time_s: 600.0; allowed: 300.0, 1800.0"):
        pilots.nmpc(600.0)


def test_the_tuner_beats_a_bad_tuning_and_repeats_itself():
    seen = []
    found = tuner.tune(
        seed=1, budget=SMALL, references=REFERENCES, progress=lambda *at: seen.append(at)
    )
    cell = ("nominal", "grade_up")
    published = PiTuning(kp=(2e-3, 0.1), ki=(1e-6, 2e-5))
    assert found.scores[cell] > tuner.scores(published, SMALL, REFERENCES)[0]
    assert found.scores[cell] >= found.default_scores[cell]
    assert [generation for generation, _ in seen] == [1, 2]
    assert tuner.tune(seed=1, budget=SMALL, references=REFERENCES).tuning == found.tuning


class FullActionWithoutOverride(pilots.PiPilot):
    def reset_options(self):
        tuning = PiTuning(kp=(0.0, 0.0), ki=(0.0, 0.0), bias=(2.5, 350.0))
        return {"tuning": tuning, "override_on_K": 500.0, "override_off_K": 500.0}


def test_the_tuner_pays_for_what_is_above_the_limit():
    hot = FullActionWithoutOverride(name="hot", tuning=DEFAULT_TUNING)
    _, lost = tuner.fly_cell(hot, "nominal", "startup", 1)
    _, calm = tuner.fly_cell(pilots.robust(), "nominal", "startup", 1)
    assert lost >= 50.0
    assert calm == 0.0


def test_the_robust_tuning_is_no_worse_than_the_dcs_default():
    budget = tuner.Budget(starts=1, suites=("nominal",))
    references = tuner.References(
        published=np.array([-96000.0, -15000.0, -20000.0]),
        optimum=np.array([-51500.0, -2400.0, -3700.0]),
    )
    robust = tuner.scores(pilots.robust().tuning, budget, references).min()
    assert robust >= tuner.scores(DEFAULT_TUNING, budget, references).min()


def test_what_one_plant_holds_another_does_not():
    env = PolymerCSTREnv(scenario="grade_up", mismatch=True)
    starts = [env.reset(seed=seed)[1] for seed in (1, 7)]
    assert pilots.reachable(env, starts[1]) is False
    env.reset(seed=1)
    assert pilots.reachable(env, starts[0]) is True


@pytest.mark.parametrize(
    ("setpoint", "disturbance", "reachable"),
    [
        ((100.0, 350.0), False, True),
        ((300.0, 350.0), False, False),
        ((110.0, 360.0), False, False),  # too hot for the coolant until less heat is drawn off
        ((110.0, 360.0), True, True),
    ],
)
def test_a_setpoint_is_reachable_where_inputs_hold_it(setpoint, disturbance, reachable):
    env = PolymerCSTREnv(disturbance=disturbance)
    _, info = env.reset(seed=1, options={"setpoint": setpoint})
    assert pilots.reachable(env, info) is reachable
