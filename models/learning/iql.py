"""Implicit Q-learning (Kostrikov, Nair & Levine 2021, arXiv 2110.06169).

    L_V  = E [ L2_tau( min(Q1', Q2')(s, a) - V(s) ) ],   L2_tau(u) = |tau - 1(u < 0)| u^2   (eq. 5)
    L_Q  = E [ ( r + gamma V(s') - Q(s, a) )^2 ]                                           (eq. 6)
    L_pi = E [ min(exp(beta A), limit) |pi(s) - a|^2 ],  A = min(Q1', Q2') - V             (eq. 7)

with the deterministic policy's log-likelihood being the squared distance. No terminal
states: an episode of this data ends because its time is up, never because a goal is reached.

One action covers `stride` samples, as a semi-Markov decision process has it (Sutton, Precup &
Singh 1999, 10.1016/S0004-3702(99)00052-1): r is the discounted reward of those samples and gamma
their discount. Over a single short sample the action is a rare jump of the outputs or next to
nothing, its advantage is lost in the critics' errors, and the policy drifts off the data.
A share of every batch is seen under other setpoints, see `models.learning.hindsight`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from models.learning.networks import Mlp, Policy, seeded
from models.learning.optimizer import Adam, one_vector
from models.learning.passes import Passes, Scratch, tanh_backward

if TYPE_CHECKING:
    from torch import Tensor

    from models.learning.batches import PolicyData
    from models.recipe import PolicyRecipe


class IqlTrainer:
    """Value, two critics with slow copies, and an advantage-weighted policy."""

    def __init__(self, data: PolicyData, recipe: PolicyRecipe, seed: int) -> None:
        self.name = "iql"
        self.steps, self.learning_rate = recipe.steps, recipe.learning_rate
        self.generator = seeded(seed)
        self._data, self._recipe = data, recipe
        n_features, n_mv = data.features.shape[1], data.actions.shape[1]
        sizes = {"width": recipe.width, "layers": recipe.layers}
        self.policy = Policy(n_features, n_mv, **sizes)
        self.value = Mlp(n_features, 1, **sizes)
        self.critics = [Mlp(n_features + n_mv, 1, **sizes) for _ in range(2)]
        self.targets = [
            copy.deepcopy(critic).requires_grad_(requires_grad=False) for critic in self.critics
        ]
        for net in (self.policy, self.value, *self.critics, *self.targets):
            net.to(data.features.device)
        self.modules = {
            "policy": self.policy,
            "value": self.value,
            **{f"critic{i}": critic for i, critic in enumerate(self.critics)},
            **{f"target{i}": target for i, target in enumerate(self.targets)},
        }
        learned = {"policy": self.policy.net, "value": self.value}
        learned |= {f"critic{i}": critic for i, critic in enumerate(self.critics)}
        self.optimizers = {name: Adam(net.parameters()) for name, net in learned.items()}
        self._slow = [one_vector(target.parameters()) for target in self.targets]
        scratch = Scratch(self.value, recipe.batch)
        self._learned = {
            name: Passes(net, scratch, self.optimizers[name]) for name, net in learned.items()
        }
        self._targets = [Passes(target, scratch) for target in self.targets]

    @torch.no_grad()
    def step(self) -> dict[str, Tensor]:
        """One update of value, critics and policy on one batch; slopes as autograd gives them."""
        data, recipe = self._data, self._recipe
        rows = data.draw(recipe.batch, self.generator)
        relabelled = round(recipe.relabel * recipe.batch)
        s, a, r, after = data.relabelled(rows, relabelled, self.generator)
        pair = torch.cat((s, a), dim=1)
        best = torch.minimum(*(target.forward(pair) for target in self._targets))
        goal = r + data.discount * self._learned["value"].forward(after)
        gap = best - self._learned["value"].forward(s)
        tau = torch.where(gap < 0, 1.0 - recipe.expectile, recipe.expectile)
        self._learned["value"].descend(s, -(tau / len(s) * (2.0 * gap)))
        losses = {"value": (tau * gap.square()).mean()}
        misses = [self._learn_critic(i, pair, goal) for i in range(len(self.critics))]
        losses["critics"] = misses[0] + misses[1]
        weight = torch.exp(recipe.temperature * gap).clamp(max=recipe.weight_limit)
        action = torch.tanh(self._learned["policy"].forward(s))
        miss = action - a
        self._learned["policy"].descend(
            s, tanh_backward(weight / miss.numel() * (2.0 * miss), action)
        )
        losses["policy"] = (weight * miss.square()).mean()
        return losses

    def _learn_critic(self, i: int, pair: Tensor, goal: Tensor) -> Tensor:
        """One update of a critic and a Polyak step of its slow copy; returns its loss."""
        name = f"critic{i}"
        miss = self._learned[name].forward(pair) - goal
        self._learned[name].descend(pair, (2.0 * miss) / len(miss))
        self._slow[i].lerp_(self.optimizers[name].vector, self._recipe.target_rate)
        return miss.square().mean()
