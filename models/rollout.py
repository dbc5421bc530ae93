"""Closed loop of a bundle and the simulated plant, in process, for tuning and evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.runtime import Advice, AdviceRequest, ProcessSample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.recipe import Recipe, Source
    from models.runtime import Runtime

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One episode; rows are samples.

    cv_true: (N + 1, n_cv) without measurement noise. mv: (N + 1, n_mv) in force. policy: (N,
    n_mv) what the policy alone asked for. peak: (N,) highest value inside the sample of the
    limited CV. reward: (N,). gap: (N,) certificates. refused: samples without advice.
    """

    setpoint: F64
    cv_true: F64
    mv: F64
    policy: F64
    peak: F64
    reward: F64
    gap: F64
    refused: int

    @property
    def total(self) -> float:
        """Return of the episode."""
        return float(self.reward.sum())

    def offset(self, samples: int) -> F64:
        """Mean error (n_cv,) over the last `samples`."""
        mean: F64 = self.cv_true[-samples:].mean(axis=0) - self.setpoint
        return mean


def rollout(
    runtime: Runtime,
    recipe: Recipe,
    scenario: str,
    seed: int,
    *,
    move_limit: F64 | None = None,
    hours: float | None = None,
    noise: bool = False,
    mismatch: bool = False,
    disturbance: bool = False,
) -> Rollout:
    """Run one episode under a bundle; `move_limit` (n_mv,) bounds each move [MV units].

    The previous move is held where there is no advice, as the controller does.
    """
    import gymnasium  # noqa: PLC0415

    import plant_sim.env  # noqa: F401, PLC0415  # registers the environment

    source = recipe.source
    env = gymnasium.make(
        source.environment,
        scenario=scenario,
        sample_time_s=source.sample_time_s,
        episode_hours=hours or source.hours,
        noise=noise,
        mismatch=mismatch,
        disturbance=disturbance,
    ).unwrapped
    low = np.array([mv.low for mv in recipe.mvs])
    high = np.array([mv.high for mv in recipe.mvs])
    reach = high - low if move_limit is None else move_limit
    seen, info = env.reset(seed=seed)
    memory = runtime.initial_memory()
    state = _true_cv(info, recipe)
    rows: dict[str, list[F64]] = {"cv_true": [state], "mv": [info["actual"]]}
    steps: dict[str, list[float]] = {"peak": [], "reward": [], "gap": []}
    policy: list[F64] = []
    refused, done = 0, False
    while not done:
        sample = _sample(recipe, source, np.asarray(seen), info)
        request = AdviceRequest(
            sample=sample,
            low=np.clip(sample.mv - reach, low, high),
            high=np.clip(sample.mv + reach, low, high),
            range_low=low,
            range_high=high,
            windup_low=np.zeros(len(low), dtype=bool),
            windup_high=np.zeros(len(low), dtype=bool),
            freeze=bool(info["override_s"] > 0.0),
        )
        answer, memory = runtime.advise(request, memory)
        advised = isinstance(answer, Advice)
        move = answer.move if isinstance(answer, Advice) else sample.mv
        policy.append(answer.policy_move if isinstance(answer, Advice) else sample.mv)
        refused += not advised
        seen, reward, tripped, over, info = env.step(move)
        rows["cv_true"].append(_true_cv(info, recipe))
        rows["mv"].append(info["mean_actual"])
        steps["peak"].append(info["peak_T"])
        steps["reward"].append(float(reward))
        steps["gap"].append(answer.gap if isinstance(answer, Advice) else np.nan)
        done = tripped or over
    return Rollout(
        setpoint=np.asarray(info["setpoint"]),
        refused=refused,
        policy=np.array(policy),
        **{name: np.array(column) for name, column in rows.items()},
        **{name: np.array(column) for name, column in steps.items()},
    )


def _sample(recipe: Recipe, source: Source, seen: F64, info: dict[str, F64]) -> ProcessSample:
    at = source.observation
    return ProcessSample(
        plant_time_s=float(info["time_s"]),
        cv=seen[[at[cv.name] for cv in recipe.cvs]],
        sp=seen[[source.setpoints[cv.name] for cv in recipe.cvs]],
        mv=np.asarray(info["actual"], dtype=np.float64),
        dv=seen[[at[dv.name] for dv in recipe.dvs]],
    )


def _true_cv(info: dict[str, F64], recipe: Recipe) -> F64:
    """True CVs (n_cv,), without measurement noise."""
    state = np.asarray(info["state"])
    by_name = dict(zip(recipe.source.state, state, strict=True))
    return np.array([by_name[cv.name] for cv in recipe.cvs])
