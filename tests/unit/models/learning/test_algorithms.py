"""One contract for all that is trained: it learns, it is seeded, it resumes to the same bits."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.learning.batches import policy_data
from models.learning.bc import BcTrainer
from models.learning.dynamics import DynamicsTrainer, history
from models.learning.iql import IqlTrainer
from models.learning.loop import Diverged, run
from models.learning.scalar_picnn import ScalarTrainer
from models.learning.sequence_picnn import SequenceTrainer
from models.recipe import RecipeError

ALGORITHMS = ("bc", "iql", "scalar", "dynamics", "rollout", "sequence")
PARTS = {
    "bc": "policy",
    "iql": "policy",
    "scalar": "scalar",
    "dynamics": "dynamics",
    "rollout": "dynamics",
    "sequence": "cost",
}


@pytest.fixture(scope="session")
def make(small_recipe, small_data, small_horizons):
    transitions = policy_data(small_data, small_recipe)
    past = history(small_data, small_recipe)
    makers = {
        "bc": lambda seed, r: BcTrainer(transitions, r.policy, seed),
        "iql": lambda seed, r: IqlTrainer(transitions, r.policy, seed),
        "scalar": lambda seed, r: ScalarTrainer(transitions, r.scalar, seed),
        "dynamics": lambda seed, r: DynamicsTrainer(past, r.dynamics, seed, 0),
        "rollout": lambda seed, r: DynamicsTrainer(
            past, r.dynamics, seed, 0, begun=DynamicsTrainer(past, r.dynamics, seed, 0).model
        ),
        "sequence": lambda seed, r: SequenceTrainer(small_horizons, r.cost, seed, 0),
    }

    def build(name, seed=5, **changes):
        part = PARTS[name]
        section = getattr(small_recipe, part).model_copy(update=changes)
        return makers[name](seed, small_recipe.model_copy(update={part: section}))

    return build


def weights(trainer):
    return torch.cat(
        [p.detach().flatten() for m in trainer.modules.values() for p in m.parameters()]
    )


@pytest.mark.parametrize("name", ALGORITHMS)
def test_same_seed_same_bits_other_seed_other_bits(name, make, tmp_path):
    trainers = [make(name, seed) for seed in (5, 5, 6)]
    for i, trainer in enumerate(trainers):
        run(trainer, tmp_path / f"{i}.safetensors")
    first, same, other = (weights(trainer) for trainer in trainers)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_interrupted_run_ends_with_the_same_bits(name, make, tmp_path):
    whole, broken, resumed = make(name), make(name), make(name)
    run(whole, tmp_path / "whole.safetensors", every=20)

    def pull_the_plug(done, _losses):
        if done == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(broken, tmp_path / "broken.safetensors", every=20, advance=pull_the_plug)
    steps = []
    run(
        resumed,
        tmp_path / "broken.safetensors",
        every=20,
        advance=lambda done, _losses: steps.append(done),
    )
    assert steps[0] == 40
    assert torch.equal(weights(whole), weights(resumed))
    assert load_file(tmp_path / "whole.safetensors").keys()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_loss_falls(name, make, tmp_path):
    key = {"bc": "policy", "iql": "critics", "scalar": "cost"}.get(name, "change")
    trainer = make(name, **{"rollout_steps" if name == "rollout" else "steps": 400})
    first = np.mean([float(trainer.step()[key]) for _ in range(10)])
    run(trainer, tmp_path / "c.safetensors")
    last = np.mean([float(trainer.step()[key]) for _ in range(10)])
    assert last < 0.9 * first


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_loss_that_is_not_finite_stops_the_run(name, make, tmp_path):
    trainer = make(name)
    with torch.no_grad():
        next(
            iter(trainer.modules["policy" if name in {"bc", "iql"} else "model"].parameters())
        ).fill_(float("nan"))
    with pytest.raises(Diverged, match="at step 0; lower learning_rate"):
        run(trainer, tmp_path / "c.safetensors")


def test_a_run_that_diverges_later_names_the_step_and_keeps_no_such_checkpoint(make, tmp_path):
    trainer = make("bc", steps=60)
    step, taken = trainer.step, 0

    def spoiled():
        nonlocal taken
        taken += 1
        return step() if taken <= 37 else {"policy": torch.tensor(float("inf"))}

    trainer.step = spoiled
    with pytest.raises(Diverged, match="policy is inf at step 37;"):
        run(trainer, tmp_path / "c.safetensors", every=40)
    assert not (tmp_path / "c.safetensors").exists()


def test_a_checkpoint_of_another_version_is_refused(make, tmp_path):
    at = tmp_path / "c.safetensors"
    run(make("bc"), at)
    with safe_open(at, framework="pt") as file:
        notes, kept = file.metadata(), load_file(at)
    renamed = {k.replace("policy.mean", "policy.0.exp_avg"): v for k, v in kept.items()}
    save_file(renamed, at, metadata=notes)
    with pytest.raises(RecipeError, match="another version of trimtab; delete it"):
        run(make("bc"), at)


@pytest.mark.parametrize("name", ["bc", "iql"])
def test_a_policy_answers_inside_its_range(name, make, tmp_path):
    trainer = make(name)
    run(trainer, tmp_path / "c.safetensors")
    actions = trainer.policy(torch.randn(200, 8) * 100.0)
    assert actions.shape == (200, 2)
    assert actions.abs().max() <= 1.0


def test_behaviour_cloning_repeats_the_data(make, small_data, small_recipe, tmp_path):
    """The clone explains the moves of the data better than no move at all."""
    trainer = make("bc", steps=800)
    run(trainer, tmp_path / "c.safetensors")
    data = policy_data(small_data, small_recipe)
    rows = data.rows
    with torch.no_grad():
        miss = (trainer.policy(data.features[rows]) - data.actions[rows]).square().mean()
    assert miss < data.actions[rows].square().mean()


@pytest.mark.parametrize("radius", [0.02, 0.5, None])
def test_scalar_descent_lowers_the_cost_inside_radius_and_range(make, tmp_path, radius):
    """Truncated gradient descent from any action, as published."""
    trainer = make("scalar", steps=400)
    run(trainer, tmp_path / "c.safetensors")
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(64, 8, generator=generator)
    action = torch.rand(64, 2, generator=generator) * 2.0 - 1.0
    corrected = trainer.model.correct(features, action, steps=50, rate=0.05, radius=radius)
    with torch.no_grad():
        before, after = trainer.model(features, action), trainer.model(features, corrected)
    assert torch.all(after <= before + 1e-6)
    assert (after < before - 1e-6).any()
    assert corrected.abs().max() <= 1.0
    if radius is not None:
        assert (corrected - action).abs().max() <= radius + 1e-6
