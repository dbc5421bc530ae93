"""Historical data: what a plant's historian holds of it, in columns."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

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


def _runs(number: I64) -> list[tuple[int, int]]:
    """First and one-past-last row of each stretch of equal numbers."""
    cuts = np.flatnonzero(np.diff(number)) + 1
    return list(pairwise([0, *cuts.tolist(), len(number)]))
