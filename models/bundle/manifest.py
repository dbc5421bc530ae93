"""A bundle: the artefact that training writes and the controller runs.

A directory with `manifest.json`, one or more `*.safetensors` files and a model card
`README.md`. Nothing in it is ever unpickled. The manifest names every tag, unit, bound,
feature and tuning figure, so that neither the runtime nor the controller knows a plant.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.bundle.conformal import Conformal

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
BASELINES = "baselines.safetensors"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class BundleError(Exception):
    """A bundle that must not run. The message names the file, the key and what to do."""


class Frozen(BaseModel):
    """A part of a manifest: unchangeable, and no key that is not named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Signal(Frozen):
    """A manipulated or further measured variable: name, unit, range [unit]."""

    name: str
    unit: str
    low: Finite
    high: Finite


class Controlled(Signal):
    """A controlled variable, and what the correction wants of it.

    `low`, `high`: validity of the training data [unit]. `safe_high`: soft ceiling of every
    predicted value [unit]. `scale`: unit of the network's predicted change [unit].
    `weight`: cost of a squared error [1/unit^2]. `observer_gain`: share of a prediction
    error that is believed at once (1 = no filtering of the measurement).
    `bias_gain`, `bias_limit`: correction of the predictions by their past errors, per sample,
    [unit]. `integral_gain`, `integral_limit`, `integral_band`: slow shift of the target,
    share of the error per sample, its limit [unit], and the error within which it moves [unit].
    """

    safe_high: Finite | None = None
    scale: Positive
    weight: NonNegative
    observer_gain: Annotated[float, Field(gt=0, le=1)]
    bias_gain: Share
    bias_limit: NonNegative
    rest_band: Positive
    integral_gain: Share
    integral_limit: NonNegative
    integral_band: NonNegative


class Initial(Frozen):
    """First value of a filter: `constant` + sum of `terms[tag]` * value, cut to [low, high]."""

    constant: Finite
    terms: dict[str, Finite] = {}
    low: Finite
    high: Finite


class Feature(Frozen):
    """One input of a network: (quantity - offset) / scale, cut to +-`clip` where given.

    `kind`: `value` of a CV or DV; `error` SP - PV of a CV; `move`, the present value of an MV;
    `filter`, a first-order filter of a tag with `time_constant_s` of plant time.
    """

    kind: Literal["value", "error", "move", "filter"]
    source: str
    offset: Finite
    scale: Positive
    clip: Positive | None = None
    time_constant_s: Positive | None = None
    initial: Initial | None = None

    @model_validator(mode="after")
    def _filter_is_whole(self) -> Self:
        whole = self.time_constant_s is not None and self.initial is not None
        if (self.kind == "filter") != whole:
            raise ValueError("`time_constant_s` and `initial` belong to kind 'filter', both")
        return self


class Policy(Frozen):
    """The policy network: features -> scaled increments of the MVs in [-1, 1].

    `increment_scale`: increment of each MV at 1.0, in its unit per sample.
    """

    algorithm: str
    features: list[Feature]
    increment_scale: list[Positive]
    layers: Annotated[int, Field(ge=1)]


class SequenceCost(Frozen):
    """The sequence PICNN c(s, U) and how it is minimised; see `models.learning.picnn`.

    `blocks`: samples over which each move is held. `horizon_weights`: one per block end,
    non-negative. `gain_signs`: (n_cv, n_mv), +1, -1 or 0 (no path). `move_penalty`: per
    squared scaled change between blocks. `ceiling_penalty`: per squared excess over
    `safe_high` [1/unit^2], counted over the first `ceiling_blocks` blocks (null: all): what is
    predicted further ahead can still be prevented by later moves. `proximal`: weight of the
    squared scaled distance of the first move from the policy's. `trust_radius`: largest scaled
    distance of the first move from the policy's (null: none).
    """

    kind: Literal["sequence"]
    features: list[Feature]
    members: Annotated[int, Field(ge=1)]
    layers: Annotated[int, Field(ge=1)]
    blocks: list[Annotated[int, Field(ge=1)]]
    horizon_weights: list[NonNegative]
    gain_signs: list[list[Literal[-1, 0, 1]]]
    move_penalty: Positive
    ceiling_penalty: NonNegative
    ceiling_blocks: Annotated[int, Field(ge=1)] | None = None
    proximal: NonNegative
    trust_radius: Positive | None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Annotated[int, Field(ge=1, le=1000)]


class ScalarCost(Frozen):
    """The scalar PICNN c(s, a) of the paper and how an action descends it.

    See `models.baselines.scalar`. a: scaled increments of the policy. `descent_steps`,
    `descent_rate`: the truncated projected gradient descent. `trust_radius`: largest distance of
    each component from the policy's (null: none). `gap_absolute`, `gap_relative`,
    `max_iterations`: of the certified minimiser.
    """

    features: list[Feature]
    layers: Annotated[int, Field(ge=1)]
    descent_steps: Annotated[int, Field(ge=1)]
    descent_rate: Positive
    trust_radius: Positive | None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Annotated[int, Field(ge=1, le=1000)]


class HeldCost(Frozen):
    """The held-action PICNN c(s, a); a: scaled deviation from the move in force.

    `error_scale`: (n_cv,) unit of the error in the centre of its quadratic part [CV unit].
    `integral_gain`, `integral_limit`, `integral_band`: (n_cv,), as in `Controlled`.
    `descent_steps`, `descent_rate`, `trust_radius`: of the correction of a policy by this cost, in
    the policy's scaled increments, as in `ScalarCost`.
    """

    features: list[Feature]
    layers: Annotated[int, Field(ge=1)]
    error_scale: list[Positive]
    integral_gain: list[Share]
    integral_limit: list[NonNegative]
    integral_band: list[NonNegative]
    descent_steps: Annotated[int, Field(ge=1)]
    descent_rate: Positive
    trust_radius: Positive | None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Annotated[int, Field(ge=1, le=1000)]


class Baselines(Frozen):
    """What the evaluation compares with, in `baselines.safetensors`; the controller reads none.

    `policies`: by algorithm, networks `policy.<algorithm>.net`.
    """

    policies: dict[str, Policy]
    scalar: ScalarCost
    held: HeldCost | None = None


class HalfPlane(Frozen):
    """One side of the setpoint envelope: sum normal_i * sp_i <= limit."""

    normal: list[Finite]
    limit: Finite


class DataCheck(Frozen):
    """One finding about the training data; `refuse` is found in no bundle."""

    severity: Literal["refuse", "flag"]
    column: str
    reason: str
    figure: str
    advice: str


class Manifest(Frozen):
    """Everything the runtime needs to know of a plant and its networks."""

    schema_version: Literal[1] = 1
    name: str
    version: str
    sample_time_s: Positive
    max_gap_s: Positive
    cvs: Annotated[list[Controlled], Field(min_length=1)]
    mvs: Annotated[list[Signal], Field(min_length=1)]
    dvs: list[Signal]
    setpoint_envelope: list[HalfPlane]
    policy: Policy
    cost: SequenceCost
    baselines: Baselines | None = None
    dataset: dict[str, str | int | float | bool | None]
    data_checks: list[DataCheck] = []
    conformal: Conformal | None = None
    training: dict[str, str | int | float | bool | None]
    files: dict[str, str]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Check what no single field can: names, lengths and references."""
        tags = [tag.name for tag in (*self.cvs, *self.mvs, *self.dvs)]
        if len(set(tags)) != len(tags):
            raise ValueError(f"tag names must differ, got {tags}")
        for tag in (*self.cvs, *self.mvs, *self.dvs):
            if not tag.low < tag.high:
                raise ValueError(f"{tag.name}: low {tag.low} must be below high {tag.high}")
        self._check_lengths()
        self._check_features()
        return self

    def _check_lengths(self) -> None:
        n_cv, n_mv = len(self.cvs), len(self.mvs)
        cost = self.cost
        lengths = {
            "policy.increment_scale": (len(self.policy.increment_scale), n_mv),
            "cost.horizon_weights": (len(cost.horizon_weights), len(cost.blocks)),
            "cost.gain_signs": (len(cost.gain_signs), n_cv),
        }
        lengths |= {f"cost.gain_signs[{i}]": (len(r), n_mv) for i, r in enumerate(cost.gain_signs)}
        lengths |= {
            f"setpoint_envelope[{i}].normal": (len(h.normal), n_cv)
            for i, h in enumerate(self.setpoint_envelope)
        }
        if self.conformal is not None:
            lengths |= self.conformal.lengths(len(cost.blocks), n_cv, len(cost.features))
        for key, (got, wanted) in lengths.items():
            if got != wanted:
                raise ValueError(f"{key} has {got} entries, {wanted} are needed")

    def _check_features(self) -> None:
        cvs, mvs = {c.name for c in self.cvs}, {m.name for m in self.mvs}
        dvs = {d.name for d in self.dvs}
        allowed = {"value": cvs | dvs, "error": cvs, "move": mvs, "filter": cvs | dvs | mvs}
        features = [*self.policy.features, *self.cost.features]
        if self.baselines is not None:
            features += self.baselines.scalar.features
            features += [f for p in self.baselines.policies.values() for f in p.features]
            features += self.baselines.held.features if self.baselines.held else []
        for feature in features:
            if feature.source not in allowed[feature.kind]:
                raise ValueError(
                    f"feature of kind {feature.kind!r} reads {feature.source!r}, "
                    f"allowed: {sorted(allowed[feature.kind])}"
                )
            if feature.initial is not None:
                unknown = set(feature.initial.terms) - cvs - dvs - mvs
                if unknown:
                    raise ValueError(f"filter of {feature.source!r} starts from {sorted(unknown)}")

    def setpoint_in_envelope(self, setpoint: NDArray[np.float64]) -> str | None:
        """Why a setpoint (n_cv,) [CV units] cannot be tracked, or None if it can."""
        if not np.all(np.isfinite(setpoint)):
            return "setpoint is not finite"
        for cv, value in zip(self.cvs, setpoint, strict=True):
            if not cv.low <= value <= cv.high:
                return (
                    f"setpoint {cv.name} = {value:g} {cv.unit} is outside {cv.low:g}..{cv.high:g}"
                )
        for side in self.setpoint_envelope:
            if float(np.dot(side.normal, setpoint)) > side.limit:
                pairs = zip(self.cvs, setpoint, strict=True)
                words = ", ".join(f"{cv.name} = {value:g} {cv.unit}" for cv, value in pairs)
                return f"setpoint {words} lies outside the operating points of the training data"
        return None


def default_bundle() -> Path:
    """Directory of the bundle that ships with the package."""
    return Path(__file__).parents[1] / "artifacts" / "polymer-cstr"


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bundle_sha256(directory: Path) -> str:
    """Hex digest over the names and contents of all files of a bundle, in the order of names."""
    total = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        total.update(f"{path.name}\0{sha256(path)}\0".encode())
    return total.hexdigest()


def load_manifest(directory: Path) -> Manifest:
    """Read and check `manifest.json` and the hashes of the files that it names.

    Raises BundleError for a missing, malformed or inconsistent bundle.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"{path}: no such file; point [bundle] path at a directory that "
            "`trimtab-models train` wrote, or leave it out to use the bundle that ships"
        )
    try:
        manifest = Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError as error:
        raise BundleError(f"{path}: not UTF-8 text ({error}); restore the file") from error
    except json.JSONDecodeError as error:
        raise BundleError(f"{path}: not valid JSON ({error}); restore the file") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise BundleError(
            f"{path}: {key}: {first['msg']} (received {str(first.get('input'))[:80]!r}); "
            "restore the bundle or train it again"
        ) from error
    _check_files(directory, manifest)
    return manifest


def _check_files(directory: Path, manifest: Manifest) -> None:
    if WEIGHTS not in manifest.files:
        raise BundleError(f"{directory / MANIFEST}: files: {WEIGHTS!r} is missing")
    if manifest.baselines is not None and BASELINES not in manifest.files:
        raise BundleError(f"{directory / MANIFEST}: files: {BASELINES!r} is missing")
    for name, digest in manifest.files.items():
        path = directory / name
        if path.parent != directory or not path.is_file():
            raise BundleError(f"{path}: named in the manifest, but not there; restore the bundle")
        if sha256(path) != digest:
            raise BundleError(
                f"{path}: sha256 differs from the manifest's; the file is damaged or was "
                "exchanged: restore the bundle"
            )


def load_weights(directory: Path, name: str = WEIGHTS) -> dict[str, NDArray[np.float64]]:
    """Read the weights as float64 arrays; raise BundleError if unreadable or not finite."""
    from safetensors import SafetensorError  # noqa: PLC0415  # keeps `import models.bundle` light
    from safetensors.numpy import load_file  # noqa: PLC0415

    path = directory / name
    try:
        raw = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); restore the bundle") from error
    weights = {name: np.asarray(value, dtype=np.float64) for name, value in raw.items()}
    for tensor, value in weights.items():
        if not np.all(np.isfinite(value)):
            raise BundleError(f"{path}: {tensor}: holds values that are not finite; train again")
    return weights


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `manifest.json` whole or not at all."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, allow_nan=False)
    draft = directory / f".{MANIFEST}.draft"
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(directory / MANIFEST)


def horizon_ends(blocks: list[int]) -> list[int]:
    """Sample at which each block of moves ends, e.g. [1, 1, 2] -> [1, 2, 4]."""
    ends: list[int] = []
    for length in blocks:
        ends.append((ends[-1] if ends else 0) + length)
    return ends


def rounded(value: float, digits: int = 9) -> float:
    """Round to significant digits, so that a manifest reads well."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))
