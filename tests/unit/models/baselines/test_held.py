"""The held-action PICNN: its targets are partial minima, it is convex, and it learns them."""

import numpy as np
import pytest
import torch

from models.baselines.held import HeldPicnn, HeldTrainer
from models.baselines.held_targets import HeldTargets, _partial_curvature
from models.baselines.scalar import ScalarModel
from models.learning.loop import run
from models.online.box_problem import BoxProblem
from models.online.correction import minimise

N, N_CV, N_MV = 6, 2, 2


@pytest.fixture(scope="module")
def recipe(small_recipe):
    return small_recipe.held.model_copy(update={"steps": 400, "batch": 64})


def sequence_cost(rng, low=-1.0, high=1.0, n=8):
    factor = rng.normal(size=(n, n))
    return BoxProblem(
        hessian=factor @ factor.T + np.eye(n),
        linear=rng.normal(size=n) * 3.0,
        constant=0.0,
        ceiling_rows=np.zeros((0, n)),
        ceiling_offset=np.zeros(0),
        ceiling_penalty=0.0,
        low=np.full(n, low),
        high=np.full(n, high),
    )


def test_the_curvature_is_that_of_the_partial_minimum():
    """Against differences of the gradient of the partial minimum, bounds included."""
    rng = np.random.default_rng(1)
    checked = 0
    for _ in range(10):
        problem = sequence_cost(rng)

        def gradient_at(first, problem=problem):
            low, high = problem.low.copy(), problem.high.copy()
            low[:2] = high[:2] = first
            fixed = BoxProblem(
                **{name: getattr(problem, name) for name in BoxProblem.__slots__}
                | {"low": low, "high": high}
            )
            start = np.zeros(8)
            z = minimise(fixed, start, gap_absolute=1e-13, gap_relative=0.0, max_iterations=200).z
            return problem.gradient(z)[:2], z

        z = minimise(
            problem, np.zeros(8), gap_absolute=1e-13, gap_relative=0.0, max_iterations=200
        ).z
        _, again = gradient_at(z[:2])
        np.testing.assert_allclose(again, z, atol=1e-6)
        step = 1e-5
        columns = [
            (gradient_at(z[:2] + step * e)[0] - gradient_at(z[:2] - step * e)[0]) / (2 * step)
            for e in np.eye(2)
        ]
        if np.all(np.abs(np.abs(z[2:]) - 1.0) > 1e-3) or np.any(np.abs(z[2:]) == 1.0):
            np.testing.assert_allclose(
                np.array(columns), _partial_curvature(problem, z, 2), rtol=1e-3, atol=1e-3
            )
            checked += 1
    assert checked >= 5


def test_the_cost_without_torch_is_the_trained_one(recipe):
    torch.manual_seed(2)
    network = HeldPicnn(N, N_CV, N_MV, recipe).double()
    model = ScalarModel(
        network.tensors("held"),
        "held",
        layers=recipe.layers,
        n_features=N,
        n_mv=N_MV,
        n_cv=N_CV,
    )
    rng = np.random.default_rng(2)
    for _ in range(5):
        s, e, a = rng.normal(size=N), rng.normal(size=N_CV), rng.normal(size=N_MV)
        batch = [torch.tensor(x)[None] for x in (s, e, a)]
        cost = model.at(s, e)
        assert cost.cost(a) == pytest.approx(network(*batch).item(), abs=1e-10)
        slope = network.slope(*batch)[0].detach().numpy()
        np.testing.assert_allclose(cost.gradient(a), slope, atol=1e-10)
        assert np.linalg.eigvalsh(cost.curvature(a)).min() > 0.0


def test_it_learns_a_law_affine_in_the_error(recipe, tmp_path):
    """Near the setpoint as well as far away: the error of the move falls with the move."""
    rng = np.random.default_rng(3)
    count = 2000
    features = rng.normal(size=(count, N))
    error = rng.normal(size=(count, N_CV)) * 10.0 ** rng.uniform(-3, 0, size=(count, 1))
    gain = np.array([[0.5, 0.1], [-0.2, 0.8]])
    best = error @ gain.T
    curvature = np.tile(np.diag([14.0, 20.0]), (count, 1, 1))
    other = best + rng.normal(size=best.shape) * 0.1
    targets = HeldTargets(
        features=features,
        error=error,
        moves=np.stack((best, other), axis=1),
        gradients=np.stack((np.zeros_like(best), (other - best) * [14.0, 20.0]), axis=1),
        curvature=curvature,
    )
    trainer = HeldTrainer(targets, recipe, 3)
    everything = torch.arange(count)
    before = trainer.loss(everything).item()
    run(trainer, tmp_path / "held.safetensors")
    assert trainer.loss(everything).item() < 0.2 * before
