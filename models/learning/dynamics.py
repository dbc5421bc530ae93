"""A model of the process, learned from its history: one sample ahead, and trained over many.

    y' = y + f(y, x, u),    x' = k x + (1 - k) z

y: CVs and DVs, u: MVs in force over the coming sample, x: the filters among the features of the
cost, each following its own tag z. The sequence PICNN learns from this model what the record
itself hardly shows: what a move does that no PI would have made (Dyna, Sutton 1991,
doi:10.1145/122344.122377). A model of one step learns the process from closed-loop data, because
controllers of different tuning act differently in the same state; the errors of such a model
add up, so it is then trained on its own predictions over `rollout` samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from models.data.transitions import filtered, value_matrix
from models.learning.devices import CPU
from models.learning.networks import Mlp, seeded
from models.learning.optimizer import Adam
from models.online.features import value_names

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.data.dataset import Dataset
    from models.recipe import DynamicsRecipe, Recipe

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The record as the process model sees it.

    state: (M, n_y) CVs and DVs. filters: (M, n_x). moves: (M, n_mv), in force over the sample that
    ends at the row. segments: first and one-past-last row of each stretch without a gap.
    sources: (n_x,) index in (state, moves) of the tag that a filter follows; keep: (n_x,).
    """

    state: F64
    filters: F64
    moves: F64
    segments: list[tuple[int, int]]
    sources: list[int]
    keep: F64

    def starts(self, samples: int) -> NDArray[np.int64]:
        """Rows (K,) that are followed by so many samples without a gap."""
        rows = [np.arange(begin, end - samples) for begin, end in self.segments]
        return np.concatenate([np.zeros(0, dtype=np.int64), *rows])


def history(data: Dataset, recipe: Recipe) -> History:
    """The record with the filters of the cost's features."""
    wanted = [want for want in recipe.cost.features if want.kind == "filter"]
    columns = [filtered(want, recipe, data) for want in wanted]
    n_y = data.cv.shape[1] + data.dv.shape[1]
    seen = value_matrix(data)
    dt = recipe.source.sample_time_s
    return History(
        state=seen[:, :n_y],
        filters=np.stack(columns, axis=1) if columns else np.zeros((len(seen), 0)),
        moves=data.mv,
        segments=data.bounds(),
        sources=[value_names(recipe).index(want.source) for want in wanted],
        keep=np.array([np.exp(-dt / (want.time_constant_s or np.inf)) for want in wanted]),
    )


class Dynamics(nn.Module):
    """One member of the process model; everything in the units of the tags."""

    def __init__(self, past: History, recipe: DynamicsRecipe) -> None:
        super().__init__()
        inputs = np.concatenate((past.state, past.filters, past.moves), axis=1)
        now = past.starts(1)
        change = past.state[now + 1] - past.state[now]
        self.net = Mlp(
            inputs.shape[1], past.state.shape[1], width=recipe.width, layers=recipe.layers
        )
        self.sources = past.sources
        self.offset: Tensor
        self.spread: Tensor
        self.change_offset: Tensor
        self.change_spread: Tensor
        self.keep: Tensor
        for name, value in (
            ("offset", inputs.mean(axis=0)),
            ("spread", np.maximum(inputs.std(axis=0), 1e-6)),
            ("change_offset", change.mean(axis=0)),
            ("change_spread", np.maximum(change.std(axis=0), 1e-6)),
            ("keep", past.keep),
        ):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32))

    def forward(self, state: Tensor, filters: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
        """State (B, n_y) and filters (B, n_x) a sample later, under moves (B, n_mv)."""
        seen = torch.cat((state, filters, moves), dim=-1)
        change = self.net((seen - self.offset) / self.spread)
        after = state + self.change_offset + change * self.change_spread
        followed = torch.cat((after, moves), dim=-1)[..., self.sources]
        return after, self.keep * filters + (1.0 - self.keep) * followed


class DynamicsTrainer:
    """Regression of the state `samples` ahead, in spreads of its change over them.

    Every prediction is the input of the next. The loss is pseudo-Huber with a knee, as in
    `models.learning.sequence_picnn.SequenceTrainer`.
    """

    def __init__(
        self,
        past: History,
        recipe: DynamicsRecipe,
        seed: int,
        member: int,
        *,
        begun: Dynamics | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.samples = 1 if begun is None else recipe.rollout
        self.name = f"dynamics-{member}" + ("" if begun is None else "-rollout")
        self.steps, self._batch, self.learning_rate = (
            (recipe.steps, recipe.batch, recipe.learning_rate)
            if begun is None
            else (recipe.rollout_steps, recipe.rollout_batch, recipe.rollout_rate)
        )
        self.generator = seeded(seed * 1000 + member)
        self._knee = recipe.loss_knee
        self.model = Dynamics(past, recipe).to(device)
        if begun is not None:
            self.model.load_state_dict(begun.state_dict())
        self.modules = {"model": self.model}
        self.optimizers = {"model": Adam(self.model.net.parameters())}
        self._rows = torch.as_tensor(past.starts(self.samples), device=device)
        self._state, self._filters, self._moves = (
            torch.as_tensor(part, dtype=torch.float32, device=device)
            for part in (past.state, past.filters, past.moves)
        )
        rows = past.starts(self.samples)
        change = past.state[rows + self.samples] - past.state[rows]
        unit = np.maximum(change.std(axis=0), 1e-6)
        self._unit = torch.as_tensor(unit, dtype=torch.float32, device=device)

    def step(self) -> dict[str, Tensor]:
        """One update on one batch."""
        drawn = torch.randint(len(self._rows), (self._batch,), generator=self.generator)
        rows = self._rows[drawn.to(self._rows.device)]
        state, filters = self._state[rows], self._filters[rows]
        total = state.new_zeros(())
        for ahead in range(1, self.samples + 1):
            state, filters = self.model(state, filters, self._moves[rows + ahead])
            miss = (state - self._state[rows + ahead]) / self._unit
            total = total + ((miss.square() + self._knee**2).sqrt() - self._knee).mean()
        loss = total / self.samples
        self.optimizers["model"].update(loss, largest_norm=1.0)
        return {"change": loss.detach()}
