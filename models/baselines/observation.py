"""What a pilot sees of the environment, as the networks of a bundle take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.online.features import FeatureMap, ProcessSample, values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.recipe import Source

    F64 = NDArray[np.float64]


def sample_of(manifest: Manifest, source: Source, seen: F64, info: dict[str, Any]) -> ProcessSample:
    """One sample of the environment in the order and the units of the manifest."""
    at = source.observation
    return ProcessSample(
        plant_time_s=float(info["time_s"]),
        cv=seen[[at[cv.name] for cv in manifest.cvs]],
        sp=seen[[source.setpoints[cv.name] for cv in manifest.cvs]],
        mv=np.asarray(info["actual"], dtype=np.float64),
        dv=seen[[at[dv.name] for dv in manifest.dvs]],
    )


def stepped_features(
    compiled: FeatureMap, sample: ProcessSample, filters: F64 | None, elapsed: float
) -> tuple[F64, F64]:
    """Filters (None: the first sample) brought to this sample, and the features."""
    now = values(sample)
    if filters is None:
        filters = compiled.start_filters(now)
    else:
        filters = compiled.step_filters(filters, now, elapsed)
    return filters, compiled.vector(now, sample.sp - sample.cv, filters)
