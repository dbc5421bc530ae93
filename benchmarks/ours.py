"""The project's functions as the benchmark calls them: the one place with their signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.baselines import scalar
from models.online import correction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from benchmarks.stream import Correction
    from models.online.sequence import SequenceModel

    F64 = NDArray[np.float64]

GAP = 1e-9
"""The gap that both solve to where a row says "to the gap" (absolute, in units of the cost)."""
MAX_ITERATIONS = 100


def scalar_model(
    tensors: Mapping[str, F64], *, layers: int, n_features: int, n_mv: int
) -> scalar.ScalarModel:
    """The scalar PICNN from tensors under the prefix `scalar`."""
    return scalar.ScalarModel(tensors, "scalar", layers=layers, n_features=n_features, n_mv=n_mv)


def scalar_minimise(model: scalar.ScalarModel, features: F64, action: F64) -> scalar.Minimum:
    """Collapse the state, then minimise over [-1, 1] to `GAP`."""
    box = np.ones_like(action)
    return scalar.minimise(
        model.at(features),
        action,
        -box,
        box,
        gap_absolute=GAP,
        gap_relative=0.0,
        max_iterations=MAX_ITERATIONS,
    )


def scalar_descend(
    model: scalar.ScalarModel, features: F64, action: F64, *, steps: int, rate: float
) -> F64:
    """Collapse the state, then descend as published, in [-1, 1]."""
    return scalar.descend(
        model.at(features), action, scalar.trust_box(action, None), steps=steps, rate=rate
    )


def sequence_correct(model: SequenceModel, scan: Correction) -> correction.Solution:
    """Networks at the state, the collapsed problem, and its certified minimiser."""
    response = model.response(scan.features).under(scan.disturbance)
    problem = model.problem(
        response,
        now=scan.now,
        error=scan.error,
        bias=scan.bias,
        policy=scan.policy,
        low=scan.low,
        high=scan.high,
    )
    return correction.minimise(
        problem,
        scan.start,
        gap_absolute=scan.gap_absolute,
        gap_relative=scan.gap_relative,
        max_iterations=scan.max_iterations,
    )
