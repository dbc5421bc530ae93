"""Rows of the scalar PICNN: our two modes beside eager PyTorch and ONNX Runtime.

Ours counts from the features to the action: the collapse of the state is in it, as it is in theirs.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks import onnx_graphs, ours, torch_rivals
from benchmarks.agreement import agree
from benchmarks.measure import Contender, measure
from benchmarks.rows import compared, skipped
from benchmarks.scalar_case import RATE, STEPS, ScalarCase, scalar_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Timing
    from benchmarks.rows import Row

NEWTON, DESCENT = "correction to the gap 1e-9", "gradient mode, K = 50"
EAGER32, EAGER64 = "eager torch float32, K = 50", "eager torch float64, K = 50"
TO_GAP, ONNX = "eager torch float64 to the gap 1e-9", "ONNX Runtime float32, K = 50 in one graph"
IDLE_S = 0.02
EQUAL = 1e-9
"""Largest difference allowed between our gradient mode and PyTorch's in float64."""
CLOSE = 1e-3
"""Largest difference allowed between ONNX Runtime in float32 and our gradient mode."""


def rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """Hot and after 20 ms of idling; raises DifferentError where the answers differ."""
    case = scalar_case(seed=seed)
    apart = check_descent(case)
    note = f"largest difference from float64 torch {apart:.1g}"
    missing = onnx_graphs.missing()
    contenders = contenders_of(case, onnx=not missing)
    hot = measure(contenders, seconds=seconds, seed=seed)
    cold = measure(contenders[:4], seconds=seconds, seed=seed, idle_s=IDLE_S)
    inside = interior_share(case)
    found = [
        _row(case, hot, NEWTON, EAGER32, "hot", goal=500.0, note=inside),
        _row(case, cold, NEWTON, EAGER32, "after 20 ms idle", goal=100.0),
        _row(case, hot, NEWTON, EAGER64, "hot"),
        _row(case, hot, NEWTON, TO_GAP, "hot"),
        _row(case, hot, DESCENT, EAGER32, "hot", goal=150.0, note=note),
        _row(case, hot, DESCENT, EAGER64, "hot", note=note),
        _row(case, cold, DESCENT, EAGER32, "after 20 ms idle"),
    ]
    if missing:
        return [*found, skipped(f"scalar PICNN, {DESCENT}", missing, against=ONNX, size=case.size)]
    check_onnx(case)
    return [
        *found,
        _row(case, hot, NEWTON, ONNX, "hot"),
        _row(case, hot, DESCENT, ONNX, "hot"),
    ]


def contenders_of(case: ScalarCase, *, onnx: bool) -> list[Contender]:
    """Ours, and theirs on the same states and actions; the first four without extra packages."""
    double = eager(case, torch.float64)
    found = [
        Contender(name=NEWTON, work=newton(case), calls=20),
        Contender(name=DESCENT, work=descent(case), calls=10),
        Contender(name=EAGER32, work=eager(case, torch.float32), lead_in=False),
        Contender(name=EAGER64, work=double, lead_in=False),
        Contender(name=TO_GAP, work=to_gap(case), lead_in=False),
    ]
    return [*found, Contender(name=ONNX, work=onnx_descent(case), calls=3)] if onnx else found


def newton(case: ScalarCase) -> Callable[[], Any]:
    """Ours, to the gap."""
    questions = cycle(zip(case.features, case.actions, strict=True))
    return lambda: ours.scalar_minimise(case.model, *next(questions))


def descent(case: ScalarCase) -> Callable[[], Any]:
    """Ours, K steps as published."""
    questions = cycle(zip(case.features, case.actions, strict=True))
    return lambda: ours.scalar_descend(case.model, *next(questions), steps=STEPS, rate=RATE)


def eager(case: ScalarCase, kind: torch.dtype) -> Callable[[], Any]:
    """Theirs as published: autograd through the whole network at every step."""
    network = scalar_case_network(case, kind)
    features, actions = torch.tensor(case.features, dtype=kind), torch.tensor(case.actions).to(kind)
    pairs = cycle([(features[i : i + 1], actions[i : i + 1]) for i in range(len(features))])
    return lambda: network.correct(*next(pairs), steps=STEPS, rate=RATE, radius=None)


def scalar_case_network(case: ScalarCase, kind: torch.dtype) -> Any:
    """The network of a case, its weights in another precision."""
    shape = case.features.shape[1], case.actions.shape[1]
    network = type(case.network)(*shape, width=case.width, layers=case.layers).to(kind)
    network.load_state_dict(case.network.state_dict())
    return network.requires_grad_(requires_grad=False)


def to_gap(case: ScalarCase) -> Callable[[], Any]:
    """Theirs, by projected Newton with autograd, to the certificate that ours has."""
    network = scalar_case_network(case, torch.float64)
    features, actions = torch.tensor(case.features), torch.tensor(case.actions)
    questions = cycle([(features[i : i + 1], actions[i]) for i in range(len(features))])
    box = torch.ones(actions.shape[1], dtype=torch.float64)

    def work() -> torch_rivals.Solved:
        state, action = next(questions)
        found = torch_rivals.projected_newton(
            lambda a: network(state, a[None])[0], action, -box, box, gap=lambda _: ours.GAP
        )
        agree(f"{TO_GAP}: the gap where it stopped", found.gap, ours.GAP)
        return found

    return work


def onnx_descent(case: ScalarCase) -> Callable[[], Any]:
    """K steps in one graph."""
    session = onnx_graphs.scalar_descent(
        case.network.tensors("scalar"), layers=case.layers, steps=STEPS, rate=RATE
    )
    pairs = zip(case.features, case.actions, strict=True)
    feeds = cycle(
        [
            {"features": s[:, None].astype(np.float32), "action": a[:, None].astype(np.float32)}
            for s, a in pairs
        ]
    )
    return lambda: session.run(None, next(feeds))


def check_descent(case: ScalarCase) -> float:
    """Largest difference of our gradient mode from PyTorch's in float64; DifferentError above."""
    mine, torchs = descent(case), eager(case, torch.float64)
    gaps = [np.abs(mine() - torchs()[0].numpy()).max() for _ in range(len(case.features))]
    return agree(f"{DESCENT}, from float64 torch", float(max(gaps)), EQUAL)


def check_onnx(case: ScalarCase) -> None:
    """Raise DifferentError where the graph computes something else."""
    mine, theirs = descent(case), onnx_descent(case)
    gaps = [np.abs(mine() - theirs()[0][:, 0]).max() for _ in range(len(case.features))]
    agree(f"{ONNX}, from our gradient mode", float(max(gaps)), CLOSE)


def interior_share(case: ScalarCase) -> str:
    """How hard the questions are, in words."""
    solve = newton(case)
    found = [solve() for _ in range(len(case.features))]
    inside = np.mean([bool(np.all(np.abs(one.action) < 1.0)) for one in found])
    steps = np.mean([one.iterations for one in found])
    return f"{inside:.0%} of the minima inside the box, {steps:.1f} Newton steps on average"


def _row(
    case: ScalarCase, timings: dict[str, Timing], mode: str, against: str, when: str, **more: Any
) -> Row:
    name = f"scalar PICNN, {mode}, {when}"
    return compared(name, timings[mode], timings[against], size=case.size, **more)
