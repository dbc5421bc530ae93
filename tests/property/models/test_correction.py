"""The minimiser: certified, inside the box, bounded, deterministic, for any problem."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from models.online.box_problem import BoxProblem, Flaw, Unsolved
from models.online.correction import descend, minimise

EXACT = {"gap_absolute": 1e-9, "gap_relative": 1e-6, "max_iterations": 100}
STEPS = {"steps": 50, "rate": 0.01}


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


def corrupted(problem, how, at):
    """The problem with one number spoilt, the way memory or a broken model spoils them."""
    n = problem.linear.size
    parts = {
        "hessian": problem.hessian.copy(),
        "linear": problem.linear.copy(),
        "ceiling_rows": problem.ceiling_rows.copy(),
        "ceiling_offset": problem.ceiling_offset.copy(),
        "low": problem.low.copy(),
        "high": problem.high.copy(),
    }
    field, value = how
    part = parts[field].reshape(-1)
    part[at % part.size] = value
    if field in {"low", "high"} and np.isinf(value):
        parts[field][:] = value
    assert part.size >= n or field.startswith("ceiling")
    return dataclasses.replace(problem, **parts)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    field=st.sampled_from(["hessian", "linear", "ceiling_rows", "ceiling_offset", "low", "high"]),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    at=st.integers(0, 10**6),
)
def test_a_number_that_is_not_finite_is_refused_by_name(seed, field, value, at):
    problem = corrupted(random_problem(seed, 6, 3), (field, value), at)
    for found in (minimise(problem, np.zeros(6), **EXACT), descend(problem, np.zeros(6), **STEPS)):
        assert isinstance(found, Unsolved)
        crossed = np.any(problem.low > problem.high)
        bound = field in {"low", "high"} and not np.isnan(value)
        wanted = {Flaw.UNBOUNDED, Flaw.EMPTY_BOX} if crossed else {Flaw.UNBOUNDED}
        assert found.flaw in (wanted if bound else {Flaw.NON_FINITE})
        assert found.iterations == 0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), which=st.integers(0, 5))
def test_an_empty_box_and_a_start_that_is_not_finite_are_refused(seed, which):
    problem = random_problem(seed, 6, 2)
    low = problem.low.copy()
    low[which] = problem.high[which] + 1e-9 * (1.0 + abs(problem.high[which]))
    empty = dataclasses.replace(problem, low=low)
    assert minimise(empty, np.zeros(6), **EXACT).flaw is Flaw.EMPTY_BOX
    start = np.zeros(6)
    start[which] = np.nan
    assert minimise(problem, start, **EXACT).flaw is Flaw.NON_FINITE


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 20), depth=st.floats(1e-6, 1e6))
def test_a_cost_that_is_not_convex_is_refused(seed, n, depth):
    """One eigenvalue turned round: whatever point was found, the gap would prove nothing."""
    problem = random_problem(seed, n, 2)
    rng = np.random.default_rng(seed)
    way = rng.normal(size=n)
    way /= np.linalg.norm(way)
    down = (depth + way @ problem.hessian @ way) * np.outer(way, way)
    bent = dataclasses.replace(problem, hessian=problem.hessian - down)
    assert minimise(bent, np.zeros(n), **EXACT).flaw is Flaw.NOT_CONVEX
    lopsided = problem.hessian.copy()
    lopsided[0, -1] += 1.0
    if n > 1:
        other = dataclasses.replace(problem, hessian=lopsided)
        assert minimise(other, np.zeros(n), **EXACT).flaw is Flaw.NOT_CONVEX
    hollow = dataclasses.replace(problem, ceiling_penalty=-1.0)
    assert minimise(hollow, np.zeros(n), **EXACT).flaw is Flaw.NOT_CONVEX


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 12),
    decades=st.floats(-12.0, 12.0),
    spread=st.floats(0.0, 12.0),
)
def test_at_any_scale_the_answer_is_certified_or_refused(seed, n, decades, spread):
    """Variables whose scales lie up to twelve decades apart, at any scale of the cost."""
    problem = random_problem(seed, n, 3)
    unit = 10.0 ** np.random.default_rng(seed).uniform(-spread / 2, spread / 2, n)
    size = 10.0**decades
    scaled = dataclasses.replace(
        problem,
        hessian=size * problem.hessian * np.outer(unit, unit),
        linear=size * problem.linear * unit,
        constant=size * problem.constant,
        ceiling_rows=problem.ceiling_rows * unit,
        ceiling_penalty=size * problem.ceiling_penalty,
        low=problem.low / unit,
        high=problem.high / unit,
    )
    found = minimise(scaled, np.zeros(n), **EXACT)
    if isinstance(found, Unsolved):
        assert found.flaw in {Flaw.NOT_CERTIFIED, Flaw.NOT_CONVEX}
        assert found.iterations <= EXACT["max_iterations"]
        return
    assert np.all((scaled.low <= found.z) & (found.z <= scaled.high))
    assert found.gap <= 1e-9 + 1e-6 * abs(found.cost)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 12), budget=st.integers(0, 6))
def test_a_budget_is_kept_and_never_passes_for_a_certificate(seed, n, budget):
    problem = random_problem(seed, n, 4)
    found = minimise(
        problem, problem.low, gap_absolute=1e-9, gap_relative=1e-6, max_iterations=budget
    )
    assert found.iterations <= budget
    if isinstance(found, Unsolved):
        assert found.flaw is Flaw.NOT_CERTIFIED
        assert found.gap > 1e-9 + 1e-6 * abs(found.cost)  # the best there was, and not enough
    else:
        assert found.gap <= 1e-9 + 1e-6 * abs(found.cost)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 12))
def test_the_published_descent_is_another_controller(seed, n):
    """So many steps and no more; its end is no cheaper than the minimum, and its gap says so."""
    problem = random_problem(seed, n, 2)
    rate = 0.5 / np.linalg.eigvalsh(problem.curvature(problem.high) + problem.hessian).max()
    found = descend(problem, problem.low, steps=50, rate=rate)
    best = minimise(problem, problem.low, **EXACT)
    assert found.iterations == 50
    assert np.all((problem.low <= found.z) & (found.z <= problem.high))
    assert -1e-9 * (1.0 + abs(best.cost)) <= found.cost - best.cost + best.gap
    assert found.cost - best.cost <= found.gap + 1e-9 * (1.0 + abs(best.cost))
    again = descend(problem, problem.low, steps=50, rate=rate)
    assert again.z.tobytes() == found.z.tobytes()
