"""The plant as a device: reactor, instruments, actuators, DCS and interlock; no protocol, no clock.

A plant is made for a scenario and a seed, and then moved by `step`. Two plants with the same
scenario, seed, options and commands are equal to the last bit.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike

from plant_sim.dcs import I64, SCAN_S, run_scans
from plant_sim.integrate import IntegrationError
from plant_sim.interlock import TripCause
from plant_sim.reactor import F64, INPUT_HIGH, INPUT_LOW, NOMINAL, Parameters
from plant_sim.regulatory import DEFAULT_TUNING, OVERRIDE_OFF_K, OVERRIDE_ON_K, PiTuning
from plant_sim.scenarios import Scenario, Start

NOISE_SD = (1.0, 1.0, 0.3)  # A, P [kg/m3], T [K]
ACTUATOR_LAG_S = 60.0  # ours: a control valve and a coolant loop answer within a minute or two
ACTUATOR_RATE_PER_S = (0.5 / 1800.0, 10.0 / 1800.0)  # 0.5 kg/h and 10 K in 30 min
HALF_EPISODE_S = 24.0 * 3600.0
LONGEST_STEP_S = 7.0 * 24.0 * 3600.0  # takes about 0.1 s of wall time
_NEVER = np.inf
_ROUND_OFF_S = 1.0e-9  # plant time is a sum of steps


class LoopMode(IntEnum):
    """Who sets a loop's output: the operator, the DCS's PI, or a remote controller."""

    MAN = 0
    AUTO = 1
    RCAS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantOptions:
    """What is switched on in a plant.

    noise: on the measurements.  mismatch: reactor parameters drawn per seed.  disturbance: feed
    -10 %, UA -15 % from `disturbance_at_s` on.  actuators: lag and rate limits.  flow_lag: the
    total flow counts the initiator feed of the previous step, as the public environment does.
    """

    noise: bool = False
    mismatch: bool = False
    disturbance: bool = False
    actuators: bool = False
    flow_lag: bool = False
    tuning: PiTuning = DEFAULT_TUNING
    override_on_K: float = OVERRIDE_ON_K
    override_off_K: float = OVERRIDE_OFF_K
    disturbance_at_s: float = HALF_EPISODE_S

    def __post_init__(self) -> None:
        """Refuse an override that could not switch off."""
        if not 300.0 <= self.override_off_K <= self.override_on_K < np.inf:
            raise ValueError(
                f"override_on_K {self.override_on_K}, override_off_K {self.override_off_K}; "
                "allowed: 300 <= off <= on"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopCommand:
    """What the DCS is told for one step; every field is ordered (P -> F_I, T -> T_c).

    setpoint: P [kg/m3], T [K].  target: outputs while RCAS.  output: outputs while MAN.
    bias_offset: added to the PI's output (dither for identification).  Outputs [kg/h, K] outside
    their range are limited to it.
    """

    setpoint: ArrayLike
    mode: tuple[LoopMode, LoopMode] = (LoopMode.AUTO, LoopMode.AUTO)
    target: ArrayLike = (np.nan, np.nan)
    output: ArrayLike = (np.nan, np.nan)
    bias_offset: ArrayLike = (0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Transmitter readings: A, P [kg/m3], T [K]."""

    A: float
    P: float
    T: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    """What happened inside one step.

    peak_T: highest true temperature [K].  mean_actual: (2,) time mean of the inputs [kg/h, K].
    override_s: how long the override acted [s].  first_out: what tripped first, "" if not tripped.
    """

    peak_T: float
    mean_actual: F64
    override_s: float
    tripped: bool
    first_out: TripCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """The inside of a plant, for `plant_sim.batch`; arrays as `run_scans` takes them."""

    state: F64
    actual: F64
    integral: F64
    flags: I64
    tuning: F64
    parameters: F64
    noise: F64
    noise_rng: np.random.Generator | None
    options: PlantOptions
    time_s: float
    previous_feed: float


class Plant:
    """The soft plant; see the module's docstring."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int,
        options: PlantOptions = PlantOptions(),
        start: Start | None = None,
    ) -> None:
        """Set the plant up for one episode.

        `start` replaces the scenario's own. Separate random streams: the same seed gives the same
        start with and without noise.
        """
        start_rng, mismatch_rng, self._noise_rng = (
            np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
        )
        self.scenario = scenario
        self.options = options
        self.parameters = Parameters.sample_mismatch(mismatch_rng) if options.mismatch else NOMINAL
        drawn = scenario.draw_start(start_rng, self.parameters)
        self.start = drawn if start is None else start
        self.time_s = 0.0
        self.first_out = TripCause.NONE
        self._state = checked_state(self.start.state)
        self._actual = checked_inputs(self.start.actual)
        self._tuning = options.tuning.array()
        self._integral = np.zeros(2) if self.start.cold else self._actual - self._tuning[2]
        self._flags = np.array([1, 1, 0, 0], dtype=np.int64)
        self._previous_feed = float(self._actual[0])
        after = self.parameters.disturbed() if options.disturbance else self.parameters
        self._p = np.stack([self.parameters.array(), after.array()])
        self._noise = self._draw_noise(1)

    @property
    def state(self) -> F64:
        """True state (5,): A, I [kg/m3], R [mol/m3], P [kg/m3], T [K]."""
        return self._state.copy()

    @property
    def actual(self) -> F64:
        """Inputs in force (2,): F_I [kg/h], T_c [K]."""
        return self._actual.copy()

    @property
    def setpoint(self) -> F64:
        """Setpoint the episode starts with (2,): P [kg/m3], T [K]."""
        return self.start.setpoint.copy()

    @property
    def parameter_rows(self) -> F64:
        """Reactor parameters (2, 6) before and after the disturbance, as `Parameters.array`."""
        return self._p.copy()

    @property
    def pi_output_integral(self) -> F64:
        """Integral part of the PI outputs (2,) [kg/h, K]."""
        return self._integral.copy()

    @property
    def override_active(self) -> bool:
        """Whether the high-temperature override acted in the last scan."""
        return bool(self._flags[2])

    @property
    def tripped(self) -> bool:
        """Whether the interlock is tripped; it stays so."""
        return bool(self._flags[3])

    def measure(self) -> Measured:
        """Transmitter readings at this instant; asking twice gives the same readings."""
        A, P, T = (self._state[[0, 3, 4]] + self._noise[-1]).tolist()
        return Measured(A=A, P=P, T=T)

    def emergency_stop(self) -> None:
        """Trip the interlock by hand."""
        if not self.tripped:
            self.first_out = TripCause.EMERGENCY_STOP
        self._flags[3] = 1

    def step(self, dt_s: float, command: LoopCommand) -> StepSummary:
        """Move the plant by `dt_s` seconds of plant time.

        The DCS scans every 10 s from the step's start, the last scan takes what is left.
        Raises ValueError, with the plant untouched, for a command that is not finite, and
        IntegrationError if the reactor could not be integrated.
        """
        if not 0.0 < dt_s <= LONGEST_STEP_S:
            raise ValueError(f"dt_s: {dt_s}; allowed: above 0 and up to {LONGEST_STEP_S} s")
        modes, targets = _command_arrays(command)
        noise = np.concatenate([self._noise[-1:], self._draw_noise(scans_of(dt_s))])
        out = np.empty(4)
        completed = run_scans(
            self._state,
            self._actual,
            self._integral,
            self._flags,
            modes,
            targets,
            self._tuning,
            settings_row(self.options, self.time_s, dt_s, self._previous_feed),
            self._p,
            noise,
            out,
        )
        if not completed:
            raise IntegrationError(
                f"the reactor could not be integrated after {self.time_s} s, x = {self._state}"
            )
        self.time_s += dt_s
        self._noise = noise
        peak, mean_feed, mean_coolant, override_s = out.tolist()
        self._previous_feed = mean_feed
        if self.tripped and not self.first_out:
            self.first_out = TripCause.HIGH_TEMPERATURE
        return StepSummary(
            peak_T=peak,
            mean_actual=np.array([mean_feed, mean_coolant]),
            override_s=override_s,
            tripped=self.tripped,
            first_out=self.first_out,
        )

    def detach(self) -> Detached:
        """What a batch steps instead of this plant, which must not be stepped any more."""
        return Detached(
            state=self._state,
            actual=self._actual,
            integral=self._integral,
            flags=self._flags,
            tuning=self._tuning,
            parameters=self._p,
            noise=self._noise[-1],
            noise_rng=self._noise_rng if self.options.noise else None,
            options=self.options,
            time_s=self.time_s,
            previous_feed=self._previous_feed,
        )

    def _draw_noise(self, instants: int) -> F64:
        """Noise on A, P, T for each of the next `instants` instants."""
        if not self.options.noise:
            return np.zeros((instants, 3))
        return self._noise_rng.standard_normal((instants, 3)) * NOISE_SD


def scans_of(dt_s: float) -> int:
    """How often the DCS scans in a step of `dt_s` seconds."""
    return max(1, int(np.ceil((dt_s - _ROUND_OFF_S) / SCAN_S)))


def settings_row(options: PlantOptions, time_s: float, dt_s: float, previous_feed: float) -> F64:
    """The `settings` (9,) of `run_scans` for a step of `dt_s` seconds that begins at `time_s`."""
    lag, rates = (ACTUATOR_LAG_S, ACTUATOR_RATE_PER_S) if options.actuators else (0.0, None)
    return np.array(
        [
            time_s,
            dt_s,
            options.disturbance_at_s if options.disturbance else _NEVER,
            options.override_on_K,
            options.override_off_K,
            lag,
            *(rates or (np.inf, np.inf)),
            previous_feed if options.flow_lag else np.nan,
        ]
    )


def _command_arrays(command: LoopCommand) -> tuple[I64, F64]:
    """Modes (2,) and setpoint, target, output, offset (4, 2) for the kernel; checked."""
    modes = np.array(command.mode, dtype=np.int64)
    values = np.zeros((4, 2))
    names = ("setpoint", "target", "output", "bias_offset")
    for row, name in enumerate(names):
        value = np.asarray(getattr(command, name), dtype=np.float64)
        if value.shape != (2,):
            raise ValueError(f"{name}: shape {value.shape}; allowed: two numbers")
        values[row] = value
    needed = np.ones((4, 2), dtype=bool)
    needed[1] = modes == LoopMode.RCAS
    needed[2] = modes == LoopMode.MAN
    wrong = needed & ~np.isfinite(values)
    if wrong.any():
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise ValueError(
            f"{names[row]}: {values[row].tolist()} with modes {modes.tolist()}; allowed: finite"
        )
    return modes, values


def checked_state(state: ArrayLike) -> F64:
    """Return a copy (5,) of a physically possible state; raises ValueError otherwise."""
    x = np.array(state, dtype=np.float64)
    if x.shape != (5,) or not np.isfinite(x).all() or (x < 0.0).any() or not 250 <= x[4] <= 700:
        raise ValueError(
            f"initial state: {x.tolist()}; allowed: A, I, R, P >= 0 and 250 <= T <= 700 K"
        )
    return x


def checked_inputs(inputs: ArrayLike) -> F64:
    """Return a copy (2,) of inputs inside their ranges; raises ValueError otherwise."""
    u = np.array(inputs, dtype=np.float64)
    if u.shape != (2,) or not ((u >= INPUT_LOW) & (u <= INPUT_HIGH)).all():
        raise ValueError(f"inputs: {u.tolist()}; allowed: {INPUT_LOW} to {INPUT_HIGH} (kg/h, K)")
    return u
