"""The integrator against SciPy's Radau at tight tolerances, per component."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from plant_sim.integrate import IntegrationError, advance
from plant_sim.reactor import Parameters, rhs, steady_point

STATES = {
    "startup": [440.0, 0.0, 0.0, 0.0, 350.0],
    "lean startup": [330.0, 0.0, 0.0, 0.0, 345.0],
    "warming": [400.0, 5.0, 1e-6, 60.0, 352.0],
    "grade change": [450.0, 9.8, 1.51e-6, 100.0, 350.0],
    "radicals far from balance": [450.0, 9.8, 5e-6, 100.0, 350.0],
    "hot": [430.0, 13.0, 3e-6, 100.0, 372.0],
    "runaway": [430.0, 13.0, 3e-6, 100.0, 395.0],
    "ignition": [300.0, 12.0, 3e-5, 200.0, 450.0],
    "burnt out": [20.0, 3.0, 1e-4, 500.0, 560.0],
}
INPUTS = [(2.5, 350.0), (1.7, 341.0), (0.0, 300.0)]
# far below 1e-6 of the smallest value each component takes on the way
REFERENCE_FLOOR = np.array([1e-9, 1e-14, 1e-20, 1e-15, 1e-9])


def reference(x, u, dt, parameters=None):
    p = parameters or Parameters()
    return solve_ivp(
        lambda _t, y: rhs(y, u, p),
        (0.0, dt),
        x,
        method="Radau",
        rtol=1e-11,
        atol=REFERENCE_FLOOR,
        dense_output=True,
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("dt", [1800.0, 300.0, 60.0, 1.0])
def test_relative_error_per_component(state, dt):
    for u in INPUTS:
        exact = reference(STATES[state], u, dt).y[:, -1]
        found, _ = advance(STATES[state], u, dt)
        assert np.all(np.abs(found - exact) <= 2e-7 * np.abs(exact)), (u, found, exact)
        fast, _ = advance(STATES[state], u, dt, arithmetic="fast")
        assert np.all(np.abs(fast - exact) <= 1e-6 * np.abs(exact)), (u, fast, exact)


def test_relative_error_with_other_parameters_and_lagged_flow():
    other = Parameters(k_d=1.2, k_p=0.8, k_t=0.8, UA=0.7, F_A=1.1, feed_temperature_offset_K=3.0)
    exact = reference(STATES["warming"], (1.0, 345.0), 1800.0, other).y[:, -1]
    found, _ = advance(STATES["warming"], (1.0, 345.0), 1800.0, other)
    assert found == pytest.approx(exact, rel=2e-7)
    lagged, _ = advance(STATES["warming"], (1.0, 345.0), 1800.0, other, flow_feed=2.0)
    assert lagged[1] < found[1]  # more flow washes more initiator out
    same, _ = advance(STATES["warming"], (1.0, 345.0), 1800.0, other, flow_feed=1.0)
    assert np.array_equal(same, found)


@pytest.mark.parametrize("state", ["hot", "runaway", "ignition", "startup"])
@pytest.mark.parametrize("u", INPUTS)
def test_peak_inside_the_step(state, u):
    solution = reference(STATES[state], u, 1800.0)
    exact = solution.sol(np.linspace(0.0, 1800.0, 20_001))[4].max()
    _, peak = advance(STATES[state], u, 1800.0)
    # at ignition the temperature climbs 100 K within a second: the grid misses a little of the top
    assert peak == pytest.approx(exact, abs=2e-3)
    assert peak >= STATES[state][4]


@pytest.mark.parametrize("radicals", [8.5e-6, 1.0e-5, 1.2e-5, 1.5e-5])
def test_peak_between_the_integrators_own_steps(radicals):
    x = [430.0, 13.0, radicals, 100.0, 366.0]  # more radicals than the balance holds
    solution = reference(x, (0.0, 300.0), 60.0)
    inside = solution.sol(np.linspace(0.0, 60.0, 60_001))[4]
    assert 0 < np.argmax(inside) < 60_000, "the case must have its peak inside"
    _, peak = advance(x, (0.0, 300.0), 60.0)
    assert peak == pytest.approx(inside.max(), abs=1e-7)
    assert peak > max(inside[0], inside[-1])


def test_a_day_of_small_steps_equals_large_ones():
    u = (1.5, 341.0)
    small = large = np.array(STATES["startup"])
    for _ in range(48):
        large, _ = advance(large, u, 1800.0)
    for _ in range(8640):
        small, _ = advance(small, u, 10.0)
    assert small == pytest.approx(large, rel=1e-6)


def test_steady_state_stays():
    x, u = steady_point(100.0, 350.0)
    after, peak = advance(x, u, 3600.0)
    assert after == pytest.approx(x, rel=1e-9)
    assert peak == pytest.approx(350.0, abs=1e-6)


def test_the_input_is_left_alone_and_a_list_will_do():
    x = np.array(STATES["warming"])
    before = x.copy()
    advance(x, [1.0, 345.0], 300.0)
    assert np.array_equal(x, before)


def test_an_impossible_state_is_an_error():
    with pytest.raises(IntegrationError, match="no solution over"):
        advance([440.0, 1.0, 1e-6, 10.0, float("nan")], (1.0, 345.0), 60.0)
