"""The model's first answers, given before the plant is touched: no scan pays for a first time.

The first call touches every weight and every page of the code it needs. What it says is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from controller.core.types import vector
from models.runtime import AdviceRequest, ProcessSample

if TYPE_CHECKING:
    from controller.advisor import Model
    from models.bundle import Manifest

_ANSWERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """Wall seconds of the first answer, and of the fastest of those after it."""

    first_s: float
    then_s: float


def middle(manifest: Manifest) -> ProcessSample:
    """An instant at the middle of every range, its setpoints those of its CVs."""
    cvs, mvs, dvs = (
        vector((entry.low + entry.high) / 2.0 for entry in entries)
        for entries in (manifest.cvs, manifest.mvs, manifest.dvs)
    )
    return ProcessSample(plant_time_s=0.0, cv=cvs, sp=cvs, mv=mvs, dv=dvs)


def warm_up(model: Model) -> WarmUp:
    """Ask the model a few times about the middle of every range; its memory is thrown away."""
    manifest = model.manifest
    low = vector(mv.low for mv in manifest.mvs)
    high = vector(mv.high for mv in manifest.mvs)
    nowhere = np.zeros(len(manifest.mvs), dtype=np.bool_)
    request = AdviceRequest(
        sample=middle(manifest),
        low=low,
        high=high,
        range_low=low,
        range_high=high,
        windup_low=nowhere,
        windup_high=nowhere,
        freeze=True,
    )
    memory, seconds = model.initial_memory(), []
    for _ in range(_ANSWERS):
        begin = perf_counter()
        _, memory = model.advise(request, memory)
        seconds.append(perf_counter() - begin)
    return WarmUp(first_s=seconds[0], then_s=min(seconds[1:]))
