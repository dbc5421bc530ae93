"""Pilots of a bundle: those of its baselines, and its correction under every tie to the policy.

The policy's part in the corrected move is shown by taking the policy away: `removed` ties the
correction to the move in force, `random` to uniform random increments in the policy's own box.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path  # noqa: TC003  # pickled by value in a field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.baselines import held_pilot
from models.baselines.observation import sample_of
from models.bundle import WEIGHTS, load_manifest, load_weights
from models.runtime import Advice, AdviceRequest, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.evaluation.pilot import Pilot
    from models.online.features import ProcessSample
    from models.recipe import Source
    from models.recipe.evaluation import SweepRecipe

    F64 = NDArray[np.float64]

PolicyRole = Literal["policy", "removed", "random"]
SWEEP = "sweep_"
"""Start of the names of the pilots that only the sweep has."""
ROLES: tuple[PolicyRole, ...] = ("policy", "removed", "random")
ENDINGS = {"policy": "", "removed": "_removed", "random": "_random"}


@dataclass(kw_only=True)
class SequencePilot:
    """The certified correction of the sequence PICNN, tied to a policy.

    proximal, trust_radius: None leaves the bundle's; a radius of `inf` is none. move_limit: (n_mv,)
    largest move a sample [MV units], None: what the environment's `move_limit` says, if it has
    one, as a DCS has the rate limits of its outputs configured. noted:
    `policy_distance` is the largest scaled distance over the MVs of the move from what it is tied
    to (NaN where refused), `refused` whether there was no advice; the move in force is then held.
    """

    name: str
    digest: str
    bundle: Path
    source: Source
    about: dict[str, Any]
    role: PolicyRole = "policy"
    proximal: float | None = None
    trust_radius: float | None = None
    move_limit: tuple[float, ...] | None = None
    noted: dict[str, float] = field(default_factory=dict, repr=False)
    _runtime: Any = field(default=None, repr=False)
    _memory: Any = field(default=None, repr=False)
    _reach: Any = field(default=None, repr=False)

    def reset_options(self) -> dict[str, Any]:
        """Nothing of the environment is changed."""
        return {}

    def begin(self, env: Any, seen: F64, info: dict[str, Any]) -> None:
        """Start with an empty memory; random increments are drawn by the start's seed."""
        del seen, info
        manifest, tensors = _bundle(self.bundle, self.digest)
        rng = np.random.default_rng([int(env.np_random_seed), 1])
        self._runtime = Runtime(
            tied(manifest, self.proximal, self.trust_radius),
            tensors,
            policy_override=_override(self.role, manifest, rng),
        )
        self._memory = self._runtime.initial_memory()
        configured = (
            getattr(env, "move_limit", np.inf) if self.move_limit is None else self.move_limit
        )
        low, high = _ranges(manifest)
        self._reach = np.minimum(configured, high - low)

    def decide(self, seen: F64, info: dict[str, Any]) -> F64:
        """The corrected move (n_mv,) [MV units]."""
        sample = sample_of(self._runtime.manifest, self.source, seen, info)
        low, high = _ranges(self._runtime.manifest)
        request = AdviceRequest(
            sample=sample,
            low=np.clip(sample.mv - self._reach, low, high),
            high=np.clip(sample.mv + self._reach, low, high),
            range_low=low,
            range_high=high,
            windup_low=np.zeros(len(low), dtype=bool),
            windup_high=np.zeros(len(low), dtype=bool),
            freeze=bool(info["override_s"] > 0.0),
        )
        answer, self._memory = self._runtime.advise(request, self._memory)
        if not isinstance(answer, Advice):
            self.noted = {"policy_distance": math.nan, "refused": 1.0}
            return sample.mv
        apart = np.abs(answer.move - answer.policy_move) / ((high - low) / 2.0)
        self.noted = {"policy_distance": float(apart.max()), "refused": 0.0}
        return answer.move


def tied(manifest: Manifest, proximal: float | None, trust_radius: float | None) -> Manifest:
    """A manifest with another tie to the policy; None leaves a figure, radius inf is none."""
    changes: dict[str, float | None] = {}
    if proximal is not None:
        changes["proximal"] = proximal
    if trust_radius is not None:
        changes["trust_radius"] = None if math.isinf(trust_radius) else trust_radius
    cost = manifest.cost.model_copy(update=changes)
    return manifest.model_copy(update={"cost": cost})


def pilots_of(bundle: Path, source: Source, *, sweep: SweepRecipe | None = None) -> list[Pilot]:
    """Everything a bundle can be flown by; with `sweep` also its correction under every tie.

    Raises BundleError for a bundle that cannot be used.
    """
    manifest = load_manifest(bundle)
    ties: list[tuple[str, float | None, float | None]] = [("sequence", None, None)]
    if sweep is not None:
        ties += [
            (f"{SWEEP}r{radius:g}_w{weight:g}", weight, radius)
            for radius in sweep.trust_radius
            for weight in sweep.proximal
        ]
    corrected: list[Pilot] = [
        _sequence_pilot(
            f"{name}{ENDINGS[role]}", role, bundle, tied(manifest, weight, radius), source
        )
        for name, weight, radius in ties
        for role in ROLES
    ]
    if manifest.baselines is None:
        return corrected
    alone: list[Pilot] = [*held_pilot.pilots(bundle, source)]
    return [*alone, *corrected]


def _sequence_pilot(
    name: str, role: PolicyRole, bundle: Path, manifest: Manifest, source: Source
) -> SequencePilot:
    cost = manifest.cost
    figures = manifest.model_dump_json(
        exclude={"version", "name", "dataset", "data_checks", "training", "files", "baselines"}
    )
    parts = [figures, manifest.files[WEIGHTS], role, source.model_dump_json()]
    return SequencePilot(
        name=name,
        digest=hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
        bundle=bundle,
        source=source,
        role=role,
        proximal=cost.proximal,
        trust_radius=math.inf if cost.trust_radius is None else cost.trust_radius,
        about={
            "policy": manifest.policy.algorithm if role == "policy" else role,
            "proximal": cost.proximal,
            "trust_radius": cost.trust_radius,
        },
    )


def _override(
    role: PolicyRole, manifest: Manifest, rng: np.random.Generator
) -> Callable[[ProcessSample], F64] | None:
    """What takes the policy's place, sample -> move (n_mv,); None: the policy itself."""
    if role == "policy":
        return None
    if role == "removed":
        return lambda sample: sample.mv
    scale = np.array(manifest.policy.increment_scale)
    low, high = _ranges(manifest)

    def draw(sample: ProcessSample) -> F64:
        move: F64 = np.clip(sample.mv + rng.uniform(-1.0, 1.0, len(scale)) * scale, low, high)
        return move

    return draw


def _ranges(manifest: Manifest) -> tuple[F64, F64]:
    return (
        np.array([mv.low for mv in manifest.mvs]),
        np.array([mv.high for mv in manifest.mvs]),
    )


def dataset_seed(manifest: Manifest) -> int:
    """Seed of the data that a bundle learned from."""
    seed = manifest.dataset.get("seed", manifest.training.get("seed", 0))
    return int(seed or 0)


@cache
def _bundle(bundle: Path, digest: str) -> tuple[Manifest, dict[str, F64]]:
    """Manifest and weights, once a process; `digest` tells two contents of one path apart."""
    del digest
    return load_manifest(bundle), load_weights(bundle)
