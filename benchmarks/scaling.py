"""Rows of the curves: what a correction costs as the problem grows.

Along each axis one size changes and the others are the shipped bundle's. Theirs is eager PyTorch
with the state collapsed, K = 50, the cheaper of its two forms that descends; for the scalar PICNN,
eager PyTorch as published.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks import ours
from benchmarks.agreement import agree
from benchmarks.measure import Contender, measure
from benchmarks.rows import compared
from benchmarks.scalar_case import scalar_case
from benchmarks.scalar_correction import DESCENT, EAGER32, NEWTON, descent, eager, newton
from benchmarks.synthetic import Size, Synthetic, synthetic
from benchmarks.torch_sequence import TorchSequence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.rows import Row

BLOCKS = (4, 8, 12, 16, 24, 32, 48)
WIDTHS = (16, 32, 64, 128, 256, 512)
VARIABLES = (2, 3, 5, 8, 12, 16, 20)
SEQUENCE, EAGER = "sequence PICNN, correction alone", "eager torch float64, state collapsed, K = 50"
STEPS = 50
SHARE = 0.1
"""Of the seconds of a comparison that each point of a curve adds to its run."""
SAME_COST = 1e-6


def rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """Every point of every curve; the points of an axis are interleaved in one run."""
    axes = {
        "blocks of the horizon": {n: Size(blocks=n) for n in BLOCKS},
        "hidden width": {n: Size(width=n) for n in WIDTHS},
        "CVs and as many MVs": {n: Size(variables=n) for n in VARIABLES},
    }
    found = [
        row
        for axis, sizes in axes.items()
        for row in sequence_curve(axis, sizes, SHARE * len(sizes) * seconds, seed)
    ]
    return found + scalar_curves(WIDTHS, SHARE * len(WIDTHS) * seconds, seed)


def sequence_curve(axis: str, sizes: Mapping[int, Size], seconds: float, seed: int) -> list[Row]:
    """The sequence PICNN at several sizes."""
    contenders = []
    for at, size in sizes.items():
        drawn = synthetic(size, seed=seed)
        contenders += [
            Contender(name=f"{SEQUENCE} {at}", work=_ours(drawn), calls=5),
            Contender(name=f"{EAGER} {at}", work=_theirs(drawn), lead_in=False),
        ]
    timings = measure(contenders, seconds=seconds, seed=seed)
    return [
        compared(
            SEQUENCE,
            timings[f"{SEQUENCE} {at}"],
            timings[f"{EAGER} {at}"],
            against=f"sequence PICNN: {EAGER}",
            size=f"{size.variables} MVs x {size.blocks} blocks, {size.variables} CVs, "
            f"2 networks of 2 x {size.width}",
            axis=axis,
            at=at,
        )
        for at, size in sizes.items()
    ]


def scalar_curves(widths: Sequence[int], seconds: float, seed: int) -> list[Row]:
    """The scalar PICNN at several widths, both modes."""
    cases = {width: scalar_case(width=width, seed=seed) for width in widths}
    contenders = []
    for width, case in cases.items():
        contenders += [
            Contender(name=f"{NEWTON} {width}", work=newton(case), calls=10),
            Contender(name=f"{DESCENT} {width}", work=descent(case), calls=5),
            Contender(name=f"{EAGER32} {width}", work=eager(case, torch.float32), lead_in=False),
        ]
    timings = measure(contenders, seconds=seconds, seed=seed)
    return [
        compared(
            f"scalar PICNN, {mode}",
            timings[f"{mode} {width}"],
            timings[f"{EAGER32} {width}"],
            against=f"scalar PICNN: {EAGER32}",
            size=case.size,
            axis="hidden width",
            at=width,
        )
        for width, case in cases.items()
        for mode in (NEWTON, DESCENT)
    ]


def _ours(drawn: Synthetic) -> Callable[[], Any]:
    model, questions = drawn.model, cycle(drawn.questions)

    def work() -> None:
        question = next(questions)
        found = ours.sequence_correct(model, question)
        tolerance = question.gap_absolute + question.gap_relative * abs(found.cost)
        agree(f"{SEQUENCE}: the gap where it stopped", found.gap, tolerance)

    return work


def _theirs(drawn: Synthetic) -> Callable[[], Any]:
    """After a check that both have the same cost at our minimum."""
    model, torchs = drawn.model, TorchSequence(drawn.parts)
    for question in drawn.questions[:4]:
        solved = ours.sequence_correct(model, question)
        same = torchs.collapse(torchs.question(question)).cost(torch.as_tensor(solved.z)).item()
        agree(f"{SEQUENCE}: cost", abs(same / solved.cost - 1.0), SAME_COST)
    asked = [torchs.question(question) for question in drawn.questions]
    rate = 1.0 / float(np.max([torchs.steepness(one) for one in asked[:8]]))
    questions = cycle(asked)
    return lambda: torchs.descend(next(questions), steps=STEPS, rate=rate)
