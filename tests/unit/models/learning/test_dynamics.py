"""The learned process model: what it steps, and that it predicts better than standing still."""

import numpy as np
import torch

from models.data.transitions import filtered
from models.learning.dynamics import DynamicsTrainer, history
from models.learning.loop import run


def test_history_holds_state_filters_and_moves(small_data, small_recipe):
    past = history(small_data, small_recipe)
    want = next(f for f in small_recipe.cost.features if f.kind == "filter")
    assert np.array_equal(past.state, np.concatenate((small_data.cv, small_data.dv), axis=1))
    assert np.array_equal(past.filters[:, 0], filtered(want, small_recipe, small_data))
    assert np.array_equal(past.moves, small_data.mv)


def test_starts_leave_room_in_their_segment(small_data, small_recipe):
    past = history(small_data, small_recipe)
    rows = past.starts(7)
    assert len(rows)
    assert np.array_equal(small_data.segment[rows], small_data.segment[rows + 7])
    assert len(past.starts(10**6)) == 0


def test_filters_run_as_in_the_record(small_data, small_recipe, small_members):
    """The filter of an MV needs no learning: its steps are those of the record."""
    past = history(small_data, small_recipe)
    rows = past.starts(1)[:200]
    seen = (past.state[rows], past.filters[rows], past.moves[rows + 1])
    with torch.no_grad():
        _, after = small_members[0](*(torch.as_tensor(part, dtype=torch.float32) for part in seen))
    assert np.allclose(after.numpy(), past.filters[rows + 1], atol=1e-5)


def test_a_trained_model_predicts_over_many_samples(small_data, small_recipe, tmp_path):
    """Over six samples the error is a small part of the change."""
    past = history(small_data, small_recipe)
    rule = small_recipe.dynamics.model_copy(
        update={"steps": 1500, "rollout_steps": 200, "width": 32, "batch": 128}
    )
    near = DynamicsTrainer(past, rule, 1, 0)
    run(near, tmp_path / "near.safetensors")
    far = DynamicsTrainer(past, rule, 1, 0, begun=near.model)
    run(far, tmp_path / "far.safetensors")
    rows = past.starts(6)
    state, filters, moves = (
        torch.as_tensor(part, dtype=torch.float32)
        for part in (past.state, past.filters, past.moves)
    )
    at, memory = state[rows], filters[rows]
    with torch.no_grad():
        for ahead in range(1, 7):
            at, memory = far.model(at, memory, moves[rows + ahead])
    miss = (at - state[rows + 6]).square().mean(dim=0)
    change = (state[rows + 6] - state[rows]).square().mean(dim=0)
    assert torch.all(miss < 0.05 * change)
