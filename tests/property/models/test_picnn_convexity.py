"""Convexity by construction: any weights, any state, any two actions."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.learning.scalar_picnn import ScalarPicnn
from models.learning.sequence_picnn import SequencePredictor, SequenceShape

SEEDS = st.integers(0, 2**31 - 1)


def shaken(module, seed, size):
    """Random weights of any size and sign in every parameter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
    return module.double()


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, size=st.floats(0.05, 3.0), share=st.floats(0.0, 1.0), n_mv=st.integers(1, 5))
def test_scalar_cost_is_convex_in_the_action(seed, size, share, n_mv):
    model = shaken(ScalarPicnn(4, n_mv, width=8, layers=2), seed, size)
    g = torch.Generator().manual_seed(seed + 1)
    state = torch.randn(32, 4, generator=g).double()
    a, b = (torch.randn(32, n_mv, generator=g).double() * 3 for _ in range(2))
    with torch.no_grad():
        between = model(state, share * a + (1 - share) * b)
        chord = share * model(state, a) + (1 - share) * model(state, b)
    assert torch.all(between <= chord + 1e-9 * (1 + chord.abs()))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, size=st.floats(0.05, 2.0))
def test_scalar_cost_has_no_negative_curvature(seed, size):
    model = shaken(ScalarPicnn(4, 2, width=8, layers=2), seed, size)
    state = torch.randn(1, 4, generator=torch.Generator().manual_seed(seed)).double()
    hessian = torch.autograd.functional.hessian(
        lambda a: model(state, a[None]).sum(), torch.zeros(2, dtype=torch.float64)
    )
    curvature = torch.linalg.eigvalsh(hessian)
    assert curvature.min() >= -1e-8 * (1 + curvature.abs().max())


@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS,
    n_cv=st.integers(1, 4),
    n_mv=st.integers(1, 4),
    blocks=st.lists(st.integers(1, 6), min_size=1, max_size=5),
)
def test_sequence_prediction_is_affine_causal_and_of_the_given_signs(seed, n_cv, n_mv, blocks):
    rng = np.random.default_rng(seed)
    signs = rng.integers(-1, 2, (n_cv, n_mv))
    shape = SequenceShape(
        n_features=3,
        n_cv=n_cv,
        n_mv=n_mv,
        blocks=tuple(blocks),
        signs=signs,
        width=8,
        layers=1,
        keep=0.9,
    )
    model = shaken(SequencePredictor(shape), seed, 1.0)
    g = torch.Generator().manual_seed(seed)
    s = torch.randn(1, 3, generator=g).double()
    u, v = (torch.randn(1, len(blocks), n_mv, generator=g).double() for _ in range(2))
    d = torch.randn(1, n_cv, generator=g).double()
    with torch.no_grad():
        middle = model(s, 0.5 * (u + v), d)
        mean = 0.5 * (model(s, u, d) + model(s, v, d))
        rest = model(s, torch.zeros_like(u), d)
        for j in range(len(blocks)):
            pushed = torch.zeros_like(u)
            pushed[0, j, 0] = 1.0
            effect = (model(s, pushed, d) - rest)[0].numpy()
            assert np.all(effect[:j] == 0.0)
            assert np.all(effect * signs[:, 0] >= -1e-9)
            assert np.all(effect[:, signs[:, 0] == 0] == 0.0)
    assert torch.allclose(middle, mean, atol=1e-9)
