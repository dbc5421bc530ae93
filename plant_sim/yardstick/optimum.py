"""The perfect-model optimum: what nobody without the true parameters can reach.

One nonlinear program over the whole episode, with the plant's own parameters, initial state and
disturbance: Radau collocation of all five states (Biegler 2010, doi:10.1137/1.9780898719383,
chapter 10), one element a sample, solved by IPOPT (Waechter & Biegler 2006,
doi:10.1007/s10107-004-0559-y). Radicals are bounded below: without that, R < 0 gives a false
optimum at startup. The plan is applied to the plant as it is; its return there, not the
program's objective, is the reference of the score.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from plant_sim.plant import ACTUATOR_LAG_S, ACTUATOR_RATE_PER_S
from plant_sim.reactor import F64, INPUT_HIGH, INPUT_LOW
from plant_sim.yardstick.digest import digest_of
from plant_sim.yardstick.symbolic import RADICAL_UNIT, casadi, derivative

if TYPE_CHECKING:
    from plant_sim.env import PolymerCSTREnv

ELEMENT_S = 300.0  # longest collocation element; longer samples are divided
DEGREE = 4  # with 3, some startups end in a false optimum that feeds late
CEILING_K = 362.95  # below the override's 363 K by what may lie between two collocation points
REWARD_TIME_S = 1800.0
_SCALE = np.array([100.0, 10.0, 1.0, 100.0, 10.0])
_STATE_LOW = np.array([0.0, 0.0, 1e-6, 0.0, 300.0])
_STATE_HIGH = np.array([700.0, 40.0, 100.0, 400.0, CEILING_K])


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One episode to optimise.

    state: (5,) A, I [kg/m3], R [mol/m3], P [kg/m3], T [K]. actual: (2,) inputs in force.
    setpoint: (2,) P, T. parameters: (2, 6) before and after the disturbance. disturbed_at: first
    sample of the second row. samples, sample_time_s: of the episode. actuators: the rate limits and
    the lag of the actuators count.
    """

    state: F64
    actual: F64
    setpoint: F64
    parameters: F64
    disturbed_at: int
    samples: int
    sample_time_s: float
    actuators: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """inputs: (samples, 2) targets. objective: return that the model expects. solved: by IPOPT."""

    inputs: F64
    objective: float
    solved: bool


def optimise(problem: Problem) -> Plan:
    """Solve one episode; a plan that IPOPT gave up on is returned with `solved` False."""
    n, ramp = problem.samples, problem.actuators
    elements = _elements(problem.sample_time_s)
    solver = _solver(n, problem.sample_time_s, ramp)
    rows = np.repeat(problem.parameters, [problem.disturbed_at, n - problem.disturbed_at], axis=0)
    first = np.where(np.arange(5) == 2, problem.state / RADICAL_UNIT, problem.state)
    width = 2 + 5 * DEGREE * elements
    low = np.concatenate((INPUT_LOW, np.tile(_STATE_LOW / _SCALE, DEGREE * elements)))
    high = np.concatenate((INPUT_HIGH, np.tile(_STATE_HIGH / _SCALE, DEGREE * elements)))
    reach = np.tile(np.array(ACTUATOR_RATE_PER_S) * problem.sample_time_s, n if ramp else 0)
    still = np.zeros(5 * DEGREE * elements * n)
    result = solver(
        x0=_guess(problem, first, elements),
        p=np.concatenate((problem.setpoint, first, problem.actual, rows.ravel())),
        lbx=np.tile(low, n),
        ubx=np.tile(high, n),
        lbg=np.concatenate((still, -reach)),
        ubg=np.concatenate((still, reach)),
    )
    inputs = np.asarray(result["x"]).reshape(n, width)[:, :2]
    if ramp:
        before = np.vstack((problem.actual, inputs[:-1]))
        inputs = inputs + ACTUATOR_LAG_S * (inputs - before) / problem.sample_time_s
    return Plan(
        inputs=np.clip(inputs, INPUT_LOW, INPUT_HIGH),
        objective=-float(result["f"]),
        solved=bool(solver.stats()["success"]),
    )


def _elements(sample_time_s: float) -> int:
    return max(1, int(np.ceil(sample_time_s / ELEMENT_S)))


@cache
def _solver(samples: int, sample_time_s: float, ramp: bool) -> Any:  # noqa: FBT001
    """IPOPT for one length of episode.

    Variables, a column per sample: inputs (2,), then the scaled states at all collocation points.
    With `ramp` the inputs are those at the end of the sample, reached in a straight line.
    """
    ca = casadi()
    points = DEGREE * _elements(sample_time_s)
    width = 2 + 5 * points
    w = ca.MX.sym("w", width * samples)
    p = ca.MX.sym("p", 9 + 6 * samples)
    table = ca.reshape(w, width, samples)
    u, x = table[:2, :], table[2:, :]
    setpoint, first, actual = p[:2], p[2:7], p[7:9]
    parameters = ca.reshape(p[9:], 6, samples)
    x_before = ca.horzcat(first / ca.DM(_SCALE), x[-5:, :-1])
    u_before = ca.horzcat(actual, u[:, :-1]) if ramp else u
    residual = _sample_residual(sample_time_s).map(samples)(x_before, x, u_before, u, parameters)
    ends = x[-5:, :] * ca.repmat(ca.DM(_SCALE), 1, samples)
    error = ends[3:, :] - ca.repmat(setpoint, 1, samples)
    constraints = [ca.vec(residual)]
    if ramp:
        constraints.append(ca.vec(u - u_before))
    program = {
        "x": w,
        "p": p,
        "f": ca.sumsqr(error) * sample_time_s / REWARD_TIME_S,
        "g": ca.vertcat(*constraints),
    }
    options = {
        "ipopt": {"print_level": 0, "sb": "yes", "max_iter": 500, "tol": 1e-7},
        "print_time": False,
    }
    return ca.nlpsol("optimum", "ipopt", program, options)


def _sample_residual(sample_time_s: float) -> Any:
    """(x before, x at the points, u before, u, p) -> what the collocation equations miss."""
    ca = casadi()
    elements = _elements(sample_time_s)
    step = sample_time_s / elements
    taus = ca.collocation_points(DEGREE, "radau")
    slopes, _, _ = ca.collocation_coeff(taus)
    before, p = ca.SX.sym("before", 5), ca.SX.sym("p", 6)
    u0, u1 = ca.SX.sym("u0", 2), ca.SX.sym("u1", 2)
    size = 5 * DEGREE
    points = ca.SX.sym("x", size * elements)
    scale = ca.DM(_SCALE)
    residuals = []
    start = before
    for element in range(elements):
        inside = ca.reshape(points[size * element : size * (element + 1)], 5, DEGREE)
        rise = ca.mtimes(ca.horzcat(start, inside), slopes)
        for j, tau in enumerate(taus):
            share = (element + tau) / elements
            u = u0 + (u1 - u0) * share
            residuals.append(rise[:, j] - step * derivative(inside[:, j] * scale, u, p) / scale)
        start = inside[:, -1]
    return ca.Function("residual", [before, points, u0, u1, p], [ca.vertcat(*residuals)])


def _guess(problem: Problem, first: F64, elements: int) -> F64:
    """From the start towards the setpoint, with inputs in the middle."""
    share = np.linspace(0.0, 1.0, problem.samples)[:, None] ** 0.5
    goal = np.array([440.0 - problem.setpoint[0], 8.0, 3.0, *problem.setpoint])
    states = (first + share * (goal - first)) / _SCALE
    inputs = np.tile([1.5, 340.0], (problem.samples, 1))
    return np.hstack((inputs, np.tile(states, DEGREE * elements))).ravel()


@dataclass(slots=True)
class OptimumPilot:
    """A pilot that applies the optimal plan of the plant it is put on."""

    name: str = "optimum"
    _plan: F64 = field(default_factory=lambda: np.zeros((0, 2)))
    _at: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what the moves depend on."""
        figures = {"version": 1, "element_s": ELEMENT_S, "degree": DEGREE, "ceiling_K": CEILING_K}
        return digest_of("optimum", figures)

    def reset_options(self) -> dict[str, Any]:
        """Options of `PolymerCSTREnv.reset`: none."""
        return {}

    def begin(self, env: PolymerCSTREnv, seen: F64, info: dict[str, Any]) -> None:  # noqa: ARG002
        """Look at the true plant and optimise the whole episode.

        Raises RuntimeError when the optimiser gives up: a score must not stand on half a solution.
        """
        plant = env.plant
        samples = round(env.episode_s / env.sample_time_s)
        before = round(plant.options.disturbance_at_s / env.sample_time_s)
        plan = optimise(
            Problem(
                state=plant.state,
                actual=plant.actual,
                setpoint=np.asarray(info["setpoint"]),
                parameters=plant.parameter_rows,
                disturbed_at=min(before, samples),
                samples=samples,
                sample_time_s=env.sample_time_s,
                actuators=plant.options.actuators,
            )
        )
        if not plan.solved:
            raise RuntimeError(f"no optimum for the start {plant.state.tolist()}")
        self._plan, self._at = plan.inputs, 0

    def decide(self, seen: F64, info: dict[str, Any]) -> F64:  # noqa: ARG002
        """Targets (2,) [kg/h, K] of the plan for the next sample."""
        move: F64 = self._plan[self._at]
        self._at += 1
        return move
