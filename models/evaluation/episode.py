"""One episode of the benchmark: one pilot on one start."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    return gymnasium.make(setting.recipe.source.environment, **_arguments(setting, case)).unwrapped


def _arguments(setting: Setting, case: Case) -> dict[str, Any]:
    return {
        "scenario": case.scenario,
        "sample_time_s": setting.sample_time_s,
        "episode_hours": setting.hours,
        **dict(case.switches),
    }


def _asked(options: dict[str, Any], case: Case) -> dict[str, Any]:
    """Options of a reset, with the case's setpoint."""
    return options if case.setpoint is None else {**options, "setpoint": case.setpoint}


def started(
    setting: Setting, case: Case, start_seed: int, options: dict[str, Any]
) -> tuple[Any, F64, dict[str, Any]]:
    """The environment of `case` after the reset to one start, and what the reset returned."""
    env = make_environment(setting, case)
    return env, *env.reset(seed=start_seed, options=_asked(options, case))


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
    for _ in range(setting.samples):
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


def fly_together(flights: Sequence[tuple[Pilot, int]], setting: Setting, case: Case) -> list[Trace]:
    """`fly` for regulatory pilots, each with a start seed, side by side; the bits of each alone.

    The PI decides inside the DCS: `cpu_s` is 0.
    """
    import gymnasium  # noqa: PLC0415
    from gymnasium.vector import AutoresetMode  # noqa: PLC0415

    import plant_sim.env  # noqa: F401, PLC0415  # registers the environment

    env: Any = gymnasium.make_vec(
        setting.recipe.source.environment,
        num_envs=len(flights),
        vectorization_mode="vector_entry_point",
        autoreset_mode=AutoresetMode.DISABLED,  # an episode goes on after a trip
        **_arguments(setting, case),
    ).unwrapped
    each = [_asked(pilot.reset_options(), case) for pilot, _ in flights]
    _, info = env.reset(seed=[seed for _, seed in flights], options={"each": each})
    start = np.array(info["state"], dtype=np.float64)
    infos, rewards = [{**info, "mean_actual": info["actual"]}], []
    for _ in range(setting.samples):
        _, gained, _, _, info = env.step_regulatory()
        infos.append(info)
        rewards.append(gained)
    limits = [f"peak_{setting.rules.symbols[name]}" for name in setting.rules.limits]
    cv = np.stack([_true_cv(row, setting) for row in infos], axis=1)
    mv = np.stack([row["mean_actual"] for row in infos], axis=1)
    peaks = np.zeros((len(flights), len(rewards), len(limits)))
    for at, key in enumerate(limits):
        peaks[:, :, at] = np.stack([row[key] for row in infos[1:]], axis=1)
    reward = np.stack(rewards, axis=1)
    return [
        Trace(
            start=start[i],
            setpoint=np.array(info["setpoint"][i], dtype=np.float64),
            # laid out as in `fly`: the order of a sum's terms, and so its bits, follow the layout
            cv=np.ascontiguousarray(cv[i]),
            mv=np.ascontiguousarray(mv[i]),
            peaks=peaks[i],
            reward=reward[i],
            cpu_s=np.zeros(len(rewards)),
            noted={},
            tripped=bool(info["tripped"][i]),
        )
        for i in range(len(flights))
    ]


def together(setting: Setting) -> bool:
    """Whether the recipe's environment can run episodes side by side."""
    import gymnasium  # noqa: PLC0415

    import plant_sim.env  # noqa: F401, PLC0415  # registers the environment

    return gymnasium.spec(setting.recipe.source.environment).vector_entry_point is not None


def _true_cv(info: dict[str, Any], setting: Setting) -> F64:
    """True CVs (..., n_cv), without measurement noise."""
    state = np.asarray(info["state"], dtype=np.float64)
    names = setting.recipe.source.state
    return state[..., [names.index(cv.name) for cv in setting.recipe.cvs]]
