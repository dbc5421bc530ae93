"""A bundle: the artefact that training writes and the controller runs.

A directory with `manifest.json`, one or more `*.safetensors` files and a model card
`README.md`. Nothing in it is ever unpickled. The manifest names every tag, unit, bound,
feature and tuning figure, so that neither the runtime nor the controller knows a plant.
"""

from models.bundle.conformal import Conformal
from models.bundle.fields import Finite, Frozen, NonNegative, Positive, Share, rounded
from models.bundle.files import (
    BASELINES,
    MANIFEST,
    WEIGHTS,
    BundleError,
    bundle_sha256,
    default_bundle,
    load_manifest,
    load_weights,
    sha256,
    write_manifest,
)
from models.bundle.manifest import Manifest
from models.bundle.sections import (
    Baselines,
    Controlled,
    DataCheck,
    Feature,
    HalfPlane,
    HeldCost,
    Initial,
    Policy,
    ScalarCost,
    SequenceCost,
    Signal,
    horizon_ends,
)

__all__ = [
    "BASELINES",
    "MANIFEST",
    "WEIGHTS",
    "Baselines",
    "BundleError",
    "Conformal",
    "Controlled",
    "DataCheck",
    "Feature",
    "Finite",
    "Frozen",
    "HalfPlane",
    "HeldCost",
    "Initial",
    "Manifest",
    "NonNegative",
    "Policy",
    "Positive",
    "ScalarCost",
    "SequenceCost",
    "Share",
    "Signal",
    "bundle_sha256",
    "default_bundle",
    "horizon_ends",
    "load_manifest",
    "load_weights",
    "rounded",
    "sha256",
    "write_manifest",
]
