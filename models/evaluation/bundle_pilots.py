"""Pilots of a bundle: its policy alone, its correction as shipped, and the ties between the two.

The policy's part in the corrected move is shown by taking the policy away: `removed` ties the
correction to the move in force, `random` to uniform random increments in the policy's own box.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path  # noqa: TC003  # pickled by value in a field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.bundle import WEIGHTS, load_manifest, load_weights, sha256
from models.evaluation.cache import code_digest
from models.runtime import Advice, AdviceRequest, ProcessSample, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.evaluation.pilot import Pilot
    from models.evaluation.rules import SweepRecipe
    from models.recipe import Recipe

    F64 = NDArray[np.float64]

PolicyRole = Literal["policy", "removed", "random"]
SWEEP = "sweep_"
"""Start of the names of the pilots that only the sweep has."""
ROLES: tuple[PolicyRole, ...] = ("policy", "removed", "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Where the recipe's environment shows which tag."""

    cv: list[int]
    sp: list[int]
    dv: list[int]

    @classmethod
    def of(cls, recipe: Recipe) -> Wiring:
        """The wiring of a recipe."""
        source = recipe.source
        return cls(
            cv=[source.observation[cv.name] for cv in recipe.cvs],
            sp=[source.setpoints[cv.name] for cv in recipe.cvs],
            dv=[source.observation[dv.name] for dv in recipe.dvs],
        )

    def sample(self, seen: F64, info: dict[str, Any]) -> ProcessSample:
        """What the controller would read at this instant."""
        seen = np.asarray(seen, dtype=np.float64)
        return ProcessSample(
            plant_time_s=float(info["time_s"]),
            cv=seen[self.cv],
            sp=seen[self.sp],
            mv=np.asarray(info["actual"], dtype=np.float64),
            dv=seen[self.dv],
        )


@dataclass(kw_only=True)
class PolicyPilot:
    """The bundle's policy alone, on the measured values as they come."""

    name: str
    digest: str
    bundle: Path
    base: str
    wiring: Wiring
    about: dict[str, Any] = field(default_factory=dict)
    _memory: Any = field(default=None, repr=False)

    def reset_options(self) -> dict[str, Any]:
        """Nothing of the environment is changed."""
        return {}

    def begin(self, env: Any, seen: F64, info: dict[str, Any]) -> None:
        """Start with an empty memory."""
        del env, seen, info
        self._memory = _runtime(self.bundle, self.base).initial_memory()

    def decide(self, seen: F64, info: dict[str, Any]) -> F64:
        """The policy's move (n_mv,) [MV units]."""
        runtime, sample = _runtime(self.bundle, self.base), self.wiring.sample(seen, info)
        self._memory = replace(runtime.tracker.observe(self._memory, sample), estimate=sample.cv)
        return runtime.policy_move(self._memory, sample)


@dataclass(kw_only=True)
class SequencePilot:
    """The certified correction of the sequence PICNN, tied to a policy.

    proximal, trust_radius: None leaves the bundle's; a radius of `inf` is none. noted:
    `policy_distance` is the largest scaled distance over the MVs of the move from what it is tied
    to (NaN where refused), `refused` whether there was no advice; the move in force is then held.
    """

    name: str
    digest: str
    bundle: Path
    base: str
    wiring: Wiring
    about: dict[str, Any]
    role: PolicyRole = "policy"
    proximal: float | None = None
    trust_radius: float | None = None
    noted: dict[str, float] = field(default_factory=dict, repr=False)
    _runtime: Any = field(default=None, repr=False)
    _memory: Any = field(default=None, repr=False)

    def reset_options(self) -> dict[str, Any]:
        """Nothing of the environment is changed."""
        return {}

    def begin(self, env: Any, seen: F64, info: dict[str, Any]) -> None:
        """Start with an empty memory; random increments are drawn by the start's seed."""
        del seen, info
        manifest, tensors = _bundle(self.bundle, self.base)
        rng = np.random.default_rng([int(env.np_random_seed), 1])
        self._runtime = Runtime(
            tied(manifest, self.proximal, self.trust_radius),
            tensors,
            policy_override=_override(self.role, manifest, rng),
        )
        self._memory = self._runtime.initial_memory()

    def decide(self, seen: F64, info: dict[str, Any]) -> F64:
        """The corrected move (n_mv,) [MV units]."""
        sample = self.wiring.sample(seen, info)
        low, high = _ranges(self._runtime.manifest)
        request = AdviceRequest(
            sample=sample,
            low=low,
            high=high,
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


def pilots_of(bundle: Path, recipe: Recipe, *, sweep: SweepRecipe | None = None) -> list[Pilot]:
    """Everything a bundle can be flown by; with `sweep` also its correction under every tie.

    Raises BundleError for a bundle that cannot be used.
    """
    manifest = load_manifest(bundle)
    base, wiring = _digest(bundle, manifest), Wiring.of(recipe)
    alone = PolicyPilot(
        name=manifest.policy.algorithm,
        digest=_text_digest(base, "policy"),
        bundle=bundle,
        base=base,
        wiring=wiring,
    )
    ties: list[tuple[str, float | None, float | None]] = [("sequence", None, None)]
    if sweep is not None:
        ties += [
            (f"{SWEEP}r{radius:g}_w{weight:g}", weight, radius)
            for radius in sweep.trust_radius
            for weight in sweep.proximal
        ]
    corrected = [
        _sequence_pilot(name, role, bundle, wiring, tied(manifest, weight, radius), base)
        for name, weight, radius in ties
        for role in ROLES
    ]
    return [alone, *corrected]


def _sequence_pilot(  # noqa: PLR0917
    name: str, role: PolicyRole, bundle: Path, wiring: Wiring, manifest: Manifest, base: str
) -> SequencePilot:
    cost = manifest.cost
    return SequencePilot(
        name=name if role == "policy" else f"{name}_{role}",
        digest=_text_digest(base, role, cost.model_dump_json()),
        bundle=bundle,
        base=base,
        wiring=wiring,
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


def _digest(bundle: Path, manifest: Manifest) -> str:
    """Digest of a bundle's figures, weights and of the code that runs them, as it is now."""
    figures = manifest.model_dump_json(
        exclude={"created", "version", "name", "dataset", "training", "files", "cost"}
    )
    return _text_digest(
        figures,
        sha256(bundle / WEIGHTS),
        code_digest("models.runtime", "models.evaluation.bundle_pilots"),
    )


def _text_digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def dataset_seed(manifest: Manifest) -> int:
    """Seed of the data that a bundle learned from."""
    seed = manifest.dataset.get("seed", manifest.training.get("seed", 0))
    return int(seed or 0)


@cache
def _bundle(bundle: Path, base: str) -> tuple[Manifest, dict[str, F64]]:
    """Manifest and weights, once a process; `base` tells two contents of one path apart."""
    del base
    return load_manifest(bundle), load_weights(bundle)


@cache
def _runtime(bundle: Path, base: str) -> Runtime:
    return Runtime(*_bundle(bundle, base))
