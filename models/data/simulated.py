"""Historical data from a simulated plant under its PI.

The behaviour is a PI with tunings drawn from the published ranges (atdurkin/poly-control,
`env.py`: Kp U(2e-4, 5e-3), U(8e-3, 0.2); Ki U(6e-8, 1.5e-6), U(2e-6, 5e-5)), plus what the
recipe's variant records: the override, dither and a random bias, or the life of a plant in
operation (`models.data.historian`). Fully determined by a seed, whatever the number of processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.data.dataset import Dataset, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.data.historian import Operator
    from models.recipe import Recipe

    F64 = NDArray[np.float64]

# Episodes that one process runs side by side.
_TOGETHER = 40


def generate(
    recipe: Recipe,
    *,
    jobs: int = -1,
    advance: Callable[[int], None] = lambda episodes: None,  # noqa: ARG005
) -> Dataset:
    """Run all episodes of a recipe, in `jobs` processes; `advance(episodes)` after some of them."""
    from joblib import Parallel, delayed, parallel_config  # noqa: PLC0415

    count = recipe.behaviour.episodes_per_scenario
    names = [(name, i) for name in recipe.source.scenarios for i in range(count)]
    seeds = np.random.SeedSequence(recipe.seed).spawn(len(names))
    episodes = [
        Episode(scenario=name, number=number, seed=seed)
        for (name, number), seed in zip(names, seeds, strict=True)
    ]
    groups = [
        episodes[first : min(first + _TOGETHER, end)]
        for begin in range(0, len(episodes), count)
        for end in [begin + count]
        for first in range(begin, end, _TOGETHER)
    ]
    parts: list[dict[str, F64]] = []
    with parallel_config(inner_max_num_threads=1, backend="loky"):
        run = Parallel(n_jobs=jobs, return_as="generator")
        for made in run(delayed(_group)(recipe, group) for group in groups):
            parts += made
            advance(len(made))
    columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    lengths = [len(part["peak"]) for part in parts]
    kinds = [recipe.source.scenarios.index(name) for name, _ in names]
    episode = np.repeat(np.arange(len(parts)), lengths)
    return Dataset(
        episode=episode,
        segment=segments(episode, columns["time_s"], recipe.source.sample_time_s),
        scenario=np.repeat(kinds, lengths),
        **columns,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One episode to be made: the `number`-th of its scenario."""

    scenario: str
    number: int
    seed: np.random.SeedSequence


# Observation, mean MVs, peak and time of one sample.
Row = tuple["F64", "F64", float, float]


def _group(recipe: Recipe, episodes: Sequence[Episode]) -> list[dict[str, F64]]:
    """Episodes of one scenario; columns of `Dataset` without the indices."""
    import gymnasium  # noqa: PLC0415

    import plant_sim.env  # noqa: F401, PLC0415  # registers the environment

    if recipe.behaviour.historian is not None:
        return [_in_operation(recipe, episode) for episode in episodes]
    if gymnasium.spec(recipe.source.environment).vector_entry_point is None:
        return [_columns(recipe, _alone(recipe, episode)) for episode in episodes]
    return [_columns(recipe, rows) for rows in _together(recipe, episodes)]


def _together(recipe: Recipe, episodes: Sequence[Episode]) -> list[list[Row]]:
    """The rows of episodes that run side by side."""
    import gymnasium  # noqa: PLC0415

    draws = [_Draw(recipe, np.random.default_rng(episode.seed)) for episode in episodes]
    env: Any = gymnasium.make_vec(
        recipe.source.environment,
        num_envs=len(episodes),
        vectorization_mode="vector_entry_point",
        scenario=episodes[0].scenario,
        **_switches(recipe),
    ).unwrapped
    start = [draw.start for draw in draws]
    each = [draw.options for draw in draws]
    seen, info = env.reset(seed=start, options={"each": each})
    if _setpoint_spread(recipe).any():
        each = [draw.aimed(info["setpoint"][i]) for i, draw in enumerate(draws)]
        seen, info = env.reset(seed=start, options={"each": each})
    rows: list[list[Row]] = [
        [(seen[i], info["actual"][i], float(info["peak_T"][i]), float(info["time_s"][i]))]
        for i in range(len(draws))
    ]
    running = np.ones(len(draws), dtype=np.bool_)
    while running.any():
        offset = np.array(
            [
                draw.offset(len(kept) - 1) if on else np.zeros_like(draw.size)
                for draw, kept, on in zip(draws, rows, running, strict=True)
            ]
        )
        seen, _, tripped, over, info = env.step_regulatory(bias_offset=offset)
        for i in np.flatnonzero(running).tolist():
            peak, at = float(info["peak_T"][i]), float(info["time_s"][i])
            rows[i].append((seen[i], info["mean_actual"][i], peak, at))
        running &= ~(tripped | over)
    return rows


class _Draw:
    """What is drawn for one episode, in the order in which it is drawn."""

    def __init__(
        self,
        recipe: Recipe,
        rng: np.random.Generator,
        tuning_rng: np.random.Generator | None = None,
    ) -> None:
        from plant_sim.regulatory import sample_published  # noqa: PLC0415

        behaviour = recipe.behaviour
        self._rng, self._recipe = rng, recipe
        self._hold = max(1, round(behaviour.dither_hold_s / recipe.source.sample_time_s))
        self.size = np.array(behaviour.dither)
        self.options: dict[str, Any] = {
            "tuning": sample_published(
                rng if tuning_rng is None else tuning_rng, random_bias=behaviour.random_bias
            ),
            "override_on_K": behaviour.override_on_K,
            "override_off_K": behaviour.override_off_K,
        }
        self.start = int(rng.integers(2**31))
        self._held = np.zeros_like(self.size)

    def aimed(self, setpoint: F64) -> dict[str, Any]:
        """The options with a setpoint (n_cv,) drawn around the scenario's."""
        spread = _setpoint_spread(self._recipe)
        return self.options | {"setpoint": setpoint + self._rng.uniform(-spread, spread)}

    def offset(self, sample: int) -> F64:
        """Dither (n_mv,) of the sample; asked once for each, in their order."""
        if sample % self._hold == 0:
            self._held = self._rng.uniform(-self.size, self.size)
        return self._held


def _in_operation(recipe: Recipe, episode: Episode) -> dict[str, F64]:
    """An episode of the variant `historian`."""
    from models.data.historian import Operator, campaign_rng, logged  # noqa: PLC0415

    history = recipe.behaviour.historian
    assert history is not None  # noqa: S101  # narrows for the type checker
    tuning_rng = campaign_rng(recipe.seed, episode.number // history.campaign_episodes)
    operator_rng, log_rng = (np.random.default_rng(child) for child in episode.seed.spawn(2))
    operator = Operator(history, recipe, operator_rng)
    rows = _alone(recipe, episode, tuning_rng=tuning_rng, operator=operator)
    return logged(_columns(recipe, rows), recipe, history, log_rng)


def _alone(
    recipe: Recipe,
    episode: Episode,
    *,
    tuning_rng: np.random.Generator | None = None,
    operator: Operator | None = None,
) -> list[Row]:
    """The rows of one episode in an environment of its own."""
    import gymnasium  # noqa: PLC0415

    draw = _Draw(recipe, np.random.default_rng(episode.seed), tuning_rng)
    env: Any = gymnasium.make(
        recipe.source.environment, scenario=episode.scenario, **_switches(recipe)
    ).unwrapped
    seen, info = env.reset(seed=draw.start, options=draw.options)
    if _setpoint_spread(recipe).any():
        seen, info = env.reset(seed=draw.start, options=draw.aimed(info["setpoint"]))
    rows = [(seen, info["actual"], info["peak_T"], info["time_s"])]
    done = False
    while not done:
        offset = draw.offset(len(rows) - 1)
        act = {} if operator is None else operator.act(env, rows[-1][0], info)
        seen, _, tripped, over, info = env.step_regulatory(bias_offset=offset, **act)
        rows.append((seen, info["mean_actual"], info["peak_T"], info["time_s"]))
        done = tripped or over
    return rows


def _switches(recipe: Recipe) -> dict[str, Any]:
    return {
        "sample_time_s": recipe.source.sample_time_s,
        "episode_hours": recipe.source.hours,
        "noise": recipe.behaviour.noise,
        "mismatch": recipe.behaviour.mismatch,
    }


def _setpoint_spread(recipe: Recipe) -> F64:
    """Half the range (n_cv,) around the scenario's setpoint, in the environment's order."""
    at = recipe.source.setpoints
    spread = recipe.behaviour.setpoint_spread
    return np.array([spread.get(name, 0.0) for name in sorted(at, key=at.__getitem__)])


def _columns(recipe: Recipe, rows: list[Row]) -> dict[str, F64]:
    seen = np.array([row[0] for row in rows], dtype=np.float64)
    at = recipe.source.observation
    return {
        "time_s": np.array([row[3] for row in rows], dtype=np.float64),
        "cv": seen[:, [at[cv.name] for cv in recipe.cvs]],
        "sp": seen[:, [recipe.source.setpoints[cv.name] for cv in recipe.cvs]],
        "mv": np.array([row[1] for row in rows], dtype=np.float64),
        "dv": seen[:, [at[dv.name] for dv in recipe.dvs]],
        "peak": np.array([row[2] for row in rows], dtype=np.float64),
    }
