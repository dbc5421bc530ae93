"""The equations against an independent transcription, and the plant's known facts."""

import math

import numpy as np
import pytest

from plant_sim.integrate import advance
from plant_sim.reactor import NOMINAL, Parameters, rhs, steady_inputs, steady_point, steady_state


def equations(x, u, k):
    """The equations of arXiv 2507.22640 written out a second time, in plain Python."""
    A, I, R, P, T = x  # noqa: E741
    rg = 8.314
    k_d = k.k_d * 1e9 * math.exp(-125e3 / (rg * T))
    k_p = k.k_p * 4e4 * math.exp(-25e3 / (rg * T))
    k_t = k.k_t * 1e6 * math.exp(-15e3 / (rg * T))
    f_a = 100.0 * k.F_A
    q = (u[0] + f_a + 80.0) / 1000.0 / 3600.0
    r = k_p * R * A
    feed_T = 350.0 + k.feed_temperature_offset_K
    heat = 1e5 * r / 0.1 - 500.0 * k.UA * (T - u[1]) + q * 1000.0 * 2000.0 * (feed_T - T)
    return [
        f_a / 3600.0 - q * A - r,
        u[0] / 3600.0 - q * I - k_d * I,
        2.0 * k_d * I / 0.165 - 2.0 * k_t * R * R,
        r - q * P,
        heat / (1000.0 * 2000.0),
    ]


MISMATCHED = Parameters(k_d=0.8, k_p=1.1, k_t=1.2, UA=0.9, F_A=1.05, feed_temperature_offset_K=-3.0)


@pytest.mark.parametrize("parameters", [NOMINAL, MISMATCHED])
@pytest.mark.parametrize(
    "x", [[440.0, 0.0, 0.0, 0.0, 350.0], [400.0, 10.0, 2e-6, 140.0, 355.0], [50, 5, 1e-4, 450, 520]]
)
@pytest.mark.parametrize("u", [(0.0, 300.0), (1.7, 341.0), (2.5, 350.0)])
def test_rhs_is_the_published_equations(x, u, parameters):
    expected = np.array(equations(x, u, parameters))
    # terms cancel in the balances: compare against the size of the largest term, not of the sum
    scale = np.array([0.03, 1e-3, 1e-9, 0.03, 0.03]) + np.abs(expected)
    assert np.all(np.abs(rhs(x, u, parameters) - expected) <= 1e-12 * scale)


@pytest.mark.parametrize(
    ("product", "inputs"),
    [((100.0, 350.0), (1.79, 339.9)), ((140.0, 355.0), (1.96, 341.9))],
)
def test_known_steady_inputs(product, inputs):
    assert steady_inputs(*product) == pytest.approx(inputs, abs=0.051)
    assert steady_inputs(*product)[0] == pytest.approx(inputs[0], abs=0.0051)


@pytest.mark.parametrize("product", [(150.0, 355.0), (180.0, 360.0), (113.0, 350.0), (70.0, 345.0)])
def test_reachable_products_are_steady_points(product):
    x, u = steady_point(*product)
    assert tuple(x[3:]) == product
    assert np.all(np.abs(rhs(x, u)) * 3600.0 <= 1e-9 * np.maximum(x, 1e-9))
    assert steady_state(u) == pytest.approx(x, rel=1e-9)


@pytest.mark.parametrize("product", [(120.0, 350.0), (100.0, 330.0), (600.0, 350.0), (-1.0, 350.0)])
def test_unreachable_product_is_an_error_that_names_it(product):
    with pytest.raises(ValueError, match=f"P = {product[0]} kg/m3"):
        steady_point(*product)


def test_steady_gains_at_the_middle_product():
    u = steady_inputs(100.0, 350.0)
    step = 1e-3 * np.eye(2)
    gains = [(steady_state(u + d) - steady_state(u - d))[3:] / 2e-3 for d in step]
    assert gains[0] == pytest.approx([48.0, 4.1], rel=0.02)
    assert gains[1] == pytest.approx([11.6, 1.8], rel=0.02)


def simulate(x, u, hours):
    peaks = []
    for _ in range(int(hours * 60)):
        x, peak = advance(x, u, 60.0)
        peaks.append(peak)
    return x, np.array(peaks)


def test_two_kelvin_more_coolant_settles_and_five_run_away():
    x, u = steady_point(100.0, 350.0)
    _, mild = simulate(x, np.add(u, (0.0, 2.0)), 60.0)
    assert mild.max() == pytest.approx(355.0, abs=0.5)
    _, runaway = simulate(x, np.add(u, (0.0, 5.0)), 12.0)
    assert np.argmax(runaway > 370.0) / 60.0 == pytest.approx(5.4, abs=0.15)
    assert runaway.max() == pytest.approx(525.0, abs=2.0)


def test_full_action_from_startup_runs_away():
    _, peaks = simulate([440.0, 0.0, 0.0, 0.0, 350.0], (2.5, 350.0), 12.0)
    assert 500.0 < peaks.max() < 580.0


@pytest.mark.parametrize(("start_T", "recovers"), [(370.0, True), (375.0, True), (380.0, False)])
def test_point_of_no_return_under_full_cooling(start_T, recovers):
    _, peaks = simulate([430.0, 13.0, 3e-6, 100.0, start_T], (0.0, 300.0), 4.0)
    assert (peaks.max() < 380.0) == recovers


def test_steady_state_without_initiator_is_the_feed_mixed():
    x = steady_state((0.0, 345.0))
    assert x[:4] == pytest.approx([100.0 / 0.18, 0.0, 0.0, 0.0], rel=1e-12)
    assert 345.0 < x[4] < 350.0


@pytest.mark.parametrize(
    ("name", "value"), [("k_d", 0.0), ("UA", -1.0), ("F_A", float("nan")), ("k_t", float("inf"))]
)
def test_impossible_parameters_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"Parameters.{name}"):
        Parameters(**{name: value})


def test_impossible_feed_temperature_is_refused():
    with pytest.raises(ValueError, match="feed_temperature_offset_K"):
        Parameters(feed_temperature_offset_K=float("nan"))


def test_mismatch_covers_its_ranges_and_no_more():
    rng = np.random.default_rng(0)
    drawn = [Parameters.sample_mismatch(rng) for _ in range(500)]
    for name, low, high in (
        *((rate, 0.8, 1.2) for rate in ("k_d", "k_p", "k_t", "UA")),
        ("F_A", 0.9, 1.1),
        ("feed_temperature_offset_K", -3.0, 3.0),
    ):
        values = np.array([getattr(p, name) for p in drawn])
        assert values.min() >= low
        assert values.max() <= high
        assert np.ptp(values) > 0.95 * (high - low)


def test_disturbance_takes_feed_and_heat_transfer():
    before, after = MISMATCHED.array(), MISMATCHED.disturbed().array()
    assert after / before == pytest.approx([1.0, 1.0, 1.0, 0.85, 0.90, 1.0])
