"""Adam on one vector and passes by hand: to the bit what torch and autograd make of the same."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.learning.batches import policy_data
from models.learning.iql import IqlTrainer
from models.learning.networks import Mlp
from models.learning.optimizer import Adam
from models.learning.passes import Passes, Scratch


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("largest_norm", [None, 0.5])
def test_adam_on_one_vector_is_adam_layer_by_layer(largest_norm):
    torch.manual_seed(1)
    ours = Mlp(7, 3, width=33, layers=2)
    theirs = copy.deepcopy(ours)
    x, y = torch.randn(50, 7), 10.0 * torch.randn(50, 3)
    adam, known = Adam(ours.parameters()), torch.optim.Adam(theirs.parameters())
    for i in range(40):
        adam.rate = known.param_groups[0]["lr"] = 1e-2 * (1 + i % 5)
        adam.update((ours(x) - y).square().mean(), largest_norm=largest_norm)
        known.zero_grad()
        torch.autograd.backward((theirs(x) - y).square().mean())
        if largest_norm is not None:
            nn.utils.clip_grad_norm_(theirs.parameters(), largest_norm)
        known.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_weight_without_a_slope_stays():
    used, idle = nn.Parameter(torch.ones(3)), nn.Parameter(torch.full((2,), 5.0))
    adam = Adam([used, idle])
    adam.update(used.square().sum())
    assert torch.all(used < 1.0)
    assert torch.equal(idle, torch.full((2,), 5.0))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_passes_by_hand_are_those_of_autograd(layers):
    torch.manual_seed(2)
    net = Mlp(8, 2, width=64, layers=layers)
    known = copy.deepcopy(net)
    adam = Adam(net.parameters())
    adam.rate = 0.0
    passes = Passes(net, Scratch(net, 32), adam)
    x, slope = torch.randn(32, 8), torch.randn(32, 2)
    for _ in range(2):  # the buffers are used again
        with torch.no_grad():
            assert torch.equal(passes.forward(x), known(x))
            passes.descend(x, slope)
        torch.autograd.backward(known(x), slope)
        for ours, theirs in zip(adam.slopes, known.parameters(), strict=True):
            assert torch.equal(ours, theirs.grad)
        known.zero_grad()


def test_a_network_that_is_not_learned_takes_no_step():
    net = Mlp(2, 1, width=4, layers=1)
    passes = Passes(net, Scratch(net, 3))
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="not learned"):
        passes.descend(x, passes.forward(x))


def test_iql_by_hand_is_iql_by_autograd(small_recipe, small_data):
    """The equations of the paper as losses, torch's Adam, and nothing of this project's step."""
    data = policy_data(small_data, small_recipe)
    recipe = small_recipe.policy.model_copy(update={"relabel": 0.5})
    ours, known = (IqlTrainer(data, recipe, 3) for _ in range(2))
    torch_adam = Paper(known)
    for _ in range(25):
        ours.step()
        torch_adam.step()
    for name, module in ours.modules.items():
        for a, b in zip(module.parameters(), torch_adam.nets[name].parameters(), strict=True):
            assert torch.equal(a, b), name


class Paper:
    """IQL as its paper writes it, on the batches of a trainer."""

    def __init__(self, trainer):
        self._trainer = trainer
        self.nets = {name: copy.deepcopy(net) for name, net in trainer.modules.items()}
        for net in self.nets.values():
            for weight in net.parameters():  # none of the views into the trainer's vectors
                weight.data = weight.data.clone()
        self._adams = {
            name: torch.optim.Adam(net.parameters(), lr=trainer.optimizers[name].rate)
            for name, net in self.nets.items()
            if "target" not in name
        }

    def step(self):
        data, recipe, nets = self._trainer._data, self._trainer._recipe, self.nets
        rows = data.draw(recipe.batch, self._trainer.generator)
        s, a, r, after = data.relabelled(
            rows, round(recipe.relabel * recipe.batch), self._trainer.generator
        )
        pair = torch.cat((s, a), dim=1)
        with torch.no_grad():
            best = torch.minimum(nets["target0"](pair), nets["target1"](pair))
            goal = r + data.discount * nets["value"](after)
        gap = best - nets["value"](s)
        tau = torch.where(gap < 0, 1.0 - recipe.expectile, recipe.expectile)
        weight = torch.exp(recipe.temperature * gap.detach()).clamp(max=recipe.weight_limit)
        losses = {
            "value": (tau * gap.square()).mean(),
            "critic0": functional.mse_loss(nets["critic0"](pair), goal),
            "critic1": functional.mse_loss(nets["critic1"](pair), goal),
            "policy": (weight * (nets["policy"](s) - a).square()).mean(),
        }
        for name, loss in losses.items():
            self._adams[name].zero_grad()
            torch.autograd.backward(loss)
            self._adams[name].step()
        with torch.no_grad():
            for i in range(2):
                new, old = nets[f"critic{i}"].parameters(), nets[f"target{i}"].parameters()
                for fast, slow in zip(new, old, strict=True):
                    slow.lerp_(fast, recipe.target_rate)
