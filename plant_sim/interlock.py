"""The safety interlock: trips on high reactor temperature and stays tripped.

It stands in for a safety instrumented system: its own transmitter (the true temperature, no
noise), no rate limits on its outputs, latched until the plant is set up anew.
"""

from enum import StrEnum

from plant_sim.lanes import Lanes, Mask, kernel_part

TRIP_K = 368.0
TRIP_OUTPUT = (0.0, 300.0)  # F_I [kg/h], T_c [K]
HARD_LIMIT_K = 365.0  # judged inside the sample; strictly above is a violation


class TripCause(StrEnum):
    """What tripped the interlock first; empty while it has not."""

    NONE = ""
    HIGH_TEMPERATURE = "reactor temperature high-high"
    EMERGENCY_STOP = "emergency stop"


@kernel_part
def tripped_next(tripped: Mask, peak_temperature: Lanes) -> Mask:
    """Whether the interlock is tripped, given the highest temperature since it was last asked."""
    return tripped | (peak_temperature >= TRIP_K)
