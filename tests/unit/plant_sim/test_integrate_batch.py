"""Many reactors at once: the bits of each alone, or, in the fast arithmetic, its figures."""

import numpy as np
import pytest

from plant_sim.integrate import IntegrationError, advance
from plant_sim.integrate_batch import advance_batch
from plant_sim.reactor import Parameters

COUNT = 150  # several pieces for threads, and a group of lanes that is not full


def reactors():
    rng = np.random.default_rng(3)
    x = np.empty((COUNT, 5))
    x[:, 0], x[:, 1] = rng.uniform(50.0, 500.0, COUNT), rng.uniform(0.0, 15.0, COUNT)
    x[:, 2], x[:, 3] = 10.0 ** rng.uniform(-9, -5, COUNT), rng.uniform(0.0, 200.0, COUNT)
    x[:, 4] = rng.uniform(330.0, 400.0, COUNT)  # some run away within the sample
    x[::5, 1:4] = 0.0
    u = rng.uniform([0.0, 300.0], [2.5, 350.0], (COUNT, 2))
    return x, u, [Parameters.sample_mismatch(rng) for _ in range(COUNT)]


@pytest.mark.parametrize("dt", [10.0, 300.0, 1800.0])
def test_exact_has_the_bits_of_each_reactor_alone(dt):
    x, u, parameters = reactors()
    flow = np.linspace(0.0, 2.5, COUNT)
    rows = [p.array() for p in parameters]
    after, peak = advance_batch(x, u, dt, rows, flow_feed=flow)
    for i in range(COUNT):
        alone, highest = advance(x[i], u[i], dt, parameters[i], flow_feed=flow[i])
        assert np.array_equal(after[i], alone)
        assert peak[i] == highest


def test_neighbours_and_threads_change_nothing():
    x, u, parameters = reactors()
    rows = np.array([p.array() for p in parameters])
    for arithmetic in ("exact", "fast"):
        together, _ = advance_batch(x, u, 1800.0, rows, arithmetic=arithmetic, threads=3)
        order = np.random.default_rng(4).permutation(COUNT)
        mixed, _ = advance_batch(x[order], u[order], 1800.0, rows[order], arithmetic=arithmetic)
        assert np.array_equal(mixed, together[order])
        single, _ = advance_batch(x, u, 1800.0, rows, arithmetic=arithmetic, threads=1)
        assert np.array_equal(single, together)


def test_fast_stays_within_its_error_of_exact():
    x, u, parameters = reactors()
    rows = [p.array() for p in parameters]
    for dt in (10.0, 300.0, 1800.0):
        exact, _ = advance_batch(x, u, dt, rows)
        fast, peak = advance_batch(x, u, dt, rows, arithmetic="fast")
        assert fast == pytest.approx(exact, rel=1e-6, abs=1e-30)
        assert not np.array_equal(fast, exact)
        alone, highest = advance(x[3], u[3], dt, parameters[3], arithmetic="fast")
        assert alone == pytest.approx(fast[3], rel=1e-6)
        assert highest == pytest.approx(peak[3], rel=1e-9)


def test_defaults_are_the_nominal_reactor_under_common_inputs():
    x, *_ = reactors()
    after, _ = advance_batch(x, (1.0, 345.0), 60.0)
    assert np.array_equal(after[2], advance(x[2], (1.0, 345.0), 60.0)[0])
    assert np.array_equal(x, reactors()[0])  # the states given are left alone


@pytest.mark.parametrize("arithmetic", ["exact", "fast"])
def test_a_reactor_without_solution_is_named(arithmetic):
    x, u, _ = reactors()
    x[7, 4] = np.nan
    with pytest.raises(IntegrationError, match=r"reactors \[7\]"):
        advance_batch(x, u, 10.0, arithmetic=arithmetic)


def test_what_does_not_fit_is_refused():
    x, u, _ = reactors()
    with pytest.raises(ValueError, match="allowed: \\(N, 5\\)"):
        advance_batch(x[0], u, 10.0)
    with pytest.raises(ValueError, match="arithmetic: 'quick'; allowed: exact, fast"):
        advance_batch(x, u, 10.0, arithmetic="quick")
    with pytest.raises(ValueError, match="arithmetic: 'quick'; allowed: exact, fast"):
        advance(x[0], u[0], 10.0, arithmetic="quick")
    with pytest.raises(ValueError, match="threads: 0; allowed: 1 and above"):
        advance_batch(x, u, 10.0, threads=0)
    with pytest.raises(ValueError, match="shape"):
        advance_batch(x, u[:3], 10.0)
