"""Runs the episodes of an evaluation in parallel, and only those that are not there yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.evaluation.cache import Cache, code_digest, key_of, trend_of
from models.evaluation.episode import fly
from models.evaluation.metrics import measures
from models.evaluation.pilot import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.evaluation.pilot import Pilot
    from models.evaluation.suites import Case, Setting
    from models.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One start under one pilot, or under many of which only the returns are kept."""

    pilots: tuple[Pilot, ...]
    case: Case
    start_seed: int
    only_returns: bool = False

    def key(self, setting: Setting) -> str:
        """Where the cache keeps it."""
        parts = ["returns" if self.only_returns else "episode"]
        for pilot in self.pilots:
            module = type(pilot).__module__
            # Yardsticks answer for their code in their digest; ours is looked at.
            ours = module.split(".")[0] == __name__.split(".")[0]
            parts += [pilot.digest, code_digest(module) if ours else ""]
        digest = hashlib.sha256(" ".join(parts).encode()).hexdigest()
        return key_of(digest, setting, self.case, self.start_seed)


class Campaign:
    """Computes jobs and remembers how many were new; results lie in the cache at once."""

    def __init__(self, setting: Setting, directory: Path, *, jobs: int, progress: Progress) -> None:
        self.setting = setting
        self.cache = Cache(directory)
        self.computed = 0
        self.reused = 0
        self._jobs = jobs
        self._progress = progress

    def run(self, name: str, jobs: Sequence[Job]) -> list[Any]:
        """Results in the order of `jobs`: measures, or a list of returns.

        Raises EvaluationError naming the episode that could not be run.
        """
        from joblib import Parallel, delayed, parallel_config  # noqa: PLC0415

        keys = [job.key(self.setting) for job in jobs]
        found = {
            key: row for key in dict.fromkeys(keys) if (row := self.cache.load(key)) is not None
        }
        missing = {key: job for key, job in zip(keys, jobs, strict=True) if key not in found}
        self.reused += len(found)
        self._progress.stage(name, len(missing))
        tasks = (
            delayed(compute)(job, key, self.setting, self.cache.directory)
            for key, job in missing.items()
        )
        with parallel_config(inner_max_num_threads=1, backend="loky"):
            finished = Parallel(n_jobs=self._jobs, return_as="generator_unordered")(tasks)
            for count, (key, row) in enumerate(finished, start=1):
                found[key] = row
                self.computed += 1
                self._progress.done(count, {})
        return [found[key] for key in keys]


def compute(job: Job, key: str, setting: Setting, directory: Path) -> tuple[str, Any]:
    """Run one job and keep its result; in a worker process."""
    cache = Cache(directory)
    if job.only_returns:
        returns = [float(_fly(pilot, job, setting).reward.sum()) for pilot in job.pilots]
        cache.save(key, returns)
        return key, returns
    trace = _fly(job.pilots[0], job, setting)
    row = measures(trace, setting)
    cache.save(key, row, trend_of(trace, setting))
    return key, row


def _fly(pilot: Pilot, job: Job, setting: Setting) -> Any:
    try:
        return fly(pilot, setting, job.case, job.start_seed)
    except ImportError as error:
        raise EvaluationError(f"{pilot.name}: {error}") from error
    except (ArithmeticError, RuntimeError, ValueError) as error:
        raise EvaluationError(
            f"{pilot.name}, suite {job.case.suite}, {job.case.name}, start seed "
            f"{job.start_seed}: {type(error).__name__}: {error}"
        ) from error
