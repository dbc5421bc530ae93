"""Many episodes at once: the vectorised form of `plant_sim/PolymerCSTR-v0`.

`gymnasium.make_vec("plant_sim/PolymerCSTR-v0", num_envs=N,
vectorization_mode="vector_entry_point")`.
Every sub-environment gives the bits that the single environment gives, unless the fast arithmetic
is asked for.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from plant_sim.arithmetic import Arithmetic, checked_arithmetic
from plant_sim.batch import BatchSummary, PlantBatch
from plant_sim.env import OBSERVATION_HIGH, OBSERVATION_LOW, REWARD_TIME_S, PolymerCSTREnv
from plant_sim.interlock import TripCause
from plant_sim.plant import LoopMode
from plant_sim.reactor import F64
from plant_sim.threads import checked_threads

Flags = NDArray[np.bool_]
_AUTORESET_MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED)
VectorStep = tuple[F64, F64, Flags, Flags, dict[str, Any]]


class PolymerCSTRVectorEnv(VectorEnv[F64, F64, Any]):  # rewards are numbers, endings are flags
    """`num_envs` reactors of one scenario; arguments as `PolymerCSTREnv`.

    arithmetic: "exact" gives the bits of `PolymerCSTREnv`, "fast" does not and takes half the time;
    see `plant_sim.arithmetic.Arithmetic`.
    threads: one for each core unless given; they change no bit.
    autoreset_mode: NEXT_STEP, an episode that has ended begins anew with the next step, whose
    action for it is ignored and whose reward is 0; or DISABLED, it goes on, as in `PolymerCSTREnv`,
    until it is reset.
    Actions (N, 2), observations (N, 7).
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        *,
        arithmetic: str = Arithmetic.EXACT,
        threads: int | None = None,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        """Make the environments; the actual plants come with `reset`."""
        if num_envs < 1:
            raise ValueError(f"num_envs: {num_envs}; allowed: 1 and above")
        if autoreset_mode not in _AUTORESET_MODES:
            allowed = ", ".join(str(mode) for mode in _AUTORESET_MODES)
            raise ValueError(f"autoreset_mode: {autoreset_mode!r}; allowed: {allowed}")
        self.arithmetic, self.threads = checked_arithmetic(arithmetic), checked_threads(threads)
        self.metadata = {**self.metadata, "autoreset_mode": autoreset_mode}
        self._autoreset = autoreset_mode is AutoresetMode.NEXT_STEP
        self.num_envs = num_envs
        self.envs = [PolymerCSTREnv(**options) for _ in range(num_envs)]
        self.single_action_space = self.envs[0].action_space
        self.single_observation_space = self.envs[0].observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._batch: PlantBatch | None = None
        self._setpoint = np.zeros((num_envs, 2))
        self._over = np.zeros(num_envs, dtype=np.bool_)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[F64, dict[str, Any]]:
        """Start an episode in every environment; an int seeds them seed, seed + 1, and so on.

        options: as of `PolymerCSTREnv.reset`, for all of them; or {"each": [options, ...]} with one
        for each. "reset_mask" (N,) bool: only these begin anew.
        """
        count = self.num_envs
        if seed is None or isinstance(seed, int):
            seeds = [None if seed is None else seed + i for i in range(count)]
        else:
            seeds = list(seed)
        if len(seeds) != count:
            raise ValueError(f"seed: {len(seeds)} of them; allowed: one number, or {count}")
        given = dict(options or {})
        chosen = self._chosen(given.pop("reset_mask", None))
        each = given.get("each", [given] * count)
        if len(each) != count:
            raise ValueError(f"reset option each: {len(each)} of them; allowed: {count}")
        for i in chosen.tolist():
            self.envs[i].reset(seed=seeds[i], options=each[i])
            self._setpoint[i] = self.envs[i].setpoint
        if self._batch is None or len(chosen) == count:
            plants = [env.plant for env in self.envs]
            self._batch = PlantBatch(plants, arithmetic=self.arithmetic, threads=self.threads)
        else:
            for i in chosen.tolist():
                self._batch.replace(i, self.envs[i].plant)
        self._over[chosen] = False
        return self._observation(), self._info(None)

    def _chosen(self, mask: Any) -> NDArray[np.int64]:
        """Indices of the environments to be reset."""
        if mask is None:
            return np.arange(self.num_envs)
        flags = np.asarray(mask)
        if flags.shape != (self.num_envs,) or flags.dtype != np.bool_:
            raise ValueError(
                f"reset_mask: {flags.dtype} of shape {flags.shape}; "
                f"allowed: bool of shape ({self.num_envs},)"
            )
        return np.flatnonzero(flags)

    def step(self, actions: ArrayLike) -> VectorStep:
        """Hold the targets `actions` (N, 2) for one sample."""
        target = np.asarray(actions, dtype=np.float64)
        if target.shape != (self.num_envs, 2) or not np.isfinite(target).all():
            raise ValueError(
                f"actions: shape {target.shape}; allowed: ({self.num_envs}, 2) finite numbers"
            )
        return self._sample(LoopMode.RCAS, 1, target)

    def step_regulatory(self, bias_offset: ArrayLike = (0.0, 0.0)) -> VectorStep:
        """Let every DCS's PI act for one sample, `bias_offset` (2,) or (N, 2) added to it."""
        offset = np.broadcast_to(np.asarray(bias_offset, np.float64), (self.num_envs, 2))
        return self._sample(LoopMode.AUTO, 3, offset)

    def _sample(self, mode: LoopMode, row: int, values: F64) -> VectorStep:
        batch, single = self._running(), self.envs[0]
        command = np.zeros((self.num_envs, 4, 2))
        command[:, 0], command[:, row] = self._setpoint, values
        modes = np.full((self.num_envs, 2), int(mode), dtype=np.int64)
        again = np.flatnonzero(self._over & self._autoreset)
        summary = batch.step(single.sample_time_s, modes, command)
        for index in again.tolist():
            env = self.envs[index]
            env.reset()
            batch.replace(index, env.plant)
            self._setpoint[index] = env.setpoint
        miss = batch.state[:, 3:] - self._setpoint
        reward = -(miss * miss).sum(axis=1) * single.sample_time_s / REWARD_TIME_S
        terminated = batch.tripped
        truncated = ~terminated & (batch.time_s >= single.episode_s - 1.0e-6)
        reward[again], terminated[again], truncated[again] = 0.0, False, False
        self._over = terminated | truncated
        return self._observation(), reward, terminated, truncated, self._info(summary, again)

    def _running(self) -> PlantBatch:
        if self._batch is None:
            raise RuntimeError("call reset() before step()")
        return self._batch

    def _observation(self) -> F64:
        batch = self._running()
        seen = np.concatenate((batch.measured, self._setpoint, batch.actual), axis=1)
        inside: F64 = np.clip(seen, OBSERVATION_LOW, OBSERVATION_HIGH)
        return inside

    def _info(self, summary: BatchSummary | None, again: ArrayLike = ()) -> dict[str, Any]:
        """Everything true about the sample just past, in the form of gymnasium's vectors."""
        batch = self._running()
        begun = {
            "peak_T": batch.state[:, 4].copy(),
            "mean_actual": batch.actual.copy(),
            "override_s": np.zeros(self.num_envs),
        }
        past = begun
        if summary is not None:
            past = {name: getattr(summary, name).copy() for name in begun}
            fresh = np.asarray(again, dtype=np.int64)
            for name, value in begun.items():
                past[name][fresh] = value[fresh]
        info: dict[str, Any] = {
            "state": batch.state.copy(),
            "setpoint": self._setpoint.copy(),
            "actual": batch.actual.copy(),
            "tripped": batch.tripped,
            "first_out": np.where(batch.tripped, str(TripCause.HIGH_TEMPERATURE), "").astype(
                object
            ),
            "time_s": batch.time_s.copy(),
            **past,
        }
        everyone = np.ones(self.num_envs, dtype=np.bool_)
        return info | {f"_{name}": everyone for name in info}
