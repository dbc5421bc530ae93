"""Runs the episodes of an evaluation in parallel, and only those that are not there yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.evaluation.cache import Cache, code_digest, key_of, trend_of
from models.evaluation.episode import fly, fly_together, together
from models.evaluation.metrics import measures
from models.evaluation.pilot import EvaluationError, is_regulatory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from models.evaluation.episode import Trace
    from models.evaluation.pilot import Pilot
    from models.evaluation.suites import Case, Setting
    from models.progress import Progress


_TOGETHER = 200
"""Episodes that one process runs side by side: enough for SIMD, few enough to keep all processes
busy."""


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
            delayed(compute)(group, self.setting, self.cache.directory)
            for group in groups(missing, side_by_side=together(self.setting))
        )
        with parallel_config(inner_max_num_threads=1, backend="loky"):
            finished = Parallel(n_jobs=self._jobs, return_as="generator_unordered")(tasks)
            count = 0
            for rows in finished:
                found.update(rows)
                count += len(rows)
                self.computed += len(rows)
                self._progress.done(count, {})
        return [found[key] for key in keys]


def groups(jobs: dict[str, Job], *, side_by_side: bool) -> list[dict[str, Job]]:
    """Jobs, by key, that one process computes at once: those of regulatory pilots of one case."""
    made: list[dict[str, Job]] = []
    open_groups: dict[Case, dict[str, Job]] = {}
    for key, job in jobs.items():
        if not (side_by_side and all(is_regulatory(pilot) for pilot in job.pilots)):
            made.append({key: job})
            continue
        group = open_groups.setdefault(job.case, {})
        if not group:
            made.append(group)
        group[key] = job
        if sum(len(member.pilots) for member in group.values()) >= _TOGETHER:
            del open_groups[job.case]
    return made


def compute(group: dict[str, Job], setting: Setting, directory: Path) -> dict[str, Any]:
    """Run the jobs of a group and keep their results; in a worker process."""
    cache = Cache(directory)
    rows: dict[str, Any] = {}
    for (key, job), traces in zip(group.items(), _traces(group, setting), strict=True):
        if job.only_returns:
            rows[key] = [float(trace.reward.sum()) for trace in traces]
            cache.save(key, rows[key])
        else:
            rows[key] = measures(traces[0], setting)
            cache.save(key, rows[key], trend_of(traces[0], setting))
    return rows


def _traces(group: dict[str, Job], setting: Setting) -> Iterator[list[Trace]]:
    """The episodes of each job of a group, one for each of its pilots."""
    jobs = list(group.values())
    if not (together(setting) and all(is_regulatory(p) for job in jobs for p in job.pilots)):
        for job in jobs:
            yield [_fly(pilot, job, setting) for pilot in job.pilots]
        return
    flights = [(pilot, job.start_seed) for job in jobs for pilot in job.pilots]
    traces = iter(_fly_together(flights, jobs[0].case, setting))
    for job in jobs:
        yield [next(traces) for _ in job.pilots]


def _fly_together(flights: list[tuple[Pilot, int]], case: Case, setting: Setting) -> list[Trace]:
    try:
        return fly_together(flights, setting, case)
    except (ArithmeticError, RuntimeError, ValueError) as error:
        names = ", ".join(dict.fromkeys(pilot.name for pilot, _ in flights))
        raise EvaluationError(
            f"{names}, side by side, suite {case.suite}, {case.name}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _fly(pilot: Pilot, job: Job, setting: Setting) -> Trace:
    try:
        return fly(pilot, setting, job.case, job.start_seed)
    except ImportError as error:
        raise EvaluationError(f"{pilot.name}: {error}") from error
    except (ArithmeticError, RuntimeError, ValueError) as error:
        raise EvaluationError(
            f"{pilot.name}, suite {job.case.suite}, {job.case.name}, start seed "
            f"{job.start_seed}: {type(error).__name__}: {error}"
        ) from error
