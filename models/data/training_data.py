"""The data of one training run: generated or a user's own, checked, and kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.data.checks import DataRefused, check
from models.data.dataset import Dataset
from models.data.own import read_own
from models.data.simulated import generate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.data.checks import DataReport
    from models.recipe import Recipe

    Facts = dict[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """A dataset, what the checks found in it, and where it comes from."""

    data: Dataset
    report: DataReport
    origin: Facts

    def facts(self, recipe: Recipe) -> Facts:
        """What a manifest says of the data."""
        ceilings = [cv.high for cv in recipe.cvs if cv.safe_high is not None]
        runs = self.data.episodes()
        hot = [self.data.peak[a:b].max() > ceilings[0] for a, b in runs] if ceilings else []
        return {
            "sha256": self.data.digest(),
            "samples": len(self.data.episode),
            "episodes": len(runs),
            "segments": len(self.data.bounds()),
            "episodes_above_limit": int(sum(hot)),
            **self.origin,
            **self.report.facts(),
        }


def generated(
    recipe: Recipe,
    kept: Path | None,
    *,
    jobs: int,
    advance: Callable[[int], None] = lambda episodes: None,  # noqa: ARG005
) -> TrainingData:
    """The data of the recipe, made once and then kept in the file `kept`."""
    if kept is not None and kept.exists():
        data = Dataset.load(kept)
    else:
        data = generate(recipe, jobs=jobs, advance=advance)
        if kept is not None:
            data.save(kept, recipe)
    behaviour = recipe.behaviour.model_dump(mode="json", exclude_none=True)
    origin: Facts = {
        "environment": recipe.source.environment,
        "hours": recipe.source.hours,
        **{k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in behaviour.items()},
    }
    return TrainingData(data=data, report=check(data, recipe), origin=origin)


def own(path: Path, recipe: Recipe) -> TrainingData:
    """A user's export; raises DataRefused if it cannot be read as the recipe's tags."""
    data, known = read_own(path, recipe)
    origin: Facts = {"variant": "own", "file": path.name, "file_sha256": file_sha256(path)}
    return TrainingData(data=data, report=check(data, recipe, known), origin=origin)


def file_sha256(path: Path) -> str:
    """Hex digest of a user's file; raises DataRefused if there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataRefused(
            f"{path}: cannot be read: {error}; give a .parquet or .csv file"
        ) from error
