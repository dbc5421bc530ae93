"""The scalar PICNN without torch is the trained one: cost, slope, curvature and descent."""

import numpy as np
import pytest
import torch

from models.baselines.scalar import ScalarModel
from models.baselines.scalar_cost import descend, minimise, trust_box
from models.bundle import BundleError
from models.learning.scalar_picnn import ScalarPicnn

N_FEATURES, N_MV = 5, 2


@pytest.fixture(scope="module", params=[1, 2, 3], ids="{} layers".format)
def pair(request):
    torch.manual_seed(request.param)
    network = ScalarPicnn(N_FEATURES, N_MV, width=16, layers=request.param).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)  # curved enough to matter
    tensors = network.tensors("scalar")
    model = ScalarModel(tensors, "scalar", layers=request.param, n_features=N_FEATURES, n_mv=N_MV)
    return network, model


def questions(count=8):
    rng = np.random.default_rng(3)
    return [(rng.normal(size=N_FEATURES), rng.uniform(-1, 1, N_MV)) for _ in range(count)]


def batch(features, action):
    return torch.tensor(features)[None], torch.tensor(action)[None]


def test_cost_slope_and_curvature_are_autograds(pair):
    network, model = pair
    for features, action in questions():
        s, a = batch(features, action)
        cost = model.at(features)
        slope = torch.autograd.functional.jacobian(lambda x, s=s: network(s, x)[0], a)[0]
        bend = torch.autograd.functional.hessian(lambda x, s=s: network(s, x[None])[0], a[0])
        assert cost.cost(action) == pytest.approx(network(s, a).item(), abs=1e-12)
        np.testing.assert_allclose(cost.gradient(action), slope.numpy(), atol=1e-11)
        np.testing.assert_allclose(cost.curvature(action), bend.numpy(), atol=1e-11)
        assert np.linalg.eigvalsh(cost.curvature(action)).min() >= -1e-12


@pytest.mark.parametrize("radius", [0.02, 0.3, None])
def test_the_descent_is_the_published_one(pair, radius):
    network, model = pair
    for features, action in questions():
        wanted = network.correct(*batch(features, action), steps=50, rate=0.05, radius=radius)
        got = descend(model.at(features), action, trust_box(action, radius), steps=50, rate=0.05)
        np.testing.assert_allclose(got.action, wanted[0].numpy(), atol=1e-9)


def test_no_action_of_the_box_is_cheaper_than_the_certificate_says(pair):
    _, model = pair
    rng = np.random.default_rng(4)
    for features, action in questions():
        low, high = np.sort(rng.uniform(-1, 1, (2, N_MV)), axis=0)
        cost = model.at(features)
        found = minimise(
            cost, action, low, high, gap_absolute=1e-10, gap_relative=0.0, max_iterations=100
        )
        assert found.gap <= 1e-10
        assert np.all((low <= found.action) & (found.action <= high))
        others = rng.uniform(low, high, (200, N_MV))
        assert found.cost - found.gap <= min(cost.cost(other) for other in others)


def test_weights_that_would_not_be_convex_are_refused(pair):
    network, _ = pair
    layers = len(network.state)
    tensors = network.tensors("scalar")
    tensors["scalar.z.1"] = -tensors["scalar.z.1"]
    with pytest.raises(BundleError, match="convex path"):
        ScalarModel(tensors, "scalar", layers=layers, n_features=N_FEATURES, n_mv=N_MV)
    del tensors["scalar.z.1"]
    with pytest.raises(BundleError, match=r"scalar\.z\.1: missing"):
        ScalarModel(tensors, "scalar", layers=layers, n_features=N_FEATURES, n_mv=N_MV)


def test_other_units_do_not_change_the_cost(pair):
    _, model = pair
    unit = np.array([0.2, 3.0])
    for features, action in questions():
        cost = model.at(features)
        assert cost.rescaled(unit).cost(action / unit) == pytest.approx(cost.cost(action))
        np.testing.assert_allclose(
            cost.rescaled(unit).gradient(action / unit), unit * cost.gradient(action), atol=1e-12
        )


def test_one_call_gives_the_bits_of_two(pair):
    _, model = pair
    box = -np.ones(N_MV), np.ones(N_MV)
    figures = {"gap_absolute": 1e-9, "gap_relative": 0.0, "max_iterations": 60}
    for features, action in questions():
        cost = model.at(features)
        in_two, in_one = (
            minimise(cost, action, *box, **figures),
            model.minimise(features, action, box, **figures),
        )
        assert in_one.action.tobytes() == in_two.action.tobytes()
        assert (in_one.cost, in_one.gap) == (in_two.cost, in_two.gap)
        in_two, in_one = (
            descend(cost, action, box, steps=50, rate=0.05),
            model.descend(features, action, box, steps=50, rate=0.05),
        )
        assert in_one.action.tobytes() == in_two.action.tobytes()
