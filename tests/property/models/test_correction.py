"""The minimiser: certified, inside the box, bounded, deterministic, for any problem."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from models.online.correction import BoxProblem, minimise

EXACT = {"gap_absolute": 1e-9, "gap_relative": 1e-6, "max_iterations": 100}


def random_problem(seed, n, ceilings, *, scale=1.0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, n))
    low = rng.normal(size=n)
    width = np.where(rng.random(n) < 0.2, 0.0, rng.exponential(1.0, n))
    return BoxProblem(
        hessian=scale * (root @ root.T + 0.1 * np.eye(n)),
        linear=scale * rng.normal(size=n) * 5.0,
        constant=scale * float(rng.random()),
        ceiling_rows=rng.normal(size=(ceilings, n)),
        ceiling_offset=rng.normal(size=ceilings),
        ceiling_penalty=scale * float(10.0 ** rng.uniform(-2, 3)),
        low=low,
        high=low + width,
    )


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 30), ceilings=st.integers(0, 12))
def test_every_problem_is_certified_inside_the_box(seed, n, ceilings):
    problem = random_problem(seed, n, ceilings)
    start = np.random.default_rng(seed + 1).normal(size=n) * 10.0
    solved = minimise(problem, start, **EXACT)
    assert np.all(solved.z >= problem.low)
    assert np.all(solved.z <= problem.high)
    assert solved.gap >= -1e-12
    assert solved.gap <= 1e-9 + 1e-6 * abs(solved.cost)
    again = minimise(problem, start, **EXACT)
    assert again.z.tobytes() == solved.z.tobytes()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-12, 1e-6, 1.0, 1e6, 1e12]))
def test_badly_scaled_problems_end_and_say_what_they_are(seed, scale):
    problem = random_problem(seed, 10, 4, scale=scale)
    solved = minimise(problem, np.zeros(10), **EXACT)
    assert solved.iterations <= 100
    assert solved.gap <= 1e-9 + 1e-6 * abs(solved.cost)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 12), ceilings=st.integers(0, 6))
def test_no_other_solver_finds_a_lower_cost_than_the_gap_allows(seed, n, ceilings):
    problem = random_problem(seed, n, ceilings)
    solved = minimise(problem, np.zeros(n), **EXACT)
    other = minimize(
        problem.cost,
        0.5 * (problem.low + problem.high),
        jac=problem.gradient,
        bounds=list(zip(problem.low, problem.high, strict=True)),
        method="L-BFGS-B",
    )
    assert solved.cost - other.fun <= solved.gap + 1e-9 * (1.0 + abs(solved.cost))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 20), ceilings=st.integers(0, 8))
def test_the_gap_bounds_the_distance_to_the_minimum_anywhere(seed, n, ceilings):
    problem = random_problem(seed, n, ceilings)
    rng = np.random.default_rng(seed)
    best = minimise(problem, problem.low, **EXACT)
    for _ in range(5):
        z = rng.uniform(problem.low, problem.high)
        gap = problem.gap(z, problem.gradient(z))
        assert problem.cost(z) - best.cost <= gap + 1e-9 * (1.0 + abs(best.cost))


def test_input_that_is_not_finite_gets_no_certificate():
    for bad in (np.nan, np.inf):
        problem = random_problem(3, 6, 2)
        problem.linear[2] = bad
        solved = minimise(problem, np.zeros(6), **EXACT)
        assert not solved.gap <= 1e-9 + 1e-6 * abs(solved.cost)
