"""An offset-free nonlinear model predictive controller with the nominal model.

It sees what a controller on the plant sees: A, P and T as measured, the inputs in force and the
setpoint; never the true state or the true parameters. It knows the plant's equations with their
nominal constants, which the learned controllers do not.
"""

from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np

from plant_sim.env import PolymerCSTREnv
from plant_sim.plant import ACTUATOR_RATE_PER_S
from plant_sim.reactor import F64
from plant_sim.yardstick.digest import digest_of
from plant_sim.yardstick.horizon import Horizon, Plan, Situation, Weights, block_starts
from plant_sim.yardstick.observer import Observer

VERSION = 2
_GUESSES = ((1.0, 345.0), (2.0, 335.0), (0.5, 325.0))  # F_I [kg/h], T_c [K], held


@dataclass(frozen=True, slots=True, kw_only=True)
class NmpcOptions:
    """Everything the moves depend on.

    The defaults were chosen on starts of seed 500 only, nominal, with mismatch, and with mismatch
    and noise, for the best worst cell in which the override never acts. Of the ceilings 361.5,
    361.8, 362.0 and 362.2 K the last was best, its peak with noise 362.65 K; at 362.0 K with a
    ceiling_weight of 100 instead of 1000 the override acted. A move_weight of 100 instead of 10
    halves the moves under noise (8 instead of 17 spans in 48 h) and costs up to 0.2 points; 30
    is between them. The three kinds of disturbance differ by less than 0.1 points.
    """

    sample_time_s: float = 300.0
    disturbance: str = "factors"
    disturbance_sd: tuple[float, float, float] = (0.02, 0.02, 0.02)
    ceiling_K: float = 362.2
    ceiling_weight: float = 1000.0
    move_weight: float = 30.0
    first_iterations: int = 60
    iterations: int = 3


def options_for(sample_time_s: float) -> NmpcOptions:
    """The chosen options for a sample time [s]; raises ValueError for one without blocks."""
    block_starts(sample_time_s)
    return NmpcOptions(sample_time_s=float(sample_time_s))


class Nmpc:
    """One episode's controller: observer, last plan, count of decisions that held the last move."""

    def __init__(self, options: NmpcOptions, *, rate_limited: bool) -> None:
        self.held = 0
        self.refused = False
        self._options = options
        self._horizon = _horizon(options)
        self._observer = Observer(
            kind=options.disturbance,
            sample_time_s=options.sample_time_s,
            disturbance_sd=options.disturbance_sd,
        )
        self._reach = np.array(ACTUATOR_RATE_PER_S) if rate_limited else np.full(2, np.inf)
        self._plan: Plan | None = None
        self._actual = np.zeros(2)

    def start(self, seen: F64) -> None:
        """Take the first observation (7,)."""
        self._actual = seen[5:].copy()
        self._observer.start(seen[:3], self._actual)

    def decide(self, seen: F64) -> F64:
        """Targets (2,) for the next sample from an observation (7,) of this instant."""
        if self._plan is not None:
            self._observer.follow(seen[:3], self._applied(seen[5:]))
        self._actual = seen[5:].copy()
        situation = Situation(
            x=self._observer.z[:4],
            d=self._observer.z[4:],
            setpoint=seen[3:5],
            last=self._actual,
            reach=self._reach,
        )
        best = min(self._candidates(situation), key=lambda plan: plan.cost)
        self.refused = not np.isfinite(best.cost)
        if self.refused:
            self.held += 1
            return self._last_move()
        rounds = self._options.first_iterations if self._plan is None else self._options.iterations
        self._plan = self._horizon.minimise(situation, best, rounds)
        return self._last_move()

    def _last_move(self) -> F64:
        if self._plan is None:
            return self._actual
        move: F64 = self._plan.inputs[0]
        return move

    def _applied(self, actual: F64) -> F64:
        """Mean input of the sample past: what was asked, or half of the way where it ramped."""
        asked = self._last_move()
        reached = np.isclose(actual, asked, rtol=0.0, atol=1e-9)
        return np.where(reached, actual, 0.5 * (self._actual + actual))

    def _candidates(self, situation: Situation) -> list[Plan]:
        """The last plan one sample on; at first, and where that is lost, held inputs."""
        if self._plan is not None:
            later = self._horizon.starts + 1.0
            block = np.searchsorted(self._horizon.starts, later, side="right") - 1
            shifted = self._horizon.plan(situation, self._plan.inputs[block])
            if np.isfinite(shifted.cost):
                return [shifted]
        blocks = len(self._horizon.starts)
        held = (self._actual, *_GUESSES)
        guesses = [self._horizon.plan(situation, np.tile(u, (blocks, 1))) for u in held]
        return [
            self._horizon.minimise(situation, guess, 10) if np.isfinite(guess.cost) else guess
            for guess in guesses
        ]


@cache
def _horizon(options: NmpcOptions) -> Horizon:
    weights = Weights(
        ceiling_K=options.ceiling_K,
        ceiling_weight=options.ceiling_weight,
        move_weight=options.move_weight,
    )
    return Horizon(kind=options.disturbance, sample_time_s=options.sample_time_s, weights=weights)


@dataclass(frozen=True, kw_only=True)
class NmpcPilot:
    """The NMPC as a pilot; it carries its options, and only while it flies an `Nmpc`."""

    options: NmpcOptions = NmpcOptions()
    name: str = "nmpc"
    _flight: list[Nmpc] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what the moves depend on."""
        return digest_of("nmpc", {"version": VERSION, **asdict(self.options)})

    @property
    def held(self) -> int:
        """How many decisions of this episode held the last move because none could be found."""
        return self._flight[0].held if self._flight else 0

    @property
    def noted(self) -> dict[str, float]:
        """Of the last decision: `refused` is 1 where the last move was held instead."""
        return {"refused": float(bool(self._flight) and self._flight[0].refused)}

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the flight."""
        return _pilot, (self.options, self.name)

    def reset_options(self) -> dict[str, Any]:
        """Options of `PolymerCSTREnv.reset`: none."""
        return {}

    def begin(self, env: PolymerCSTREnv, seen: F64, info: dict[str, Any]) -> None:  # noqa: ARG002
        """Start the observer; the environment only tells whether the valves are rate-limited."""
        controller = Nmpc(self.options, rate_limited=env.plant.options.actuators)
        controller.start(seen)
        self._flight[:] = [controller]

    def decide(self, seen: F64, info: dict[str, Any]) -> F64:  # noqa: ARG002
        """Targets (2,) [kg/h, K] from the observation alone."""
        return self._flight[0].decide(seen)


def _pilot(options: NmpcOptions, name: str) -> NmpcPilot:
    return NmpcPilot(options=options, name=name)
