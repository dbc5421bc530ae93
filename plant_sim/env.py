"""Gymnasium environment `plant_sim/PolymerCSTR-v0`: one step is one sample of the soft plant."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from plant_sim.plant import (
    ACTUATOR_LAG_S,
    ACTUATOR_RATE_PER_S,
    LoopCommand,
    LoopMode,
    Plant,
    PlantOptions,
    StepSummary,
)
from plant_sim.reactor import F64, INPUT_HIGH, INPUT_LOW
from plant_sim.regulatory import PiTuning
from plant_sim.scenarios import scenario_named

Step = tuple[F64, float, bool, bool, dict[str, Any]]

OBSERVATION = ("A", "P", "T", "sp_P", "sp_T", "F_I", "T_c")
REWARD_TIME_S = 1800.0  # the sample of arXiv 2507.22640: an episode's return keeps its meaning
RESET_OPTIONS = (
    "tuning",
    "setpoint",
    "initial_state",
    "initial_actual",
    "override_on_K",
    "override_off_K",
)

# Wide enough for a runaway (604 K) and for noise around zero.
OBSERVATION_LOW = np.array([-50.0, -50.0, 200.0, 0.0, 250.0, INPUT_LOW[0], INPUT_LOW[1]])
OBSERVATION_HIGH = np.array([1500.0, 1000.0, 800.0, 500.0, 500.0, INPUT_HIGH[0], INPUT_HIGH[1]])


class PolymerCSTREnv(gymnasium.Env[F64, F64]):
    """The polymerisation CSTR under remote targets.

    Action (2,): initiator feed [kg/h] and coolant temperature [K] for the next sample; values
    outside the box are limited to it, values that are no numbers raise ValueError.
    Observation (7,): measured A, P [kg/m3], T [K], setpoints of P and T, actual F_I and T_c.
    Reward: -((P - sp_P)^2 + (T - sp_T)^2) sample_time/1800 s with the true state at the sample's
    end. An episode is truncated after `episode_hours` and terminates when the interlock trips.
    The high-temperature override and the interlock act throughout, as on the plant.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  (as the base class has it)

    def __init__(
        self,
        *,
        scenario: str = "startup",
        sample_time_s: float = 300.0,
        noise: bool = False,
        mismatch: bool = False,
        disturbance: bool = False,
        actuators: bool = False,
        flow_lag: bool = False,
        episode_hours: float = 48.0,
        render_mode: None = None,
    ) -> None:
        """Make the environment; the switches are those of `PlantOptions`.

        The disturbance comes at half of `episode_hours`. There is nothing to render.
        """
        for name, value in (("sample_time_s", sample_time_s), ("episode_hours", episode_hours)):
            if not 0.0 < value < np.inf:
                raise ValueError(f"{name}: {value}; allowed: finite and above 0")
        if render_mode is not None:
            raise ValueError(f"render_mode: {render_mode!r}; allowed: None")
        self.scenario = scenario_named(scenario)
        self.sample_time_s = float(sample_time_s)
        self.episode_s = 3600.0 * float(episode_hours)
        self.render_mode = None
        self.action_space = spaces.Box(np.array(INPUT_LOW), np.array(INPUT_HIGH), dtype=np.float64)
        self.observation_space = spaces.Box(OBSERVATION_LOW, OBSERVATION_HIGH, dtype=np.float64)
        self._options = PlantOptions(
            noise=noise,
            mismatch=mismatch,
            disturbance=disturbance,
            actuators=actuators,
            flow_lag=flow_lag,
            disturbance_at_s=0.5 * self.episode_s,
        )
        self._plant: Plant | None = None
        self._setpoint = np.array(self.scenario.setpoint)

    @property
    def plant(self) -> Plant:
        """The plant of the running episode; raises RuntimeError before the first reset."""
        if self._plant is None:
            raise RuntimeError("call reset() before step()")
        return self._plant

    @property
    def setpoint(self) -> F64:
        """Setpoint in force (2,): P [kg/m3], T [K]."""
        return self._setpoint.copy()

    @property
    def move_limit(self) -> F64:
        """Largest move (2,) of the targets that the actuators follow within a sample [kg/h, K].

        What a DCS has configured as the rate limit of its outputs; infinite without actuators.
        """
        if not self._options.actuators:
            return np.full(2, np.inf)
        limit: F64 = np.array(ACTUATOR_RATE_PER_S) * (self.sample_time_s + ACTUATOR_LAG_S)
        return limit

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[F64, dict[str, Any]]:
        """Start an episode; the same seed starts the same episode as `Plant(seed=seed)`.

        options: "tuning" PiTuning of the DCS; "setpoint" (P, T) instead of the scenario's;
        "initial_state" (5,) and "initial_actual" (2,) instead of the drawn ones; "override_on_K",
        "override_off_K".
        """
        super().reset(seed=seed)
        plant_seed = int(self.np_random.integers(2**32)) if seed is None else seed
        given = dict(options or {})
        unknown = sorted(set(given) - set(RESET_OPTIONS))
        if unknown:
            raise ValueError(f"reset options {unknown}; allowed: {', '.join(RESET_OPTIONS)}")
        self._plant = self._new_plant(plant_seed, given)
        self._setpoint = self._checked_setpoint(given.get("setpoint", self.scenario.setpoint))
        return self._observation(), self._info(None)

    def step(self, action: ArrayLike) -> Step:
        """Hold the targets `action` (2,) for one sample."""
        target = np.asarray(action, dtype=np.float64)
        if target.shape != (2,) or not np.isfinite(target).all():
            raise ValueError(f"action: {target.tolist()}; allowed: two finite numbers (kg/h, K)")
        remote = (LoopMode.RCAS, LoopMode.RCAS)
        return self._sample(LoopCommand(mode=remote, setpoint=self._setpoint, target=target))

    def step_regulatory(
        self, bias_offset: ArrayLike = (0.0, 0.0), manual: ArrayLike = (np.nan, np.nan)
    ) -> Step:
        """Let the DCS's PI act for one sample, with `bias_offset` (2,) added to its outputs.

        manual (2,): output of a loop that an operator has in MAN [kg/h, K]; nan leaves the loop
        to its PI, which takes over without a bump.
        """
        output = np.asarray(manual, dtype=np.float64)
        if output.shape != (2,) or np.isinf(output).any():
            raise ValueError(f"manual: {output.tolist()}; allowed: two numbers, nan for the PI")
        feed, coolant = (LoopMode.AUTO if np.isnan(u) else LoopMode.MAN for u in output)
        command = LoopCommand(
            mode=(feed, coolant), setpoint=self._setpoint, output=output, bias_offset=bias_offset
        )
        return self._sample(command)

    def change_setpoint(self, setpoint: ArrayLike) -> None:
        """Give the loops another setpoint (2,) [kg/m3, K] from the next sample on."""
        self._setpoint = self._checked_setpoint(setpoint)

    def _sample(self, command: LoopCommand) -> Step:
        plant = self.plant
        summary = plant.step(self.sample_time_s, command)
        e_P, e_T = (plant.state[3:] - self._setpoint).tolist()
        reward = -(e_P * e_P + e_T * e_T) * self.sample_time_s / REWARD_TIME_S
        terminated = summary.tripped
        truncated = not terminated and plant.time_s >= self.episode_s - 1.0e-6
        return self._observation(), reward, terminated, truncated, self._info(summary)

    def _new_plant(self, seed: int, given: dict[str, Any]) -> Plant:
        tuning = given.get("tuning", self._options.tuning)
        if not isinstance(tuning, PiTuning):
            raise TypeError(f"reset option tuning: {tuning!r}; allowed: a PiTuning")
        options = replace(
            self._options,
            tuning=tuning,
            override_on_K=float(given.get("override_on_K", self._options.override_on_K)),
            override_off_K=float(given.get("override_off_K", self._options.override_off_K)),
        )
        plant = Plant(self.scenario, seed=seed, options=options)
        if "initial_state" not in given and "initial_actual" not in given:
            return plant
        start = replace(
            plant.start,
            state=np.array(given.get("initial_state", plant.start.state), dtype=np.float64),
            actual=np.array(given.get("initial_actual", plant.start.actual), dtype=np.float64),
        )
        return Plant(self.scenario, seed=seed, options=options, start=start)

    def _checked_setpoint(self, setpoint: ArrayLike) -> F64:
        value = np.array(setpoint, dtype=np.float64)
        low, high = OBSERVATION_LOW[3:5], OBSERVATION_HIGH[3:5]
        if value.shape != (2,) or not ((value >= low) & (value <= high)).all():
            raise ValueError(f"setpoint: {value.tolist()}; allowed: {low} to {high} (kg/m3, K)")
        return value

    def _observation(self) -> F64:
        measured = self.plant.measure()
        seen = [measured.A, measured.P, measured.T, *self._setpoint, *self.plant.actual]
        inside: F64 = np.clip(np.array(seen), OBSERVATION_LOW, OBSERVATION_HIGH)
        return inside

    def _info(self, summary: StepSummary | None) -> dict[str, Any]:
        """Everything true about the sample just past; before the first one, about the start."""
        plant = self.plant
        return {
            "state": plant.state,
            "setpoint": self._setpoint.copy(),
            "peak_T": float(plant.state[4]) if summary is None else summary.peak_T,
            "actual": plant.actual,
            "mean_actual": plant.actual if summary is None else summary.mean_actual,
            "override_s": 0.0 if summary is None else summary.override_s,
            "tripped": plant.tripped,
            "first_out": str(plant.first_out),
            "time_s": plant.time_s,
        }
