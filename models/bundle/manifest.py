"""The manifest of a bundle: everything the runtime needs to know of a plant and its networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from models.bundle.conformal import Conformal
from models.bundle.fields import Frozen, Positive
from models.bundle.sections import (
    Baselines,
    Controlled,
    DataCheck,
    HalfPlane,
    Policy,
    SequenceCost,
    Signal,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
