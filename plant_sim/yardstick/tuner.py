"""Tune one PI for every scenario: what a good engineer with the plant at hand would reach.

Differential evolution (Storn & Price 1997, doi:10.1023/A:1008202821328) over the logarithms of
the four gains. Its aim is the worst cell's score, so that no scenario is given away for another.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.optimize import Bounds, differential_evolution

from plant_sim.env import PolymerCSTREnv
from plant_sim.interlock import HARD_LIMIT_K
from plant_sim.reactor import F64
from plant_sim.regulatory import DEFAULT_TUNING, PiTuning, sample_published
from plant_sim.scenarios import SCENARIOS
from plant_sim.yardstick.pilots import PiPilot, optimum

SUITES: dict[str, dict[str, bool]] = {
    "nominal": {},
    "mismatch": {"mismatch": True},
    "both": {"mismatch": True, "noise": True},
}
_TUNED_ON = ("nominal", "both")  # with noise: gains that only noise-free signals bear are no tuning
TUNING_SEED = 500
BOUNDS = ((1e-4, 1.0), (5e-3, 20.0), (1e-8, 1e-4), (1e-6, 1e-2))
"""kp of P and T, ki of P and T: the published ranges and more than ten times their width."""
_SAMPLE_TIME_S, _HOURS = 300.0, 48.0
_PUBLISHED = 15  # tunings whose median is the zero of the score while tuning
_HOT_COST = 50.0  # points a start that was above the hard limit takes off its cell, and per K

Progress = Callable[[int, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much to search. The default takes 2 minutes of CPU time."""

    starts: int = 3
    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    suites: tuple[str, ...] = _TUNED_ON
    individuals: int = 20
    generations: int = 10
    jobs: int = 1

    def cells(self) -> list[tuple[str, str]]:
        """(suite, scenario) of every cell."""
        return list(product(self.suites, self.scenarios))


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Zero and hundred of the score: sums of returns over the starts of each cell, (cells,)."""

    published: F64
    optimum: F64


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A tuning, its score in every cell, and the same of the DCS's default."""

    tuning: PiTuning
    scores: dict[tuple[str, str], float]
    default_scores: dict[tuple[str, str], float]


def tune(
    *, seed: int, budget: Budget, references: References, progress: Progress | None = None
) -> Tuned:
    """Search for the tuning with the best worst cell, from the DCS's default on.

    The same seed and budget give the same tuning, whatever `budget.jobs` is. `progress` gets the
    generation and the best worst cell so far. Raises ValueError for fewer than 5 individuals.
    """
    if budget.individuals < 5:
        raise ValueError(f"individuals: {budget.individuals}; allowed: 5 and above")
    gains = np.log(np.array(BOUNDS))
    generator = np.random.default_rng(seed)
    first = generator.uniform(gains[:, 0], gains[:, 1], (budget.individuals, 4))
    first[0] = np.log([*DEFAULT_TUNING.kp, *DEFAULT_TUNING.ki])
    default = scores(DEFAULT_TUNING, budget, references)
    generation = 0

    def report(intermediate_result: Any) -> None:
        nonlocal generation
        generation += 1
        if progress is not None:
            progress(generation, -float(intermediate_result.fun))

    with Parallel(n_jobs=budget.jobs) as pool:

        def spread(function: Callable[[F64], float], rows: Iterable[F64]) -> list[float]:
            return list(pool(delayed(function)(row) for row in rows))

        found = differential_evolution(
            _Loss(budget, references, float(default.min())),
            bounds=Bounds(gains[:, 0], gains[:, 1]),
            init=first,
            maxiter=budget.generations,
            rng=generator,
            updating="deferred",
            workers=spread,
            polish=False,
            tol=0.0,
            callback=report,
        )
    tuning = tuning_of(found.x)
    cells = budget.cells()
    return Tuned(
        tuning=tuning,
        scores=dict(zip(cells, scores(tuning, budget, references).tolist(), strict=True)),
        default_scores=dict(zip(cells, default.tolist(), strict=True)),
    )


@dataclass(frozen=True, slots=True)
class _Loss:
    """What differential evolution minimises; a class, because it goes to other processes."""

    budget: Budget
    references: References

    floor: float

    def __call__(self, logarithms: F64) -> float:
        """Worst cell, with its sign changed; what falls below `floor` is not flown any further."""
        tuning, worst = tuning_of(logarithms), np.inf
        for number in range(len(self.budget.cells())):
            worst = min(worst, cell_score(tuning, number, self.budget, self.references))
            if worst < self.floor:
                break
        return -worst


def tuning_of(logarithms: F64) -> PiTuning:
    """Gains from their logarithms (4,): kp of P and T, ki of P and T."""
    kp_P, kp_T, ki_P, ki_T = np.exp(logarithms).tolist()
    return PiTuning(kp=(kp_P, kp_T), ki=(ki_P, ki_T))


def scores(tuning: PiTuning, budget: Budget, references: References) -> F64:
    """Score of every cell (cells,), with `_HOT_COST` taken off for what was above 365 K."""
    cells = range(len(budget.cells()))
    return np.array([cell_score(tuning, number, budget, references) for number in cells])


def cell_score(tuning: PiTuning, number: int, budget: Budget, references: References) -> float:
    """Score of cell `number`; see `scores`."""
    pilot = PiPilot(name="tried", tuning=tuning)
    total, lost = fly_cell(pilot, *budget.cells()[number], budget.starts)
    zero = references.published[number]
    return float(100.0 * (total - zero) / (references.optimum[number] - zero) - lost)


def references(budget: Budget) -> References:
    """The published median and the optimum on the tuning starts; needs CasADi."""
    generator = np.random.default_rng(TUNING_SEED)
    drawn = [
        PiPilot(name="published", tuning=sample_published(generator)) for _ in range(_PUBLISHED)
    ]
    cells = budget.cells()
    jobs = [(pilot, cell) for pilot in (*drawn, optimum()) for cell in cells]
    flown = Parallel(n_jobs=budget.jobs)(
        delayed(fly_cell)(pilot, *cell, budget.starts) for pilot, cell in jobs
    )
    returns = np.array([total for total, _ in flown]).reshape(-1, len(cells))
    return References(published=np.median(returns[:-1], axis=0), optimum=returns[-1])


def fly_cell(pilot: Any, suite: str, scenario: str, starts: int) -> tuple[float, float]:
    """Sum of the returns over the tuning starts of a cell, and points lost above 365 K."""
    flown = [fly(pilot, suite, scenario, seed) for seed in start_seeds(starts)]
    excess = np.array([peak for _, peak in flown]) - HARD_LIMIT_K
    lost = np.where(excess > 0.0, _HOT_COST * (1.0 + excess), 0.0).mean()
    return sum(total for total, _ in flown), float(lost)


def fly(pilot: Any, suite: str, scenario: str, seed: int) -> tuple[float, float]:
    """Return and peak temperature [K] of one episode, run to its end even after a trip."""
    switches = SUITES[suite]
    env = PolymerCSTREnv(
        scenario=scenario,
        sample_time_s=_SAMPLE_TIME_S,
        episode_hours=_HOURS,
        mismatch=switches.get("mismatch", False),
        noise=switches.get("noise", False),
    )
    seen, info = env.reset(seed=seed, options=pilot.reset_options())
    pilot.begin(env, seen, info)
    total, peak = 0.0, -np.inf
    for _ in range(round(_HOURS * 3600.0 / _SAMPLE_TIME_S)):
        target = pilot.decide(seen, info)
        seen, reward, _, _, info = env.step_regulatory() if target is None else env.step(target)
        total += reward
        peak = max(peak, info["peak_T"])
    return total, peak


def start_seeds(count: int) -> Sequence[int]:
    """Seeds of the tuning starts: those of the benchmark's seed 500, on which choices are made."""
    return [
        int(np.random.SeedSequence([TUNING_SEED, i]).generate_state(1)[0]) & 0x7FFFFFFF
        for i in range(count)
    ]
