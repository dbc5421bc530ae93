"""A finished run as a bundle: manifest, weights, card."""

from __future__ import annotations

import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.bundle import (
    BASELINES,
    WEIGHTS,
    Baselines,
    Manifest,
    Policy,
    SequenceCost,
    horizon_ends,
    load_manifest,
    rounded,
    sha256,
    write_manifest,
)
from models.bundle.card import model_card
from models.data.envelope import envelope
from models.learning.calibration import without_section
from models.learning.devices import device_words

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from models.bundle import Conformal
    from models.data.training_data import TrainingData
    from models.learning.batches import PolicyData
    from models.learning.horizon_data import SequenceData
    from models.recipe import Recipe

# A jump of the plant's clock longer than this many samples is a new run, not a late scan.
MAX_GAP_SAMPLES = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The networks of one run, their last losses, and where they learned."""

    tensors: dict[str, NDArray[np.float64]]
    baseline_tensors: dict[str, NDArray[np.float64]]
    policy: PolicyData
    cost: SequenceData
    baselines: Baselines
    losses: dict[str, float]
    device: torch.device
    conformal: Conformal | None = None


def write_bundle(recipe: Recipe, data: TrainingData, trained: Trained, out: Path) -> Manifest:
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
        manifest = manifest_of(recipe, data, trained, files)
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


def manifest_of(
    recipe: Recipe, data: TrainingData, trained: Trained, files: dict[str, str]
) -> Manifest:
    """What recipe, data and networks say of themselves; `files`: digests of the weights."""
    cost = recipe.cost
    hour = 3600.0 / recipe.source.sample_time_s
    ends = np.array(horizon_ends(cost.blocks))
    weights = np.array(cost.blocks) * np.exp(-ends / (cost.horizon_hours * hour))
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
            horizon_weights=[rounded(float(w)) for w in weights / weights.sum()],
            disturbance_keep=rounded(recipe.disturbance_keep),
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
            # The CPU is what is meant where nothing is said, and its bundles keep their bits.
            **({} if trained.device.type == "cpu" else {"device": device_words(trained.device)}),
            **trained.losses,
        },
        files=files,
    )
