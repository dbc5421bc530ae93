"""Certificates on recorded faults: every finite scan of many disturbed runs, certified or not.

    python -m benchmarks.certificates [--states 100000] [--seed 1]

Flies the shipped bundle on plants with noise and mismatch while instruments freeze, drift, spike
and read NaN, setpoints jump, limits close in, an MV is taken away, clocks jump and scans are late.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import gymnasium
import numpy as np
from rich.console import Console
from rich.progress import track

import plant_sim.env  # noqa: F401 - registers the environment
from models.bundle import default_bundle
from models.runtime import Advice, AdviceRequest, ProcessSample, RefusalReason, Runtime
from plant_sim.unit.faults import FaultKind, Instrument, Quality, inject, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

SCENARIOS = ("startup", "grade_down", "grade_up")
SAMPLES = 576
SIZES = {"P": 15.0, "T": 6.0}
SETPOINTS = ((100.0, 350.0), (70.0, 345.0), (140.0, 355.0), (85.0, 347.0), (120.0, 353.0))


@dataclass
class Tally:
    """What became of the scans."""

    certified: int = 0
    uncertified: int = 0
    not_finite: int = 0
    outside: int = 0
    ratios: list[float] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @property
    def states(self) -> int:
        """Scans whose input was finite and whose setpoint can be reached."""
        return self.certified + self.uncertified


def instruments(rng: np.random.Generator, now: dict[str, Instrument], t: float) -> None:
    """Perhaps begin a fault of one instrument at plant time t."""
    if rng.random() > 0.02:
        return
    name = str(rng.choice(list(now)))
    kinds = [kind for kind in FaultKind if kind is not FaultKind.CLEAR]
    size = float(rng.normal()) * SIZES.get(name, 30.0)
    kind = kinds[int(rng.integers(len(kinds)))]
    now[name] = inject(now[name], kind, size, t, float(rng.exponential(3600.0)))


def request(rng: np.random.Generator, seen: ProcessSample) -> AdviceRequest:
    """The question of a scan: mostly wide limits, at times narrow, closed or held."""
    low, high = np.array([0.0, 300.0]), np.array([2.5, 350.0])
    reach = np.array([0.5, 10.0]) * (10.0 ** rng.uniform(-3, 0) if rng.random() < 0.2 else 1.0)
    range_low, range_high = low.copy(), high.copy()
    if rng.random() < 0.1:
        middle, width = rng.uniform(low, high), (high - low) * rng.uniform(0, 0.5)
        range_low, range_high = np.maximum(low, middle - width), np.minimum(high, middle + width)
    if rng.random() < 0.05:
        index = int(rng.integers(2))
        range_low[index] = range_high[index] = seen.mv[index]
    inside = np.clip(seen.mv, range_low, range_high)
    blocked = rng.random(2) < 0.05
    return AdviceRequest(
        sample=seen,
        low=np.clip(seen.mv - reach, range_low, inside),
        high=np.clip(seen.mv + reach, inside, range_high),
        range_low=range_low,
        range_high=range_high,
        windup_low=blocked,
        windup_high=blocked & (rng.random(2) < 0.5),
        freeze=bool(rng.random() < 0.05),
    )


def read(now: dict[str, Instrument], env: gymnasium.Env, sp: F64, t: float) -> ProcessSample:
    """What a controller that believes every number would ask with; null values are NaN."""
    plant = env.unwrapped.plant
    measured = plant.measure()
    values = {"A": measured.A, "P": measured.P, "T": measured.T}
    for name, value in values.items():
        now[name], reading = sample(now[name], value, t)
        lost = reading.value is None or reading.quality is Quality.SENSOR_FAILURE
        values[name] = np.nan if lost else reading.value
    return ProcessSample(
        plant_time_s=t,
        cv=np.array([values["P"], values["T"]]),
        sp=sp,
        mv=plant.actual.copy(),
        dv=np.array([values["A"]]),
    )


def episode(runtime: Runtime, rng: np.random.Generator, tally: Tally) -> Iterator[None]:
    """One disturbed run of 48 h, a scan an item."""
    options = {"noise": True, "mismatch": True, "disturbance": bool(rng.random() < 0.5)}
    env = gymnasium.make(
        "plant_sim/PolymerCSTR-v0", scenario=str(rng.choice(SCENARIOS)), episode_hours=48, **options
    )
    env.reset(seed=int(rng.integers(2**31)))
    sp, memory = env.unwrapped.setpoint.copy(), runtime.initial_memory()
    now = {name: Instrument(low=0.0, high=high) for name, high in (("A", 600), ("P", 300))}
    now["T"] = Instrument(low=273.0, high=473.0)
    ahead = 0.0
    for k in range(SAMPLES):
        t = 300.0 * k
        instruments(rng, now, t)
        if rng.random() < 0.01:
            sp = np.array(SETPOINTS[int(rng.integers(len(SETPOINTS)))])
        if rng.random() < 0.005:
            ahead += float(rng.normal() * 3600.0)
        seen = read(now, env, sp, t)
        seen = replace(seen, plant_time_s=t + ahead + float(rng.normal()))
        move = seen.mv
        if rng.random() > 0.03:  # else the scan is skipped
            asked = request(rng, seen)
            begin = time.thread_time()
            answer, memory = runtime.advise(asked, memory)
            spent = time.thread_time() - begin
            if isinstance(answer, Advice):
                tally.certified += 1
                tally.ratios.append(answer.gap / answer.tolerance)
                tally.iterations.append(answer.iterations)
                tally.cpu_s.append(spent)
                move = answer.move
            elif answer.reason is RefusalReason.NOT_CERTIFIED:
                tally.uncertified += 1
            elif answer.reason is RefusalReason.OUTSIDE_ENVELOPE:
                tally.outside += 1
            else:
                tally.not_finite += 1
            yield
        *_, ended, _, _ = env.step(move)
        if ended:
            return


def fly(states: int, seed: int) -> Tally:
    """Runs until so many scans had finite input."""
    runtime, tally = Runtime.load(default_bundle()), Tally()
    rng = np.random.default_rng(seed)
    for _ in track(range(100_000), description="flying", transient=True):
        for _ in episode(runtime, rng, tally):
            if tally.states >= states:
                return tally
    raise RuntimeError("runs end before enough states were seen")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.certificates", description=__doc__)
    parser.add_argument("--states", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally = fly(options.states, options.seed)
    ratios, cpu = np.array(tally.ratios), np.array(tally.cpu_s)
    console = Console()
    console.print(f"{tally.states} scans of finite input: {tally.uncertified} not certified")
    console.print(
        f"gap / tolerance: worst {ratios.max():.3g}, p99.9 {np.quantile(ratios, 0.999):.3g}"
    )
    console.print(
        f"iterations: p99.9 {np.quantile(tally.iterations, 0.999):.0f}, "
        f"most {max(tally.iterations)}"
    )
    p50, p999 = 1e3 * np.quantile(cpu, [0.5, 0.999])
    console.print(f"policy and correction, thread CPU: p50 {p50:.3f} ms, p99.9 {p999:.3f} ms")
    console.print(f"refused: {tally.not_finite} not finite, {tally.outside} outside the envelope")


if __name__ == "__main__":
    main()
