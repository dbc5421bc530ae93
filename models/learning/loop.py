"""The training loop that all algorithms share: steps, schedule, checkpoints, progress.

An interrupted run goes on from its last checkpoint and ends with the same bits as one that
was not interrupted: weights, optimiser state and the generator of the batches are saved.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from models.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from models.learning.optimizer import Adam

CHECKPOINT_EVERY = 500
READ_EVERY = 50
"""Steps between two looks at the losses."""

_AVERAGED = 200


class Trainer(Protocol):
    """One algorithm in training: its networks, optimiser, batches and one step."""

    name: str
    steps: int
    learning_rate: float
    generator: torch.Generator

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Everything with weights, by name."""
        ...

    @property
    def optimizers(self) -> Mapping[str, Adam]:
        """One learning rate for all."""
        ...

    def step(self) -> dict[str, Tensor]:
        """Draw a batch, make one update, return the losses, which nobody waits for."""
        ...


class Diverged(Exception):  # noqa: N818  # a state of the training, named as such
    """A loss that is not finite; the message names algorithm, step and loss."""


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Learning rate of Smith & Topin 2017 (arXiv 1708.07120): up over 30 %, cosine down."""
    done = (step + 1) / steps
    turn = 0.3
    if done <= turn:
        return peak * (0.04 + 0.96 * done / turn)
    fall = (done - turn) / (1.0 - turn)
    return peak * max(1e-4, 0.5 * (1.0 + float(torch.cos(torch.tensor(fall * torch.pi)))))


def run(
    trainer: Trainer,
    checkpoint: Path,
    *,
    advance: Callable[[int, Mapping[str, float]], None] = lambda done, losses: None,  # noqa: ARG005
    every: int = CHECKPOINT_EVERY,
) -> dict[str, float]:
    """Train to the end, from `checkpoint` if there is one; return the mean of the last losses.

    `advance(steps_done, losses)` is called now and then. Raises Diverged, and RecipeError for a
    checkpoint that another version has written.
    """
    done = _restore(trainer, checkpoint) if checkpoint.exists() else 0
    recent: dict[str, list[float]] = {}
    unread: list[dict[str, Tensor]] = []
    advance(done, {})
    for i in range(done, trainer.steps):
        rate = one_cycle(i, trainer.steps, trainer.learning_rate)
        for optimizer in trainer.optimizers.values():
            optimizer.rate = rate
        unread.append(trainer.step())
        last, save = i + 1 == trainer.steps, (i + 1) % every == 0
        if last or save or (i + 1) % READ_EVERY == 0:
            losses = _read(trainer.name, unread, i + 1)
            unread = []
            for key, values in losses.items():
                recent[key] = [*recent.get(key, []), *values][-_AVERAGED:]
            if last or save:
                _save(trainer, checkpoint, i + 1)
            if last or (i + 1) % READ_EVERY == 0:
                advance(i + 1, {key: values[-1] for key, values in losses.items()})
    return {key: sum(values) / len(values) for key, values in recent.items()}


def _read(name: str, unread: list[dict[str, Tensor]], done: int) -> dict[str, list[float]]:
    """The losses of the last steps by key, in one read: each would make the device wait.

    Raises Diverged.
    """
    keys = list(unread[0])
    table = torch.stack([losses[key] for losses in unread for key in keys]).tolist()
    for at, value in enumerate(table):
        if not math.isfinite(value):
            step, key = done - len(unread) + at // len(keys), keys[at % len(keys)]
            raise Diverged(f"{name}: {key} is {value} at step {step}; lower learning_rate")
    return {key: table[at :: len(keys)] for at, key in enumerate(keys)}


def _state(trainer: Trainer) -> dict[str, Tensor]:
    tensors = {"generator": trainer.generator.get_state()}
    for name, module in trainer.modules.items():
        tensors |= {f"module.{name}.{k}": v for k, v in module.state_dict().items()}
    for name, optimizer in trainer.optimizers.items():
        tensors |= {f"optimizer.{name}.{k}": v for k, v in optimizer.state().items()}
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _save(trainer: Trainer, checkpoint: Path, done: int) -> None:
    draft = checkpoint.with_suffix(".draft")
    save_file(_state(trainer), draft, metadata={"progress": json.dumps({"done": done})})
    draft.replace(checkpoint)


def _restore(trainer: Trainer, checkpoint: Path) -> int:
    """Put a checkpoint's state into the trainer; return the steps that were done."""
    with safe_open(checkpoint, framework="pt") as file:
        done = int(json.loads(file.metadata()["progress"])["done"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    names = {f"optimizer.{name}.mean" for name in trainer.optimizers}
    if not names <= tensors.keys():
        raise RecipeError(
            f"{checkpoint}: was written by another version of trimtab; delete it, and this part "
            "of the training begins again"
        )
    trainer.generator.set_state(tensors["generator"])
    for name, module in trainer.modules.items():
        module.load_state_dict(_under(f"module.{name}.", tensors))
    for name, optimizer in trainer.optimizers.items():
        optimizer.restore(_under(f"optimizer.{name}.", tensors))
    return done


def _under(start: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
