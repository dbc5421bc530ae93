"""Historical data: what a plant's historian would hold of a PI-controlled plant.

The behaviour is a PI with tunings drawn from the published ranges (atdurkin/poly-control,
`env.py`: Kp U(2e-4, 5e-3), U(8e-3, 0.2); Ki U(6e-8, 1.5e-6), U(2e-6, 5e-5)), plus what the
recipe's variant records: the override, dither and a random bias, or the life of a plant in
operation (`models.data.historian`). Fully determined by a seed, whatever the number of processes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.data.historian import Operator
    from models.recipe import Recipe

    F64 = NDArray[np.float64]
    I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Samples of many episodes, one after the other; columns in the order of the recipe.

    episode, segment, scenario: (M,) int. A segment is a stretch of an episode without a gap:
    whatever looks from one row to a later one stays inside it. scenario: -1 where unknown.
    time_s: (M,) since the start of the episode. cv, sp: (M, n_cv). mv: (M, n_mv), mean of the
    values in force over the sample that ends here (the first row of an episode: the value at
    its start). dv: (M, n_dv). peak: (M,) highest value inside the sample of the CV with a
    ceiling; training does not see it.
    """

    episode: I64
    segment: I64
    scenario: I64
    time_s: F64
    cv: F64
    sp: F64
    mv: F64
    dv: F64
    peak: F64

    def bounds(self) -> list[tuple[int, int]]:
        """First and one-past-last row of each segment."""
        return _runs(self.segment)

    def episodes(self) -> list[tuple[int, int]]:
        """First and one-past-last row of each episode."""
        return _runs(self.episode)

    def starts_episode(self, row: int) -> bool:
        """Whether nothing of the same episode comes before a row."""
        return row == 0 or bool(self.episode[row] != self.episode[row - 1])

    def scenario_name(self, row: int, recipe: Recipe) -> str:
        """Scenario of a row, "" where it is not known."""
        index = int(self.scenario[row])
        return "" if index < 0 else recipe.source.scenarios[index]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Columns by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def digest(self) -> str:
        """Sha256 over all columns, in a fixed order."""
        total = hashlib.sha256()
        for name, column in sorted(self.arrays().items()):
            total.update(name.encode())
            total.update(np.ascontiguousarray(column).tobytes())
        return total.hexdigest()

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write as safetensors with the recipe of the data; whole or not at all."""
        from safetensors.numpy import save_file  # noqa: PLC0415

        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        # safetensors writes the buffer as it lies: an array that is not contiguous would come
        # back shuffled.
        whole = {name: np.ascontiguousarray(column) for name, column in self.arrays().items()}
        save_file(whole, draft, metadata={"recipe": fingerprint_text(recipe)})
        draft.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        from safetensors.numpy import load_file  # noqa: PLC0415

        return cls(**load_file(path))


def segments(episode: I64, time_s: F64, sample_time_s: float) -> I64:
    """Number (M,) of each row's segment; a new one begins with an episode and after a gap.

    Rows belong together while they follow each other by one sample, to a hundredth of it.
    """
    follows = np.abs(np.diff(time_s) - sample_time_s) <= 0.01 * sample_time_s
    new = np.concatenate(([False], (np.diff(episode) != 0) | ~follows))
    return np.cumsum(new).astype(np.int64)


def fingerprint_text(recipe: Recipe) -> str:
    """The parts of a recipe that decide the data, as canonical JSON."""
    parts = {
        "seed": recipe.seed,
        "source": recipe.source.model_dump(mode="json"),
        "behaviour": recipe.behaviour.model_dump(mode="json"),
        "tags": [tag.name for tag in (*recipe.cvs, *recipe.mvs, *recipe.dvs)],
    }
    return json.dumps(parts, sort_keys=True)


def generate(
    recipe: Recipe, *, jobs: int = -1, advance: Callable[[], None] = lambda: None
) -> Dataset:
    """Run all episodes of a recipe, in `jobs` processes; `advance` is called after each."""
    from joblib import Parallel, delayed  # noqa: PLC0415

    count = recipe.behaviour.episodes_per_scenario
    names = [(name, i) for name in recipe.source.scenarios for i in range(count)]
    seeds = np.random.SeedSequence(recipe.seed).spawn(len(names))
    tasks = (
        delayed(_episode)(recipe, name, number, seed)
        for (name, number), seed in zip(names, seeds, strict=True)
    )
    parts = []
    for part in Parallel(n_jobs=jobs, return_as="generator")(tasks):
        parts.append(part)
        advance()
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


def _episode(
    recipe: Recipe, scenario: str, number: int, seed: np.random.SeedSequence
) -> dict[str, F64]:
    """One episode under the DCS's PI; columns of `Dataset` without the indices."""
    from models.data.historian import Operator, campaign_rng, logged  # noqa: PLC0415

    history = recipe.behaviour.historian
    rng = np.random.default_rng(seed)
    if history is None:
        return _columns(recipe, _run(recipe, scenario, rng, rng, None))
    tuning_rng = campaign_rng(recipe.seed, number // history.campaign_episodes)
    operator_rng, log_rng = (np.random.default_rng(child) for child in seed.spawn(2))
    operator = Operator(history, recipe, operator_rng)
    columns = _columns(recipe, _run(recipe, scenario, rng, tuning_rng, operator))
    return logged(columns, recipe, history, log_rng)


Row = tuple["F64", "F64", float, float]


def _run(
    recipe: Recipe,
    scenario: str,
    rng: np.random.Generator,
    tuning_rng: np.random.Generator,
    operator: Operator | None,
) -> list[Row]:
    """Observation, mean MVs, peak and time of every sample of one episode."""
    import gymnasium  # noqa: PLC0415

    import plant_sim.env  # noqa: F401, PLC0415  # registers the environment
    from plant_sim.regulatory import sample_published  # noqa: PLC0415

    source, behaviour = recipe.source, recipe.behaviour
    env: Any = gymnasium.make(
        source.environment,
        scenario=scenario,
        sample_time_s=source.sample_time_s,
        episode_hours=source.hours,
        noise=behaviour.noise,
        mismatch=behaviour.mismatch,
    ).unwrapped
    options: dict[str, Any] = {
        "tuning": sample_published(tuning_rng, random_bias=behaviour.random_bias),
        "override_on_K": behaviour.override_on_K,
        "override_off_K": behaviour.override_off_K,
    }
    start_seed = int(rng.integers(2**31))
    seen, info = env.reset(seed=start_seed, options=options)
    spread = _setpoint_spread(recipe)
    if spread.any():
        options["setpoint"] = info["setpoint"] + rng.uniform(-spread, spread)
        seen, info = env.reset(seed=start_seed, options=options)
    rows = [(seen, info["actual"], info["peak_T"], info["time_s"])]
    hold = max(1, round(behaviour.dither_hold_s / source.sample_time_s))
    size = np.array(behaviour.dither)
    offset = np.zeros_like(size)
    done = False
    while not done:
        if (len(rows) - 1) % hold == 0:
            offset = rng.uniform(-size, size)
        act = {} if operator is None else operator.act(env, rows[-1][0], info)
        seen, _, tripped, over, info = env.step_regulatory(bias_offset=offset, **act)
        rows.append((seen, info["mean_actual"], info["peak_T"], info["time_s"]))
        done = tripped or over
    return rows


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


def _runs(number: I64) -> list[tuple[int, int]]:
    """First and one-past-last row of each stretch of equal numbers."""
    cuts = np.flatnonzero(np.diff(number)) + 1
    return list(pairwise([0, *cuts.tolist(), len(number)]))
