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
        self.modules = {
            "policy": self.policy,
            "value": self.value,
            **{f"critic{i}": critic for i, critic in enumerate(self.critics)},
            **{f"target{i}": target for i, target in enumerate(self.targets)},
        }
        # The critics come first, so that their part of the vector is one stretch.
        both = [weight for critic in self.critics for weight in critic.parameters()]
        self.optimizer = Adam([*both, *self.value.parameters(), *self.policy.parameters()])
        self._slow = one_vector(w for target in self.targets for w in target.parameters())
        self._fast = self.optimizer.vector.detach()[: len(self._slow)]

    def step(self) -> dict[str, Tensor]:
        """One update of value, critics and policy on one batch; no loss reaches another's weights."""
        data, recipe = self._data, self._recipe
        s, a, r, after = self._batch()
        pair = torch.cat((s, a), dim=1)
        with torch.no_grad():
            best = torch.minimum(self.targets[0](pair), self.targets[1](pair))
            goal = r + data.discount * self.value(after)
        gap = best - self.value(s)
        tau = torch.where(gap < 0, 1.0 - recipe.expectile, recipe.expectile)
        value = (tau * gap.square()).mean()
        first, second = ((critic(pair) - goal).square().mean() for critic in self.critics)
        critics = first + second
        weight = torch.exp(recipe.temperature * gap.detach()).clamp(max=recipe.weight_limit)
        policy = (weight * (self.policy(s) - a).square()).mean()
        self.optimizer.update(value + critics + policy)
        self._slow.lerp_(self._fast, recipe.target_rate)  # Polyak step of the slow critics
        return {"value": value.detach(), "critics": critics.detach(), "policy": policy.detach()}

    def _batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(s, a, r, s'): a share under other setpoints, the rest as recorded."""
        data, recipe = self._data, self._recipe
        rows = data.draw(recipe.batch, self.generator)
        count = round(recipe.relabel * recipe.batch)
        if count == 0:
            return data.batch(rows)
        parts = data.relabelled(rows[:count], self.generator), data.batch(rows[count:])
        s, a, r, after = (torch.cat(pair) for pair in zip(*parts, strict=True))
        return s, a, r, after
