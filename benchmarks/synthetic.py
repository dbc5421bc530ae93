"""Sequence models of any size with random weights: plants that nobody has, for curves of cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.sequence_parts import SequenceParts
from benchmarks.stream import Correction
from models.bundle import Manifest, default_bundle, load_manifest
from models.learning.sequence_picnn import SequencePredictor, SequenceShape
from models.online.sequence import SequenceModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

SHIPPED_WIDTH = 128
QUESTIONS = 64
GAIN_SPREAD = 0.5
"""Standard deviation of the raw gains, on which softplus acts."""
REACH = 1
"""CV i answers to the MVs i - 1, i and i + 1, as in a train of units; two by two is full."""
MAX_ITERATIONS = 1000
"""The most that a manifest may allow: large problems meet more bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Sizes of a model; variables: CVs, and as many MVs."""

    blocks: int = 12
    width: int = SHIPPED_WIDTH
    variables: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """One model and questions to it."""

    manifest: Manifest
    tensors: dict[str, F64]
    questions: tuple[Correction, ...]

    @property
    def model(self) -> SequenceModel:
        """As ours."""
        return SequenceModel(self.manifest, self.tensors)

    @property
    def parts(self) -> SequenceParts:
        """As theirs."""
        return SequenceParts.of(self.manifest, self.tensors)


def synthetic(size: Size, *, seed: int = 0) -> Synthetic:
    """Draw a model with two members, the shipped bundle's penalties, and questions."""
    manifest = _manifest(size)
    tensors: dict[str, F64] = {}
    for member in range(manifest.cost.members):
        torch.manual_seed(1000 * seed + member)
        shape = SequenceShape(
            n_features=len(manifest.cost.features),
            n_cv=size.variables,
            n_mv=size.variables,
            blocks=tuple(manifest.cost.blocks),
            signs=np.array(manifest.cost.gain_signs),
            width=size.width,
            layers=manifest.cost.layers,
            keep=manifest.cost.disturbance_keep,
        )
        drawn = SequencePredictor(shape)
        with torch.no_grad():
            drawn.raw.add_(GAIN_SPREAD * torch.randn(drawn.raw.shape))
        tensors |= drawn.tensors(member)
    rng = np.random.default_rng(seed)
    questions = tuple(_question(manifest, rng) for _ in range(QUESTIONS))
    return Synthetic(manifest=manifest, tensors=tensors, questions=questions)


def _manifest(size: Size) -> Manifest:
    """The shipped manifest with other variables and blocks; every second CV has a ceiling."""
    shipped = load_manifest(default_bundle()).model_dump()
    plain, capped = shipped["cvs"]
    cvs = [{**(capped if i % 2 else plain), "name": f"CV{i}"} for i in range(size.variables)]
    mvs = [{**shipped["mvs"][i % 2], "name": f"MV{i}"} for i in range(size.variables)]
    unit: dict[str, Any] = {"offset": 0.0, "scale": 1.0}
    features = [{"kind": "error", "source": cv["name"], **unit} for cv in cvs]
    features += [{"kind": "move", "source": mv["name"], **unit} for mv in mvs]
    order = np.arange(size.variables)
    near = np.abs(order[:, None] - order) <= REACH
    cost = shipped["cost"] | {
        "features": features,
        "blocks": [1 + i // 4 for i in range(size.blocks)],
        "horizon_weights": [1.0 / size.blocks] * size.blocks,
        "gain_signs": near.astype(int).tolist(),
    }
    scale = [1.0] * size.variables
    return Manifest.model_validate(
        shipped
        | {
            "cvs": cvs,
            "mvs": mvs,
            "dvs": [],
            "setpoint_envelope": [],
            "policy": shipped["policy"] | {"features": features, "increment_scale": scale},
            "cost": cost,
            "baselines": None,
            "conformal": None,
        }
    )


def _question(manifest: Manifest, rng: np.random.Generator) -> Correction:
    """A state off its setpoint by about a network's unit of each CV; it begins from no move."""
    cost = manifest.cost
    n_cv, n_mv, n_blocks = len(manifest.cvs), len(manifest.mvs), len(cost.blocks)
    scale = np.array([cv.scale for cv in manifest.cvs])
    middle = np.array([0.5 * (cv.low + cv.high) for cv in manifest.cvs])
    centre = rng.uniform(-0.3, 0.3, n_mv)
    return Correction(
        features=rng.normal(size=len(cost.features)),
        disturbance=0.01 * scale * rng.normal(size=n_cv),
        now=middle + scale * rng.normal(size=n_cv),
        error=scale * rng.normal(size=n_cv),
        bias=0.1 * scale * rng.normal(size=(n_blocks, n_cv)),
        policy=rng.uniform(-0.5, 0.5, n_mv),
        low=np.tile(centre - 0.7, (n_blocks, 1)),
        high=np.tile(centre + 0.7, (n_blocks, 1)),
        start=np.zeros(n_blocks * n_mv),
        gap_absolute=cost.gap_absolute,
        gap_relative=cost.gap_relative,
        max_iterations=MAX_ITERATIONS,
        cost=float("nan"),
    )
