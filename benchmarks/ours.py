"""The project's functions as the benchmark calls them: the one place with their signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from models.baselines import scalar, scalar_cost
from models.online import correction
from models.online.box_problem import Unsolved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from benchmarks.stream import Correction
    from models.online.box_problem import BoxProblem, Solution
    from models.online.sequence import SequenceModel

    F64 = NDArray[np.float64]

Answer = TypeVar("Answer")

GAP = 1e-9
"""The gap that both solve to where a row says "to the gap" (absolute, in units of the cost)."""
MAX_ITERATIONS = 100


def scalar_model(
    tensors: Mapping[str, F64], *, layers: int, n_features: int, n_mv: int
) -> scalar.ScalarModel:
    """The scalar PICNN from tensors under the prefix `scalar`."""
    return scalar.ScalarModel(tensors, "scalar", layers=layers, n_features=n_features, n_mv=n_mv)


def scalar_minimise(model: scalar.ScalarModel, features: F64, action: F64) -> scalar_cost.Minimum:
    """Collapse the state, then minimise over [-1, 1] to `GAP`; raises NoAnswerError."""
    box = np.ones_like(action)
    return _certain(
        model.minimise(
            features,
            action,
            (-box, box),
            gap_absolute=GAP,
            gap_relative=0.0,
            max_iterations=MAX_ITERATIONS,
        )
    )


def scalar_descend(
    model: scalar.ScalarModel, features: F64, action: F64, *, steps: int, rate: float
) -> F64:
    """Collapse the state, then descend as published, in [-1, 1]."""
    box = scalar_cost.trust_box(action, None)
    return _certain(model.descend(features, action, box, steps=steps, rate=rate)).action


def sequence_problem(model: SequenceModel, scan: Correction) -> BoxProblem:
    """Networks at the state, and the problem collapsed from them."""
    return model.problem(
        model.response(scan.features).under(scan.disturbance),
        now=scan.now,
        error=scan.error,
        bias=scan.bias,
        policy=scan.policy,
        low=scan.low,
        high=scan.high,
    )


def box_minimise(problem: BoxProblem, scan: Correction) -> Solution:
    """The certified minimiser of a problem; raises NoAnswerError."""
    return _certain(
        correction.minimise(
            problem,
            scan.start,
            gap_absolute=scan.gap_absolute,
            gap_relative=scan.gap_relative,
            max_iterations=scan.max_iterations,
        )
    )


def sequence_correct(model: SequenceModel, scan: Correction) -> Solution:
    """Networks at the state, the collapsed problem, and its certified minimiser."""
    return box_minimise(sequence_problem(model, scan), scan)


class NoAnswerError(Exception):
    """A problem of the benchmark was refused."""


def _certain(found: Answer | Unsolved) -> Answer:
    if isinstance(found, Unsolved):
        raise NoAnswerError(str(found))
    return found
