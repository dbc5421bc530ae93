"""The NMPC's prediction and its optimisation over one horizon.

Single shooting with exact sensitivities, Gauss-Newton, and in every iteration a box-constrained
quadratic problem with squared hinges for the temperature ceiling, solved by projected Newton
(Bertsekas, SIAM J. Control Optim. 20, 1982).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from plant_sim.reactor import F64, INPUT_HIGH, INPUT_LOW
from plant_sim.yardstick.observer import runge_kutta
from plant_sim.yardstick.symbolic import casadi

BLOCKS = {
    300.0: (1, 1, 2, 2, 3, 3, 6, 6, 12, 12, 24, 24),
    1800.0: (1,) * 8 + (2,) * 4,
}
"""Samples of the blocks over which an input is held: about 8 h."""
REWARD_TIME_S = 1800.0
MOVE_UNIT = np.array([2.5, 50.0])  # the inputs' spans [kg/h, K]
_FINE_STEP_S, _COARSE_STEP_S, _FINE_UNTIL_S = 300.0, 600.0, 7200.0
_LOW, _HIGH = np.array(INPUT_LOW), np.array(INPUT_HIGH)
_BEYOND = 2000.0  # kg/m3 or K: the integration has left all physics
_RAMP_WEIGHT = 1.0e5  # per squared span that a later move is faster than the valves are
_NEWTON_STEPS = 40
_HALVINGS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The objective: squared errors of P and T per 1800 s, and what is added to them.

    ceiling_K: from which T costs ceiling_weight per K2 and 1800 s.
    move_weight: per squared move, in spans of the input.
    """

    ceiling_K: float
    ceiling_weight: float
    move_weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a decision starts from: x (4,), d (3,), setpoint (2,), last inputs (2,), reach (2,).

    reach: how fast the actuators follow [kg/h s, K/s]; infinite without a rate limit.
    """

    x: F64
    d: F64
    setpoint: F64
    last: F64
    reach: F64


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """inputs (blocks, 2) and what they cost; inf where the prediction is not finite."""

    inputs: F64
    cost: float


def block_starts(sample_time_s: float) -> F64:
    """Sample number at which each block starts; raises ValueError for other sample times."""
    if sample_time_s not in BLOCKS:
        raise ValueError(f"sample_time_s: {sample_time_s}; allowed: {', '.join(map(str, BLOCKS))}")
    return np.concatenate(([0.0], np.cumsum(BLOCKS[sample_time_s])[:-1].astype(float)))


@cache
def _grid(sample_time_s: float) -> tuple[tuple[int, float], ...]:
    """(block, length [s]) of every prediction step: fine at first, coarser later."""
    grid, time_s = [], 0.0
    block_starts(sample_time_s)
    for block, samples in enumerate(BLOCKS[sample_time_s]):
        length = samples * sample_time_s
        wanted = _FINE_STEP_S if time_s < _FINE_UNTIL_S else _COARSE_STEP_S
        steps = max(1, round(length / wanted))
        grid += [(block, length / steps)] * steps
        time_s += length
    return tuple(grid)


@cache
def _predictor(kind: str, sample_time_s: float) -> tuple[Any, Any]:
    """Two functions of (x, d, U (2 blocks)): the path (2, steps), and also its slope over U."""
    ca = casadi()
    grid = _grid(sample_time_s)
    n = 2 * len(BLOCKS[sample_time_s])
    x0, d, U = ca.SX.sym("x", 4), ca.SX.sym("d", 3), ca.SX.sym("U", n)
    x, S = x0, ca.SX.zeros(4, n)
    path, slopes = [], []
    for number, (block, length) in enumerate(grid):
        columns = slice(2 * block, 2 * block + 2)
        after, over_x, over_u = _step(kind, length, 3 if number == 0 else 1)(x, U[columns], d)
        x, S = after, over_x @ S
        S[:, columns] += over_u
        path.append(x[2:])
        slopes.append(S[2:, :])
    inputs, out = [x0, d, U], ca.horzcat(*path)
    return (
        ca.Function("path", inputs, [out], {"cse": True}),
        ca.Function("slope", inputs, [out, ca.densify(ca.vertcat(*slopes))]),
    )


@cache
def _step(kind: str, length_s: float, steps: int) -> Any:
    ca = casadi()
    x, u, d = ca.SX.sym("x", 4), ca.SX.sym("u", 2), ca.SX.sym("d", 3)
    after = runge_kutta(x, u, d, kind, step_s=length_s / steps, steps=steps)
    return ca.Function(
        "step", [x, u, d], [after, ca.jacobian(after, x), ca.jacobian(after, u)], {"cse": True}
    )


class Horizon:
    """The optimisation problem of one sample time; `minimise` improves a plan."""

    def __init__(self, *, kind: str, sample_time_s: float, weights: Weights) -> None:
        grid = _grid(sample_time_s)
        self.starts = block_starts(sample_time_s)
        lengths_s = sample_time_s * np.array(BLOCKS[sample_time_s])
        # a ramp centred on the boundary of two blocks has half of each; the first has its own block
        self._ramp_s = np.append(lengths_s[0], 0.5 * (lengths_s[:-1] + lengths_s[1:]))
        self._path, self._slope = _predictor(kind, sample_time_s)
        self._share = np.array([length for _, length in grid]) / REWARD_TIME_S
        self._weights = weights
        blocks = len(self.starts)
        self._moves = np.eye(2 * blocks) - np.eye(2 * blocks, k=-2)
        self._move_cost = weights.move_weight / np.tile(MOVE_UNIT**2, blocks)

    def plan(self, situation: Situation, inputs: F64) -> Plan:
        """What `inputs` (blocks, 2) cost when limited to what the actuators can do."""
        low, high = self._box(situation)
        u = np.clip(inputs.ravel(), low, high)
        return Plan(inputs=u.reshape(-1, 2), cost=self._cost(situation, u))

    def minimise(self, situation: Situation, plan: Plan, iterations: int) -> Plan:
        """Gauss-Newton with halved steps from a plan of finite cost."""
        low, high = self._box(situation)
        u, cost = plan.inputs.ravel(), plan.cost
        for _ in range(iterations):
            quadratic = self._quadratic(situation, u)
            direction = minimise_box(quadratic, low - u, high - u)
            for halving in range(_HALVINGS):
                trial = np.clip(u + direction * 0.5**halving, low, high)
                trial_cost = self._cost(situation, trial)
                if trial_cost < cost:
                    break
            else:
                break
            gained, u, cost = cost - trial_cost, trial, trial_cost
            if gained <= 1e-6 * cost:
                break
        return Plan(inputs=u.reshape(-1, 2), cost=cost)

    def _box(self, situation: Situation) -> tuple[F64, F64]:
        """Bounds of the inputs; the move that is made at once keeps to the valves' rate."""
        blocks = len(self.starts)
        low, high = np.tile(_LOW, blocks), np.tile(_HIGH, blocks)
        room = situation.reach * self._ramp_s[0]
        low[:2] = np.maximum(_LOW, situation.last - room)
        high[:2] = np.minimum(_HIGH, situation.last + room)
        return low, high

    def _ramps(self, situation: Situation, u: F64) -> tuple[F64, F64]:
        """Moves too fast for the valves, upwards and downwards, in spans; and their slope over u.

        Both of length 0 without rate limits.
        """
        n = u.size
        if not np.isfinite(situation.reach).all():
            return np.zeros(0), np.zeros((0, n))
        spans = np.tile(MOVE_UNIT, len(self.starts))
        room = np.outer(self._ramp_s, situation.reach).ravel()
        changes = self._changes(situation, u)
        scale = np.sqrt(_RAMP_WEIGHT) / spans
        excess = np.concatenate((scale * (changes - room), scale * (-changes - room)))
        slope = scale[:, None] * self._moves
        return excess, np.vstack((slope, -slope))

    def _changes(self, situation: Situation, u: F64) -> F64:
        changes: F64 = self._moves @ u
        changes[:2] -= situation.last
        return changes

    def _cost(self, situation: Situation, u: F64) -> float:
        path = np.asarray(self._path(situation.x, situation.d, u))
        if not np.all(np.abs(path) < _BEYOND):  # written so that nan counts as beyond
            return np.inf
        error = path - situation.setpoint[:, None]
        over = np.maximum(path[1] - self._weights.ceiling_K, 0.0)
        total = self._share @ (np.square(error).sum(axis=0))
        total += self._weights.ceiling_weight * (self._share @ np.square(over))
        total += self._move_cost @ np.square(self._changes(situation, u))
        total += np.square(np.maximum(self._ramps(situation, u)[0], 0.0)).sum()
        return float(total)

    def _quadratic(self, situation: Situation, u: F64) -> "Quadratic":
        path, slope = (np.asarray(part) for part in self._slope(situation.x, situation.d, u))
        weight = np.repeat(self._share, 2)
        error = (path - situation.setpoint[:, None]).T.ravel()
        changes = self._changes(situation, u)
        scale = np.sqrt(self._weights.ceiling_weight * self._share)
        fast, fast_slope = self._ramps(situation, u)
        return Quadratic(
            H=slope.T @ (weight[:, None] * slope)
            + self._moves.T @ (self._move_cost[:, None] * self._moves),
            g=slope.T @ (weight * error) + self._moves.T @ (self._move_cost * changes),
            G=np.vstack((scale[:, None] * slope[1::2], fast_slope)),
            t=np.concatenate((scale * (path[1] - self._weights.ceiling_K), fast)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadratic:
    """q(s) = s'Hs/2 + g's + |max(0, t + Gs)|^2/2."""

    H: F64
    g: F64
    G: F64
    t: F64

    def value(self, s: F64) -> float:
        """q(s)."""
        over = np.maximum(self.t + self.G @ s, 0.0)
        return float(0.5 * s @ self.H @ s + self.g @ s + 0.5 * over @ over)


def minimise_box(q: Quadratic, low: F64, high: F64) -> F64:
    """The s in [low, high] with the least q(s), from s = 0, by projected Newton."""
    s = np.clip(np.zeros_like(q.g), low, high)
    value = q.value(s)
    for _ in range(_NEWTON_STEPS):
        over = np.maximum(q.t + q.G @ s, 0.0)
        slope = q.H @ s + q.g + q.G.T @ over
        free = ~(((s <= low) & (slope > 0.0)) | ((s >= high) & (slope < 0.0)))
        hot = q.G[over > 0.0][:, free]
        step = np.zeros_like(s)
        curvature = q.H[np.ix_(free, free)] + hot.T @ hot
        step[free] = -np.linalg.solve(curvature, slope[free])
        for halving in range(20):
            trial = np.clip(s + step * 0.5**halving, low, high)
            trial_value = q.value(trial)
            if trial_value < value:
                break
        else:
            break
        gained, s, value = value - trial_value, trial, trial_value
        if gained <= 1e-10 * abs(value):
            break
    return s
