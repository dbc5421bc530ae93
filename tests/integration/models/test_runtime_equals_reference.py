"""The NumPy runtime against the PyTorch reference, 10^4 random states of the shipped bundle."""

import numpy as np
import pytest
import torch

from models.bundle import default_bundle
from models.learning.reference import Reference, Scans
from models.online.correction import minimise
from models.runtime import Runtime

STATES = 10_000
CLOSE = 1e-6


@pytest.fixture(scope="module")
def runtime():
    return Runtime.load(default_bundle())


@pytest.fixture(scope="module")
def reference():
    return Reference.load(default_bundle())


@pytest.fixture(scope="module")
def scans(runtime):
    """Random states well beyond the data, random boxes, errors, disturbances and biases."""
    rng = np.random.default_rng(20)
    model, m = runtime.model, runtime.manifest
    shape = (STATES, model.n_blocks, model.n_mv)
    centre = rng.uniform(-0.6, 0.6, shape)
    width = 10.0 ** rng.uniform(-2.0, 0.0, shape)
    low_cv = np.array([cv.low for cv in m.cvs])
    high_cv = np.array([cv.high for cv in m.cvs])
    return {
        "features": rng.normal(0.0, 1.5, (STATES, len(m.cost.features))),
        "disturbance": rng.normal(0.0, 1.0, (STATES, model.n_cv)) * [0.3, 0.2],
        "now": rng.uniform(low_cv, high_cv, (STATES, model.n_cv)),
        "error": rng.normal(0.0, 1.0, (STATES, model.n_cv)) * [20.0, 4.0],
        "bias": rng.normal(0.0, 1.0, (STATES, model.n_blocks, model.n_cv)) * [2.0, 0.5],
        "policy": rng.uniform(-1.0, 1.0, (STATES, model.n_mv)),
        "low": centre - width,
        "high": centre + width,
    }


@pytest.fixture(scope="module")
def batch(scans):
    return Scans(**{name: torch.as_tensor(value) for name, value in scans.items()})


def problems(runtime, scans):
    for i in range(STATES):
        one = {name: value[i] for name, value in scans.items()}
        response = runtime.model.response(one.pop("features")).under(one.pop("disturbance"))
        yield response, runtime.model.problem(response, **one)


def test_policy(runtime, reference):
    features = np.random.default_rng(3).normal(
        0.0, 2.0, (STATES, len(runtime.manifest.policy.features))
    )
    ours = np.array([np.tanh(runtime._policy(row)) for row in features])
    theirs = reference.policy(torch.as_tensor(features)).numpy()
    assert np.abs(ours - theirs).max() <= CLOSE


def test_cost_gradient_and_minimiser(runtime, reference, scans, batch):
    limits = runtime.manifest.cost
    rng = np.random.default_rng(4)
    points = rng.uniform(scans["low"], scans["high"])
    ours = {"cost": [], "gradient": [], "minimiser": [], "gap": []}
    for i, (_, problem) in enumerate(problems(runtime, scans)):
        z = points[i].ravel()
        ours["cost"].append(problem.cost(z))
        ours["gradient"].append(problem.gradient(z))
        solved = minimise(
            problem,
            z,
            gap_absolute=1e-10,
            gap_relative=1e-13,
            max_iterations=limits.max_iterations,
        )
        ours["minimiser"].append(solved.z)
        ours["gap"].append(solved.gap / (limits.gap_absolute + limits.gap_relative * solved.cost))
    at = torch.as_tensor(points)
    cost = reference.cost(batch, at).numpy()
    gradient = reference.gradient(batch, at).flatten(1).numpy()
    minimiser = reference.minimise(batch).flatten(1).numpy()
    assert np.abs(np.array(ours["cost"]) / cost - 1.0).max() <= CLOSE
    scale = np.abs(gradient).max(axis=1, keepdims=True)
    assert (np.abs(np.array(ours["gradient"]) - gradient) / scale).max() <= CLOSE
    assert np.abs(np.array(ours["minimiser"]) - minimiser).max() <= CLOSE
    assert max(ours["gap"]) <= 1.0
