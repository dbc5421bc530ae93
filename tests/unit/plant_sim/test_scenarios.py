"""Where episodes start."""

import numpy as np
import pytest

from plant_sim.reactor import NOMINAL, Parameters, rhs
from plant_sim.scenarios import SCENARIOS, scenario_named


def test_the_three_scenarios_and_their_targets():
    targets = {name: scenario.setpoint for name, scenario in SCENARIOS.items()}
    assert targets == {
        "startup": (100.0, 350.0),
        "grade_down": (70.0, 345.0),
        "grade_up": (140.0, 355.0),
    }


def test_startup_range():
    starts = [SCENARIOS["startup"].draw_start(np.random.default_rng(i)) for i in range(300)]
    states = np.array([s.state for s in starts])
    assert np.all(states[:, 1:4] == 0.0)
    assert states[:, 0].min() >= 330.0
    assert states[:, 0].max() <= 550.0
    assert np.ptp(states[:, 0]) > 200.0
    assert states[:, 4].min() >= 345.0
    assert states[:, 4].max() <= 355.0
    assert all(s.actual.tolist() == [1.0, 345.0] and s.cold for s in starts)
    assert all(s.setpoint.tolist() == [100.0, 350.0] for s in starts)


@pytest.mark.parametrize("name", ["grade_down", "grade_up"])
def test_grade_changes_start_steady_inside_their_range(name):
    points = []
    for i in range(200):
        start = SCENARIOS[name].draw_start(np.random.default_rng(i))
        assert np.all(np.abs(rhs(start.state, start.actual)) * 3600.0 <= 1e-6)
        assert np.array_equal(start.setpoint, start.state[3:])
        assert not start.cold
        points.append(start.setpoint)
    assert np.all(np.abs(np.array(points) - [100.0, 350.0]) <= [8.0, 2.0])
    assert np.all(np.ptp(points, axis=0) > [12.0, 3.0])


def test_a_plant_that_cannot_reach_the_region_starts_below_it():
    slow = Parameters(k_d=0.8, k_p=0.8, k_t=1.2)
    start = SCENARIOS["grade_up"].draw_start(np.random.default_rng(0), slow)
    assert np.all(np.abs(rhs(start.state, start.actual, slow)) * 3600.0 <= 1e-6)
    assert np.array_equal(start.setpoint, start.state[3:])
    assert 60.0 < start.setpoint[0] < 100.0


def test_nominal_is_the_default():
    a = SCENARIOS["grade_up"].draw_start(np.random.default_rng(3))
    b = SCENARIOS["grade_up"].draw_start(np.random.default_rng(3), NOMINAL)
    assert np.array_equal(a.state, b.state)


def test_an_unknown_scenario_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'shutdown'; allowed: startup, grade_down, grade_up"):
        scenario_named("shutdown")
