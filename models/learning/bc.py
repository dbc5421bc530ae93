"""Behaviour cloning: the policy that repeats what the plant's PI did.

Minimises E |pi(s) - a|^2 over the data (Pomerleau 1988, proceedings.neurips.cc/1988).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.learning.networks import Policy, seeded
from models.learning.optimizer import Adam

if TYPE_CHECKING:
    from torch import Tensor

    from models.learning.batches import PolicyData
    from models.recipe import PolicyRecipe


class BcTrainer:
    """Supervised regression of the scaled increments."""

    def __init__(self, data: PolicyData, recipe: PolicyRecipe, seed: int) -> None:
        self.name = "bc"
        self.steps, self.learning_rate = recipe.steps, recipe.learning_rate
        self.generator = seeded(seed)
        self._data, self._batch = data, recipe.batch
        n_features, n_mv = data.features.shape[1], data.actions.shape[1]
        self.policy = Policy(n_features, n_mv, width=recipe.width, layers=recipe.layers)
        self.policy.to(data.features.device)
        self.modules = {"policy": self.policy}
        self.optimizers = {"policy": Adam(self.policy.parameters())}

    def step(self) -> dict[str, Tensor]:
        """One update on one batch."""
        rows = self._data.draw(self._batch, self.generator)
        loss = (self.policy(self._data.features[rows]) - self._data.actions[rows]).square().mean()
        self.optimizers["policy"].update(loss)
        return {"policy": loss.detach()}
