"""Speed of the plant, one and many at once, beside SciPy's stepping of the same equations."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from scipy.integrate import solve_ivp

import plant_sim.env  # noqa: F401 - registers the environment
from benchmarks.agreement import agree
from benchmarks.measure import Contender, measure
from benchmarks.rows import Row, compared
from benchmarks.scipy_reactor import HIGH, LOW, ScipyReactor
from plant_sim.batch import PlantBatch
from plant_sim.integrate import in_place
from plant_sim.integrate_batch import advance_batch
from plant_sim.lane_types import ONE, ONE_FAST
from plant_sim.plant import LoopCommand, Plant, PlantOptions
from plant_sim.reactor import NOMINAL, Parameters, rhs
from plant_sim.scenarios import SCENARIOS
from plant_sim.threads import default_threads
from plant_sim.yardstick.pilots import ROBUST_TUNING

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.measure import Timing

    F64 = NDArray[np.float64]

SAMPLE_S = 1800.0  # the published environment's
ALLOWED = 1e-6  # relative, every component
PLANTS = 4096
EPISODES, HOURS, DCS_SAMPLE_S, SCAN_S = 10_000, 48.0, 300.0, 10.0
SIZES = (1, 8, 64, 512, 4096)
SETPOINT = np.array([70.0, 345.0])  # where no plant of the population runs away
NOISE_SD = np.array([1.0, 0.3])  # P, T, as the soft plant has them
SCIPY = "SciPy's BDF, as published"
ENVIRONMENT = "plant_sim/PolymerCSTR-v0"


def rows(seconds: float, *, episodes: int = 500) -> list[Row]:
    """All comparisons; `episodes` run side by side stand for the 10^4."""
    return [
        *one_plant(seconds),
        *many_reactors(seconds),
        *many_episodes(seconds, episodes),
        *batch_sizes(seconds),
    ]


def visited(samples: int = 200) -> list[tuple[F64, F64]]:
    """States and inputs (feed, coolant, feed in the flow) of a startup, PI with noise, 100 h."""
    rng = np.random.default_rng(1)
    x, integral, met = np.array([440.0, 0.0, 0.0, 0.0, 350.0]), np.zeros((1, 2)), []
    for _ in range(samples):
        u, integral = pi(x[None, 3:] + rng.standard_normal((1, 2)) * NOISE_SD, integral)
        met.append((x.copy(), np.array([u[0, 0], u[0, 1], u[0, 0]])))
        x = advance_batch(x[None], u, SAMPLE_S)[0][0]
    return met


def pi(measured: F64, integral: F64) -> tuple[F64, F64]:
    """Inputs (N, 2) of a PI at every sample, with anti-windup, and its integral (N, 2)."""
    gains = ROBUST_TUNING.array()
    error = SETPOINT - measured
    wanted = gains[2] + gains[0] * error + integral
    u = np.clip(wanted, LOW, HIGH)
    return u, np.where(u == wanted, integral + gains[1] * error * SAMPLE_S, integral)


def one_plant(seconds: float) -> list[Row]:
    """One reactor over 1800 s of constant inputs."""
    met, scipy, p = visited(), ScipyReactor(), NOMINAL.array()
    kernels = {"exact": in_place(ONE), "fast": in_place(ONE_FAST)}
    for name, kernel in kernels.items():
        agree(f"one plant, {name}, beside Radau", _apart(kernel, met[::20]), ALLOWED)
    contenders = [_one(name, kernel, cycle(met), p) for name, kernel in kernels.items()]
    theirs = cycle(met)

    def step() -> F64:
        x, inputs = next(theirs)
        return scipy.step(x, inputs[:2], SAMPLE_S)

    timings = measure([*contenders, Contender(name=SCIPY, work=step)], seconds=seconds)
    note = "startup under PI with noise, 100 h; error below 1e-6 in every component"
    goals: dict[str, dict[str, Any]] = {"exact": {}, "fast": {"goal": 300.0}}
    return [
        compared(f"one plant, {name}", timings[name], timings[SCIPY], size="1800 s", note=note, **g)
        for name, g in goals.items()
    ]


def _one(name: str, kernel: Callable[..., float], places: Any, p: F64) -> Contender:
    def work() -> float:
        before, inputs = next(places)
        x[:] = before
        return kernel(x, inputs, SAMPLE_S, p)

    x = np.empty(5)
    return Contender(name=name, work=work, calls=20)


def _apart(kernel: Callable[..., float], met: list[tuple[F64, F64]]) -> float:
    """Largest relative error of any component, beside Radau at 1e-11."""
    worst = 0.0
    for before, inputs in met:
        exact = solve_ivp(
            lambda _, y, u=inputs[:2]: rhs(y, u),
            (0.0, SAMPLE_S),
            before,
            method="Radau",
            rtol=1e-11,
            atol=np.array([1e-9, 1e-14, 1e-20, 1e-15, 1e-9]),
        ).y[:, -1]
        x = before.copy()
        kernel(x, inputs, SAMPLE_S, NOMINAL.array())
        worst = max(worst, float(np.max(np.abs(x / exact - 1.0))))
    return worst


def many_reactors(seconds: float) -> list[Row]:
    """Thousands of reactors, own parameters, noise, a PI at every sample of 1800 s."""
    contenders = [Contender(name=name, work=_population(name)) for name in ("exact", "fast")]
    met, scipy = cycle(visited()), ScipyReactor()

    def step() -> F64:
        x, inputs = next(met)
        return scipy.step(x, inputs[:2], SAMPLE_S)

    timings = measure([*contenders, Contender(name=SCIPY, work=step, calls=20)], seconds=seconds)
    note = f"time for each plant, on {default_threads()} threads; noise and PI included"
    goals: dict[str, dict[str, Any]] = {"exact": {}, "fast": {"goal": 3000.0}}
    return [
        compared(
            f"many plants, {name}",
            _each(timings[name], PLANTS),
            timings[SCIPY],
            size=f"{PLANTS} x 1800 s",
            note=note,
            **g,
        )
        for name, g in goals.items()
    ]


def _population(arithmetic: str) -> Callable[[], None]:
    """A step of all plants; after 100 h they begin anew."""
    rng = np.random.default_rng(1)
    p = np.array([Parameters.sample_mismatch(rng).array() for _ in range(PLANTS)])
    begin = np.zeros((PLANTS, 5))
    begin[:, 0] = 440.0 * rng.uniform(0.75, 1.25, PLANTS)
    begin[:, 4] = 350.0 + rng.uniform(-5.0, 5.0, PLANTS)
    x, integral, count = begin, np.zeros((PLANTS, 2)), 0

    def work() -> None:
        nonlocal x, integral, count
        if count % 200 == 0:
            x, integral = begin, np.zeros((PLANTS, 2))
        count += 1
        noise = rng.standard_normal((PLANTS, 2)) * NOISE_SD
        u, integral = pi(x[:, 3:] + noise, integral)
        x, _ = advance_batch(x, u, SAMPLE_S, p, arithmetic=arithmetic)

    return work


def many_episodes(seconds: float, count: int) -> list[Row]:
    """10^4 episodes with the DCS's PI every 10 s, from samples of `count` of them."""
    contenders = [Contender(name=name, work=_episodes(name, count)) for name in ("exact", "fast")]
    met, scipy = cycle(visited()), ScipyReactor()

    def scan() -> F64:
        x, inputs = next(met)
        return scipy.step(x, inputs[:2], SCAN_S)

    timings = measure([*contenders, Contender(name=SCIPY, work=scan, calls=20)], seconds=seconds)
    samples = HOURS * 3600.0 / DCS_SAMPLE_S
    theirs = _times(timings[SCIPY], EPISODES * samples * DCS_SAMPLE_S / SCAN_S)
    threads = default_threads()
    return [
        compared(
            f"10^4 episodes, {name}",
            _times(timings[name], samples * EPISODES / count),
            theirs,
            size=f"{HOURS:.0f} h, PI every 10 s",
            unit="s",
            note=f"make_vec on {threads} threads; scaled from {count} episodes, theirs from scans",
            limits={"ours": 60.0},
        )
        for name in ("exact", "fast")
    ]


def _episodes(arithmetic: str, count: int) -> Callable[[], object]:
    env: Any = gymnasium.make_vec(
        ENVIRONMENT,
        num_envs=count,
        vectorization_mode="vector_entry_point",
        arithmetic=arithmetic,
        scenario="grade_up",
        sample_time_s=DCS_SAMPLE_S,
        episode_hours=HOURS,
        noise=True,
        mismatch=True,
    ).unwrapped
    env.reset(seed=1)
    return env.step_regulatory


def batch_sizes(seconds: float) -> list[Row]:
    """A sample of 300 s with the DCS every 10 s, for each plant of batches of several sizes."""
    alone = _plant(0)
    command = LoopCommand(setpoint=SETPOINT)
    single = "Plant.step, one by one"
    contenders = [
        Contender(name=str(size), work=_batch(size), calls=max(1, 64 // size)) for size in SIZES
    ]
    contenders.append(
        Contender(name=single, work=lambda: alone.step(DCS_SAMPLE_S, command), calls=20)
    )
    timings = measure(contenders, seconds=seconds)
    return [
        compared(
            "batch, for each plant",
            _each(timings[str(size)], size),
            timings[single],
            size=f"{size} plants, 300 s",
            axis="plants",
            at=float(size),
        )
        for size in SIZES
    ]


def _plant(seed: int) -> Plant:
    return Plant(SCENARIOS["grade_up"], seed=seed, options=PlantOptions(noise=True, mismatch=True))


def _batch(size: int) -> Callable[[], object]:
    batch = PlantBatch([_plant(seed) for seed in range(size)])
    modes, command = np.ones((size, 2), dtype=np.int64), np.zeros((size, 4, 2))
    command[:, 0] = SETPOINT
    return lambda: batch.step(DCS_SAMPLE_S, modes, command)


def _each(timing: Timing, count: int) -> Timing:
    return _times(timing, 1.0 / count)


def _times(timing: Timing, factor: float) -> Timing:
    return replace(timing, wall=timing.wall.scaled(factor), cpu=timing.cpu.scaled(factor))
