"""The baselines of a bundle, read once a process, and what tells two of them apart."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.baselines.scalar import ScalarModel
from models.bundle import BASELINES, Baselines, BundleError, Manifest, load_manifest, load_weights
from models.online.features import FeatureMap
from models.online.forward import mlp_from

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.bundle import HeldCost
    from models.recipe import Source

    F64 = NDArray[np.float64]

SCALAR, HELD = "scalar", "held"  # where `baselines.safetensors` holds the networks of the costs


def policy_prefix(algorithm: str) -> str:
    """Where `baselines.safetensors` holds the network of a policy."""
    return f"policy.{algorithm}.net"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedHeld:
    """The held-action PICNN of one bundle."""

    figures: HeldCost
    network: ScalarModel
    features: FeatureMap


class Loaded:
    """The baselines of one bundle, ready to be asked."""

    def __init__(self, directory: Path) -> None:
        """Read them; raise BundleError for a bundle that has none, or damaged ones."""
        self.manifest, self.section = baselines_of(directory)
        tensors = load_weights(directory, BASELINES)
        n_mv = len(self.manifest.mvs)
        self.policies = {
            name: mlp_from(
                tensors,
                policy_prefix(name),
                layers=policy.layers,
                n_in=len(policy.features),
                n_out=n_mv,
            )
            for name, policy in self.section.policies.items()
        }
        self.maps = {
            name: FeatureMap(policy.features, self.manifest)
            for name, policy in self.section.policies.items()
        }
        scalar, held = self.section.scalar, self.section.held
        self.scalar = ScalarModel(
            tensors, SCALAR, layers=scalar.layers, n_features=len(scalar.features), n_mv=n_mv
        )
        self.held = None if held is None else _held(held, self.manifest, tensors)


def _held(figures: HeldCost, manifest: Manifest, tensors: dict[str, F64]) -> LoadedHeld:
    network = ScalarModel(
        tensors,
        HELD,
        layers=figures.layers,
        n_features=len(figures.features),
        n_mv=len(manifest.mvs),
        n_cv=len(manifest.cvs),
    )
    features = FeatureMap(figures.features, manifest)
    return LoadedHeld(figures=figures, network=network, features=features)


def baselines_of(directory: Path) -> tuple[Manifest, Baselines]:
    """Manifest and baselines section of a bundle; raise BundleError where it has none."""
    manifest = load_manifest(directory)
    if manifest.baselines is None:
        raise BundleError(
            f"{directory}: holds no baselines; train the bundle again with `trimtab-models train`"
        )
    return manifest, manifest.baselines


@functools.cache
def loaded(directory: str) -> Loaded:
    """Baselines of a bundle, read once a process."""
    return Loaded(Path(directory))


def digest_of(directory: str, source: Source, *, code: int, **more: object) -> str:
    """SHA-256 (hex) over what a pilot's moves depend on: weights, figures, code, and `more`."""
    manifest, section = baselines_of(Path(directory))
    parts = {
        "code": code,
        "weights": manifest.files[BASELINES],
        "section": section.model_dump(mode="json"),
        "source": source.model_dump(mode="json"),
        **more,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
