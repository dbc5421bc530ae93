"""From readings to what the model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from controller.core.types import vector
from models.runtime import AdviceRequest, ProcessSample

if TYPE_CHECKING:
    from controller.core.box import Box
    from controller.core.types import F64, Readings


def observe(readings: Readings) -> ProcessSample:
    """The process at this instant, in the manifest's order and units.

    MVs are the values in force at the plant (Actual), never the targets.  Plant time comes with
    the sample, so that whoever filters or integrates uses elapsed time.
    """
    return ProcessSample(
        plant_time_s=readings.plant_time_s,
        cv=readings.cv,
        sp=readings.sp,
        mv=readings.mv,
        dv=readings.dv,
    )


def advice_request(
    readings: Readings, box: Box, *, freeze: bool, policy_move: F64 | None = None
) -> AdviceRequest:
    """The question of one scan.

    freeze: the integrators stand still, because this controller is not in command, holds or waits
    for the DCS to follow; they
    also do while the plant initialises an MV.  Later moves are bound by the limits alone; an MV
    that does not follow stays where it is in all of them.
    policy_move: (n_mv,) a foreign policy's move; None asks the bundle's own.
    """
    limits = readings.limits
    return AdviceRequest(
        sample=observe(readings),
        low=box.low,
        high=box.high,
        range_low=vector(np.where(readings.available, limits.low, box.low)),
        range_high=vector(np.where(readings.available, limits.high, box.high)),
        windup_low=readings.windup_low,
        windup_high=readings.windup_high,
        freeze=freeze or bool(readings.init.any()),
        policy_move=policy_move,
    )
