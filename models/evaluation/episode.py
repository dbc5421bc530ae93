"""One episode of the benchmark: one pilot on one start."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.evaluation.pilot import Pilot
    from models.evaluation.suites import Case, Setting

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What happened; N samples.

    start: true state before the first. setpoint: (n_cv,). cv: (N + 1, n_cv) true. mv: (N + 1,
    n_mv), mean of the values in force over the sample that ends there. peaks: (N, n_limits)
    highest value inside the sample of each limited CV. reward: (N,). cpu_s: (N,) of the
    decision alone. noted: (N,) each, what the pilot said about its moves.
    """

    start: F64
    setpoint: F64
    cv: F64
    mv: F64
    peaks: F64
    reward: F64
    cpu_s: F64
    noted: dict[str, F64]
    tripped: bool


def make_environment(setting: Setting, case: Case) -> Any:
    """The recipe's environment, as `case` has it; what is below Gymnasium's wrappers."""
    import gymnasium  # noqa: PLC0415

    import plant_sim.env  # noqa: F401, PLC0415  # registers the environment

    return gymnasium.make(
        setting.recipe.source.environment,
        scenario=case.scenario,
        sample_time_s=setting.sample_time_s,
        episode_hours=setting.hours,
        **dict(case.switches),
    ).unwrapped


def started(
    setting: Setting, case: Case, start_seed: int, options: dict[str, Any]
) -> tuple[Any, F64, dict[str, Any]]:
    """The environment of `case` after the reset to one start, and what the reset returned."""
    env = make_environment(setting, case)
    asked = options if case.setpoint is None else {**options, "setpoint": case.setpoint}
    return env, *env.reset(seed=start_seed, options=asked)


def fly(pilot: Pilot, setting: Setting, case: Case, start_seed: int) -> Trace:
    """Run one episode, to its end even if the interlock trips.

    An episode that stopped at the trip would be spared the error that the trip costs.
    """
    env, seen, info = started(setting, case, start_seed, pilot.reset_options())
    pilot.begin(env, seen, info)
    limits = [f"peak_{setting.rules.symbols[name]}" for name in setting.rules.limits]
    start = np.array(info["state"], dtype=np.float64)
    cv, mv = [_true_cv(info, setting)], [np.array(info["actual"])]
    peaks, reward, cpu, noted = [], [], [], []
    for _ in range(round(setting.hours * 3600.0 / setting.sample_time_s)):
        began = time.thread_time_ns()
        target = pilot.decide(seen, info)
        cpu.append((time.thread_time_ns() - began) * 1e-9)
        noted.append(dict(getattr(pilot, "noted", {})))
        seen, gained, _, _, info = env.step_regulatory() if target is None else env.step(target)
        cv.append(_true_cv(info, setting))
        mv.append(np.array(info["mean_actual"]))
        peaks.append([info[key] for key in limits])
        reward.append(float(gained))
    return Trace(
        start=start,
        setpoint=np.array(info["setpoint"], dtype=np.float64),
        cv=np.array(cv),
        mv=np.array(mv),
        peaks=np.array(peaks, dtype=np.float64).reshape(len(reward), len(limits)),
        reward=np.array(reward),
        cpu_s=np.array(cpu),
        noted={key: np.array([row[key] for row in noted]) for key in noted[0]},
        tripped=bool(info["tripped"]),
    )


def _true_cv(info: dict[str, Any], setting: Setting) -> F64:
    """True CVs (n_cv,), without measurement noise."""
    by_name = dict(zip(setting.recipe.source.state, info["state"], strict=True))
    return np.array([by_name[cv.name] for cv in setting.recipe.cvs], dtype=np.float64)
