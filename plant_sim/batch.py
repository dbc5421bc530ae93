"""Many plants that move together, each equal to the last bit to a `Plant` of its own.

One compiled loop runs over groups of sixteen plants, the lanes of SIMD registers, on as many
threads as there are cores. The plants do not know of each other: neither their number nor that of
the threads changes any of them. The fast arithmetic gives up the last bits for speed, see
`Arithmetic`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plant_sim.arithmetic import Arithmetic, checked_arithmetic
from plant_sim.dcs_batch import WIDTH, kernel
from plant_sim.integrate import IntegrationError
from plant_sim.lane_types import WIDE, WIDE_FAST
from plant_sim.noise import NormalDraws
from plant_sim.plant import (
    LONGEST_STEP_S,
    NOISE_SD,
    LoopMode,
    Plant,
    scans_of,
    settings_row,
)
from plant_sim.reactor import F64
from plant_sim.threads import checked_threads, share

I64 = NDArray[np.int64]


_KINDS = {Arithmetic.EXACT: WIDE, Arithmetic.FAST: WIDE_FAST}
COMMAND_ROWS = ("setpoint", "target", "output", "bias_offset")
_NOISE_SD: F64 = np.array(NOISE_SD)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSummary:
    """What happened inside one step of every plant; as `StepSummary`, rows are plants.

    peak_T: (N,) [K]. mean_actual: (N, 2) [kg/h, K]. override_s: (N,). tripped: (N,) bool.
    """

    peak_T: F64
    mean_actual: F64
    override_s: F64
    tripped: NDArray[np.bool_]


class PlantBatch:
    """Plants that step together; the plants given are used up by it.

    state: (N, 5), actual: (N, 2), time_s: (N,) as of `Plant`. Raises ValueError for no plants, and
    for an arithmetic or a number of threads that is none.
    """

    def __init__(
        self,
        plants: Sequence[Plant],
        *,
        arithmetic: str = Arithmetic.EXACT,
        threads: int | None = None,
    ) -> None:
        """Take the plants over; threads: one for each core unless given."""
        if not plants:
            raise ValueError("plants: none; allowed: one or more")
        self._run = kernel(_KINDS[checked_arithmetic(arithmetic)])
        self._threads = checked_threads(threads)
        count = len(plants)
        self.time_s: F64 = np.zeros(count)
        self.state: F64 = np.empty((count, 5))
        self.actual: F64 = np.empty((count, 2))
        self._integral: F64 = np.empty((count, 2))
        self._flags: I64 = np.empty((count, 4), dtype=np.int64)
        self._tuning: F64 = np.empty((count, 3, 2))
        self._parameters: F64 = np.empty((count, 2, 6))
        self._noise: F64 = np.empty((count, 3))
        self._settings: F64 = np.empty((count, 9))
        self._lags_flow = np.zeros(count, dtype=np.bool_)
        self._draws = NormalDraws(
            [self._place(at, plant) for at, plant in enumerate(plants)], threads=self._threads
        )

    def replace(self, index: int, plant: Plant) -> None:
        """Put another plant in the place of one."""
        self._draws.replace(index, self._place(index, plant))

    def _place(self, index: int, plant: Plant) -> np.random.Generator | None:
        """Take over everything of a plant but its random stream, which is returned."""
        inside = plant.detach()
        self.time_s[index] = inside.time_s
        self.state[index], self.actual[index] = inside.state, inside.actual
        self._integral[index], self._flags[index] = inside.integral, inside.flags
        self._tuning[index], self._parameters[index] = inside.tuning, inside.parameters
        self._noise[index] = inside.noise
        self._settings[index] = settings_row(
            inside.options, inside.time_s, 0.0, inside.previous_feed
        )
        self._lags_flow[index] = inside.options.flow_lag
        return inside.noise_rng

    def __len__(self) -> int:
        """How many plants."""
        return len(self.time_s)

    @property
    def measured(self) -> F64:
        """Readings (N, 3) of A, P [kg/m3], T [K]; asking twice gives the same."""
        readings: F64 = self.state[:, [0, 3, 4]] + self._noise
        return readings

    @property
    def tripped(self) -> NDArray[np.bool_]:
        """Plants (N,) whose interlock is tripped."""
        tripped: NDArray[np.bool_] = self._flags[:, 3] != 0
        return tripped

    def step(self, dt_s: float, modes: NDArray[np.int64], command: F64) -> BatchSummary:
        """Move all plants by `dt_s` seconds.

        modes: (N, 2) `LoopMode`s. command: (N, 4, 2) setpoint, target, manual output and offset
        added to the PI's output. Raises ValueError, with the plants untouched, for a command that
        is not finite, and IntegrationError if a reactor could not be integrated.
        """
        checked_commands(dt_s, modes, command)
        scans = scans_of(dt_s)
        begin = self._draws.take(scans)
        self._settings[:, 0], self._settings[:, 1] = self.time_s, dt_s
        out = np.empty((len(self), 4))
        arrays = (
            self.state,
            self.actual,
            self._integral,
            self._flags,
            np.ascontiguousarray(modes, dtype=np.int64),
            np.ascontiguousarray(command, dtype=np.float64),
            self._tuning,
            self._settings,
            self._parameters,
            self._noise,
            self._draws.numbers,
            self._draws.row,
            _NOISE_SD,
            out,
        )

        def work(first: int, end: int) -> int:
            return self._run(*arrays, first, end, begin, scans)

        failed = share(len(self), work, threads=self._threads, least=2 * WIDTH)
        if failed:
            which = np.flatnonzero(np.isnan(out[:, 0])).tolist()
            raise IntegrationError(f"plants {which} could not be integrated")
        self.time_s += dt_s
        self._settings[self._lags_flow, 8] = out[self._lags_flow, 1]
        return BatchSummary(
            peak_T=out[:, 0],
            mean_actual=out[:, 1:3],
            override_s=out[:, 3],
            tripped=self.tripped,
        )


def checked_commands(dt_s: float, modes: NDArray[np.int64], command: F64) -> None:
    """Refuse a step that `Plant.step` would refuse for one of the plants; raises ValueError."""
    if not 0.0 < dt_s <= LONGEST_STEP_S:
        raise ValueError(f"dt_s: {dt_s}; allowed: above 0 and up to {LONGEST_STEP_S} s")
    if command.shape != (len(modes), len(COMMAND_ROWS), 2):
        raise ValueError(f"command: shape {command.shape}; allowed: ({len(modes)}, 4, 2)")
    needed = np.ones(command.shape, dtype=bool)
    needed[:, 1] = modes == LoopMode.RCAS
    needed[:, 2] = modes == LoopMode.MAN
    wrong = needed & ~np.isfinite(command)
    if wrong.any():
        plant, row = np.argwhere(wrong.any(axis=2))[0].tolist()
        raise ValueError(
            f"{COMMAND_ROWS[row]} of plant {plant}: {command[plant, row].tolist()}; allowed: finite"
        )
