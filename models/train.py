"""One training run: recipe -> data -> networks -> bundle, each stage kept and resumable."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from models.baselines.training import train_baselines, train_held
from models.bundle import (
    BASELINES,
    WEIGHTS,
    Baselines,
    Manifest,
    Policy,
    SequenceCost,
    load_manifest,
    rounded,
    sha256,
    write_manifest,
)
from models.bundle.card import model_card
from models.data.checks import DataRefused
from models.data.training_data import TrainingData, file_sha256, generated, own
from models.data.transitions import envelope
from models.learning.batches import PolicyData, SequenceData, policy_data, sequence_data
from models.learning.bc import BcTrainer
from models.learning.calibration import Parts, calibrate, hold_out, without_section
from models.learning.iql import IqlTrainer
from models.learning.loop import Trainer, run
from models.learning.picnn import SequenceTrainer
from models.recipe import Recipe, RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    import numpy as np
    from numpy.typing import NDArray

    from models.bundle import Conformal
    from models.data.dataset import Dataset

    class Progress(Protocol):
        """Where a run tells how far it is; a progress bar or nothing."""

        def stage(self, name: str, total: int) -> None:
            """A stage of `total` steps begins."""

        def done(self, steps: int, losses: Mapping[str, float]) -> None:
            """So many steps of the stage are done."""


POLICY_TRAINERS: dict[str, type[BcTrainer | IqlTrainer]] = {"bc": BcTrainer, "iql": IqlTrainer}
# A jump of the plant's clock longer than this many samples is a new run, not a late scan.
MAX_GAP_SAMPLES = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The networks of one run and their last losses."""

    tensors: dict[str, NDArray[np.float64]]
    baseline_tensors: dict[str, NDArray[np.float64]]
    policy: PolicyData
    cost: SequenceData
    baselines: Baselines
    losses: dict[str, float]
    conformal: Conformal | None = None


def train(
    recipe: Recipe,
    work: Path,
    out: Path,
    *,
    jobs: int,
    progress: Progress,
    own_file: Path | None = None,
) -> Manifest:
    """Run all stages that `work` does not hold yet and write the bundle to `out`.

    `own_file`: a user's history instead of the recipe's environment, see `models.data.own`.

    The result is determined by the recipe (with its seed), the PyTorch version and the
    processor; it does not depend on `jobs` or on interruptions. Raises RecipeError if `work`
    holds another recipe's run, models.data.checks.DataRefused for data that are not fit to
    train on, and models.learning.loop.Diverged.
    """
    torch.set_num_threads(1)  # the same order of sums on every machine
    torch.use_deterministic_algorithms(mode=True)
    _claim(recipe, work, own_file)
    data = _data(recipe, work, own_file, jobs=jobs, progress=progress)
    if data.report.refused:
        raise DataRefused(data.report.words())
    parts = hold_out(data.data, recipe)
    trained = _networks(recipe, parts.learned, work, progress)
    learned = replace(data, data=parts.learned)
    trained = _with_held(recipe, learned, trained, work, progress)
    trained = _with_conformal(recipe, data, parts, trained)
    return _write_bundle(recipe, data, trained, out)


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

    def advance() -> None:
        nonlocal made
        made += 1
        progress.done(made, {})

    made_data = generated(recipe, work / "dataset.safetensors", jobs=jobs, advance=advance)
    progress.done(total, {})
    return made_data


def _claim(recipe: Recipe, work: Path, own_file: Path | None) -> None:
    """Bind a work directory to one recipe and one origin of the data."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / "recipe.json"
    # How controllers are compared does not change what is trained.
    run_of = recipe.model_dump(mode="json", exclude={"evaluation"})
    if own_file is not None:
        run_of["own_file_sha256"] = file_sha256(own_file)
    text = json.dumps(run_of, indent=1)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise RecipeError(
            f"{work}: holds the run of another recipe or seed or other data; give another "
            "--work directory or delete this one"
        )
    path.write_text(text, encoding="utf-8")


def _networks(recipe: Recipe, data: Dataset, work: Path, progress: Progress) -> Trained:
    tensors: dict[str, NDArray[np.float64]] = {}
    losses: dict[str, float] = {}
    transitions = policy_data(data, recipe)
    policy = POLICY_TRAINERS[recipe.policy.algorithm](transitions, recipe.policy, recipe.seed)
    losses |= _fit(policy, work, progress)
    tensors |= policy.policy.tensors()
    horizons = sequence_data(data, recipe)
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
    )


def _with_held(
    recipe: Recipe, data: TrainingData, trained: Trained, work: Path, progress: Progress
) -> Trained:
    """Add the held-action PICNN, which learns from the sequence cost as the bundle holds it."""
    section, tensors, losses = train_held(
        recipe,
        data.data,
        _manifest(recipe, data, trained, {}),
        trained.tensors,
        work=work,
        fit=lambda trainer: _fit(trainer, work, progress),
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
        _manifest(recipe, data, trained, {}),
        trained.tensors,
        trained.cost.features.double().numpy(),
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


def _write_bundle(recipe: Recipe, data: TrainingData, trained: Trained, out: Path) -> Manifest:
    """Write weights, card and manifest beside `out` and move them there in one step."""
    from safetensors.numpy import save_file  # noqa: PLC0415

    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        files = {}
        for name, tensors in (
            (WEIGHTS, trained.tensors),
            (BASELINES, trained.baseline_tensors),
        ):
            save_file({k: v.astype("float32", order="C") for k, v in tensors.items()}, draft / name)
            (draft / name).chmod(0o644)  # for whoever runs it, like the other files
            files[name] = sha256(draft / name)
        manifest = _manifest(recipe, data, trained, files)
        (draft / "README.md").write_text(model_card(manifest), encoding="utf-8")
        write_manifest(draft, manifest)
        load_manifest(draft)
        draft.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def _manifest(
    recipe: Recipe, data: TrainingData, trained: Trained, files: dict[str, str]
) -> Manifest:
    cost = recipe.cost
    weights = [float(block) / sum(cost.blocks) for block in cost.blocks]
    weights[-1] *= cost.last_block_weight
    return Manifest(
        name=recipe.name,
        version=recipe.version,
        sample_time_s=recipe.source.sample_time_s,
        max_gap_s=MAX_GAP_SAMPLES * recipe.source.sample_time_s,
        cvs=recipe.cvs,
        mvs=recipe.mvs,
        dvs=recipe.dvs,
        setpoint_envelope=envelope(data.data, recipe),
        policy=Policy(
            algorithm=recipe.policy.algorithm,
            features=trained.policy.spec,
            increment_scale=[rounded(float(x)) for x in trained.policy.increment],
            layers=recipe.policy.layers,
        ),
        cost=SequenceCost(
            kind="sequence",
            features=trained.cost.spec,
            horizon_weights=[rounded(w) for w in weights],
            **cost.model_dump(include=set(SequenceCost.model_fields) - {"features", "kind"}),
        ),
        baselines=trained.baselines,
        dataset=data.facts(recipe),
        data_checks=[
            *data.report.findings,
            *without_section(recipe, trained.conformal, len(data.data.episodes())),
        ],
        conformal=trained.conformal,
        training={
            "seed": recipe.seed,
            "torch": metadata.version("torch").split("+")[0],
            "python": platform.python_version(),
            **trained.losses,
        },
        files=files,
    )
