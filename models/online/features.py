"""Features of the networks, computed the same way in training and on line.

A feature is one line of the manifest (`models.bundle.Feature`). Filters are first-order in
elapsed plant time, never in a nominal step, so a late or missed scan does not bend them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.bundle import Controlled, Feature, Signal

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSample:
    """One instant of the process, in the order and the units of the manifest.

    plant_time_s: the plant's clock [s]. cv, sp: (n_cv,). mv: (n_mv,) the values in force at
    the plant, not the targets. dv: (n_dv,).
    """

    plant_time_s: float
    cv: F64
    sp: F64
    mv: F64
    dv: F64


class Tagged(Protocol):
    """Whatever lists the tags of a plant: a manifest or a recipe."""

    @property
    def cvs(self) -> Sequence[Controlled]: ...  # noqa: D102
    @property
    def mvs(self) -> Sequence[Signal]: ...  # noqa: D102
    @property
    def dvs(self) -> Sequence[Signal]: ...  # noqa: D102


def value_names(tags: Tagged) -> list[str]:
    """Names of the values a feature may read, in the order of `values`."""
    return [tag.name for tag in (*tags.cvs, *tags.dvs, *tags.mvs)]


def values(sample: ProcessSample) -> F64:
    """CVs, DVs and MVs of one instant as one vector (n_cv + n_dv + n_mv,)."""
    return np.concatenate((sample.cv, sample.dv, sample.mv))


class FeatureMap:
    """A list of features, compiled against the order of a manifest."""

    def __init__(self, features: Sequence[Feature], tags: Tagged) -> None:
        names = value_names(tags)
        cvs = [cv.name for cv in tags.cvs]
        self.features = tuple(features)
        kinds = [f.kind for f in features]
        sources = [f.source for f in features]
        self._filters = [i for i, kind in enumerate(kinds) if kind == "filter"]
        self._filter_source = [names.index(sources[i]) for i in self._filters]
        self._offset = np.array([f.offset for f in features])
        self._scale = np.array([f.scale for f in features])
        self._clip = np.array([math.inf if f.clip is None else f.clip for f in features])
        self._tau = np.array([features[i].time_constant_s or math.inf for i in self._filters])
        self._start = [_start_row(features[i], names) for i in self._filters]
        # Where each feature stands among values, errors and filters, one after the other.
        place = {("error", name): len(names) + i for i, name in enumerate(cvs)}
        place |= {(kind, name): i for i, name in enumerate(names) for kind in ("value", "move")}
        filters = iter(range(len(names) + len(cvs), len(names) + len(cvs) + len(self._filters)))
        self._order = np.array(
            [
                next(filters) if kind == "filter" else place[kind, source]
                for kind, source in zip(kinds, sources, strict=True)
            ],
            dtype=np.intp,
        )

    @property
    def n_filters(self) -> int:
        """How many of the features are filters."""
        return len(self._filters)

    def start_filters(self, now: F64) -> F64:
        """First filter states (n_filters,) from the values (n_values,) of the first instant."""
        return np.array(
            [min(max(constant + float(row @ now), lo), hi) for constant, row, lo, hi in self._start]
        )

    def step_filters(self, state: F64, now: F64, elapsed_s: float) -> F64:
        """Filter states after `elapsed_s` of plant time with the inputs held at `now`."""
        share = -np.expm1(-elapsed_s / self._tau)
        stepped: F64 = state + share * (now[..., self._filter_source] - state)
        return stepped

    def vector(self, now: F64, error: F64, filters: F64) -> F64:
        """Scaled features (..., n_features) of one instant or many.

        now: (..., n_values), error: (..., n_cv) SP - PV, filters: (..., n_filters).
        """
        raw = np.concatenate((now, error, filters), axis=-1)[..., self._order]
        scaled: F64 = (raw - self._offset) / self._scale
        np.maximum(scaled, -self._clip, out=scaled)
        np.minimum(scaled, self._clip, out=scaled)
        return scaled


def _start_row(feature: Feature, names: list[str]) -> tuple[float, F64, float, float]:
    """Constant, coefficients over the values, and limits of a filter's first state."""
    row = np.zeros(len(names))
    start = feature.initial
    if start is None:
        raise ValueError(f"filter of {feature.source!r} has no initial value")
    for name, coefficient in start.terms.items():
        row[names.index(name)] = coefficient
    return start.constant, row, start.low, start.high
