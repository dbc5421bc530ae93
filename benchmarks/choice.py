"""The minimiser of a scan in NumPy, as it ships, beside the same compiled by numba (ADR 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import compiled_box, ours
from benchmarks.agreement import agree
from benchmarks.measure import Contender, measure
from benchmarks.rows import compared
from benchmarks.stream import recorded
from models.bundle import default_bundle
from models.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.rows import Row
    from benchmarks.stream import Correction
    from models.online.box_problem import BoxProblem

SHIPS, COMPILED = "minimiser of a scan, NumPy", "the same steps compiled by numba"
SAME = 1e-9
IDLE_S = 0.02

Question = tuple["BoxProblem", "Correction"]


def rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """Hot, and after 20 ms of idling; raises DifferentError where the answers differ."""
    model = Runtime.load(default_bundle()).model
    asked = [(ours.sequence_problem(model, s.correction), s.correction) for s in recorded()]
    for problem, scan in asked[::10]:
        apart = np.abs(ours.box_minimise(problem, scan).z - compiled(problem, scan)).max()
        agree(f"{COMPILED}, from NumPy", float(apart), SAME)
    found = []
    for idle_s in (0.0, IDLE_S):
        calls = 20 if idle_s == 0.0 else 1
        contenders = [
            Contender(name=SHIPS, work=_walk(asked, ours.box_minimise), calls=calls, lead_in=False),
            Contender(name=COMPILED, work=_walk(asked, compiled), calls=calls, lead_in=False),
        ]
        timings = measure(contenders, seconds=seconds, seed=seed, idle_s=idle_s)
        size = f"{asked[0][0].linear.size} variables" + (", after 20 ms idle" if idle_s else "")
        found.append(compared(SHIPS, timings[SHIPS], timings[COMPILED], size=size))
    return found


def compiled(problem: BoxProblem, scan: Correction) -> Any:
    """The compiled minimiser at the same question: the point (n,)."""
    z, known = np.array(scan.start), np.empty(4)
    code = compiled_box.minimise(
        (
            problem.hessian,
            problem.linear,
            np.ascontiguousarray(problem.ceiling_rows),
            np.ascontiguousarray(problem.ceiling_offset),
        ),
        (problem.constant, problem.ceiling_penalty),
        problem.low,
        problem.high,
        (scan.gap_absolute, scan.gap_relative),
        scan.max_iterations,
        z,
        known,
    )
    if code != compiled_box.CERTIFIED:
        raise ours.NoAnswerError(f"code {code}")
    return z


def _walk(asked: list[Question], work: Callable[..., Any]) -> Callable[[], Any]:
    place = [0]

    def following() -> Any:
        place[0] = (place[0] + 1) % len(asked)
        return work(*asked[place[0]])

    return following
