"""One training run: recipe -> data -> networks -> bundle, each stage kept and resumable."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.baselines.training import train_baselines, train_held
from models.bundle import rounded
from models.data.checks import DataRefused
from models.data.holdout import Parts, hold_out
from models.data.training_data import TrainingData, file_sha256, generated, own
from models.learning.batches import policy_data
from models.learning.bc import BcTrainer
from models.learning.calibration import calibrate
from models.learning.devices import CPU, moved
from models.learning.dynamics import Dynamics, DynamicsTrainer, history
from models.learning.horizon_data import SequenceData, sequence_data
from models.learning.imagined import Imagination
from models.learning.iql import IqlTrainer
from models.learning.loop import Trainer, run
from models.learning.packing import Trained, manifest_of, write_bundle
from models.learning.sequence_picnn import SequenceTrainer
from models.recipe import Recipe, RecipeError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.data.dataset import Dataset
    from models.progress import Progress

POLICY_TRAINERS: dict[str, type[BcTrainer | IqlTrainer]] = {"bc": BcTrainer, "iql": IqlTrainer}

# Horizons [share] that must reach a block, lest its gains are learned from almost nothing.
_LEAST_BELIEVED = 0.05


def train(
    recipe: Recipe,
    work: Path,
    out: Path,
    *,
    jobs: int,
    progress: Progress,
    own_file: Path | None = None,
    device: torch.device = CPU,
) -> Manifest:
    """Run all stages that `work` does not hold yet and write the bundle to `out`.

    `own_file`: a user's history instead of the recipe's environment, see `models.data.own`.
    `device`: where the networks learn; data, plans and targets are made on the CPU.

    On the CPU the result is determined by the recipe (with its seed), the PyTorch version and the
    processor; it does not depend on `jobs` or on interruptions. A GPU promises no equal bits.

    Raises RecipeError if `work` holds another recipe's run or another version's checkpoint,
    models.data.checks.DataRefused for data that are not fit to train on, and
    models.learning.loop.Diverged.
    """
    torch.set_num_threads(1)  # the same order of sums on every machine
    # A GPU's fast products are refused by it without a variable that CUDA must find at its start.
    torch.use_deterministic_algorithms(mode=device.type == "cpu")
    _claim(recipe, work, own_file, device)
    data = _data(recipe, work, own_file, jobs=jobs, progress=progress)
    if data.report.refused:
        raise DataRefused(data.report.words())
    parts = hold_out(data.data, recipe)
    trained = _networks(recipe, parts.learned, work, progress, device)
    learned = replace(data, data=parts.learned)
    trained = _with_held(recipe, learned, trained, work, progress)
    trained = _with_conformal(recipe, data, parts, trained)
    return write_bundle(recipe, data, trained, out)


def _data(
    recipe: Recipe, work: Path, own_file: Path | None, *, jobs: int, progress: Progress
) -> TrainingData:
    """The user's data, or those of the recipe, made once and kept in `work`."""
    if own_file is not None:
        progress.stage("data", 1)
        read = own(own_file, recipe)
        progress.done(1, {})
        return read
    total = recipe.behaviour.episodes_per_scenario * len(recipe.source.scenarios)
    progress.stage("data", total)
    made = 0

    def advance(episodes: int) -> None:
        nonlocal made
        made += episodes
        progress.done(made, {})

    made_data = generated(recipe, work / "dataset.safetensors", jobs=jobs, advance=advance)
    progress.done(total, {})
    return made_data


def _claim(recipe: Recipe, work: Path, own_file: Path | None, device: torch.device) -> None:
    """Bind a work directory to one recipe, one origin of the data and one kind of device."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / "recipe.json"
    # How controllers are compared does not change what is trained.
    run_of = recipe.model_dump(mode="json", exclude={"evaluation"})
    if own_file is not None:
        run_of["own_file_sha256"] = file_sha256(own_file)
    if device.type != "cpu":
        run_of["device"] = device.type
    text = json.dumps(run_of, indent=1)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise RecipeError(
            f"{work}: holds the run of another recipe or seed, other data or another device; give "
            "another --work directory or delete this one"
        )
    path.write_text(text, encoding="utf-8")


def _networks(
    recipe: Recipe, data: Dataset, work: Path, progress: Progress, device: torch.device
) -> Trained:
    tensors: dict[str, NDArray[np.float64]] = {}
    losses: dict[str, float] = {}
    transitions = moved(policy_data(data, recipe), device)
    policy = POLICY_TRAINERS[recipe.policy.algorithm](transitions, recipe.policy, recipe.seed)
    losses |= _fit(policy, work, progress)
    tensors |= policy.policy.tensors()
    members, fits = _dynamics(recipe, data, work, progress, device)
    losses |= fits
    horizons = moved(_horizons(recipe, data, members, progress), device)
    for member in range(recipe.cost.members):
        trainer = SequenceTrainer(horizons, recipe.cost, recipe.seed, member)
        losses |= _fit(trainer, work, progress)
        tensors |= trainer.model.tensors(member)
    extra = train_baselines(
        recipe,
        transitions,
        {recipe.policy.algorithm: policy},
        lambda trainer: _fit(trainer, work, progress),
    )
    return Trained(
        tensors=tensors,
        baseline_tensors=extra.tensors,
        policy=transitions,
        cost=horizons,
        baselines=extra.section,
        losses=losses | extra.losses,
        device=device,
    )


def _dynamics(
    recipe: Recipe, data: Dataset, work: Path, progress: Progress, device: torch.device
) -> tuple[list[Dynamics], dict[str, float]]:
    """The members of the process model, each first of one sample, then of many."""
    past = history(data, recipe)
    members: list[Dynamics] = []
    losses: dict[str, float] = {}
    for number in range(recipe.dynamics.members):
        near = DynamicsTrainer(past, recipe.dynamics, recipe.seed, number, device=device)
        losses |= _fit(near, work, progress)
        far = DynamicsTrainer(
            past, recipe.dynamics, recipe.seed, number, begun=near.model, device=device
        )
        losses |= _fit(far, work, progress)
        members.append(far.model)
    return members, losses


def _horizons(
    recipe: Recipe, data: Dataset, members: list[Dynamics], progress: Progress
) -> SequenceData:
    """What the sequence PICNN learns from; quick to make again, so it is not kept."""
    imagination = Imagination(members, history(data, recipe), recipe)
    progress.stage("horizons", 4 * recipe.imagined.horizons)
    made = imagination.horizons(
        np.random.default_rng([recipe.seed, 1]), lambda done: progress.done(done, {})
    )
    progress.done(4 * recipe.imagined.horizons, {})
    believed = made.valid.mean(axis=0)
    if believed.min() < _LEAST_BELIEVED:
        raise RecipeError(
            f"imagined: only {believed.min():.1%} of the horizons reach block "
            f"{int(believed.argmin()) + 1} of {len(believed)}: beyond, the plans leave the data or "
            "the members of the process model disagree; give more data with more moves in them, "
            "shorten cost.blocks, or lower imagined.excursion"
        )
    return sequence_data(data, made, recipe)


def _with_held(
    recipe: Recipe, data: TrainingData, trained: Trained, work: Path, progress: Progress
) -> Trained:
    """Add the held-action PICNN, which learns from the sequence cost as the bundle holds it."""
    section, tensors, losses = train_held(
        recipe,
        data.data,
        manifest_of(recipe, data, trained, {}),
        trained.tensors,
        work=work,
        fit=lambda trainer: _fit(trainer, work, progress),
        device=trained.device,
    )
    return replace(
        trained,
        baseline_tensors=trained.baseline_tensors | tensors,
        baselines=trained.baselines.model_copy(update={"held": section}),
        losses=trained.losses | losses,
    )


def _with_conformal(recipe: Recipe, data: TrainingData, parts: Parts, trained: Trained) -> Trained:
    """Add error bands and novelty, from the episodes that no network has seen."""
    section = calibrate(
        parts.held_out,
        recipe,
        manifest_of(recipe, data, trained, {}),
        trained.tensors,
        trained.cost.recorded,
        device=trained.device,
    )
    return replace(trained, conformal=section)


def _fit(trainer: Trainer, work: Path, progress: Progress) -> dict[str, float]:
    progress.stage(trainer.name, trainer.steps)
    losses = run(trainer, work / f"{trainer.name}.safetensors", advance=progress.done)
    kept = work / f"{trainer.name}.losses.json"
    if losses or not kept.exists():
        kept.write_text(json.dumps(losses), encoding="utf-8")
    known = json.loads(kept.read_text(encoding="utf-8"))
    return {f"{trainer.name}.{key}": rounded(value, 5) for key, value in known.items()}
