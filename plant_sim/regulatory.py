"""The DCS's regulatory control: two PI loops and the high-temperature override above them.

Loops: polymer concentration -> initiator feed, temperature -> coolant temperature, both
u = bias + Kp e + Ki int(e) dt with e = setpoint - measurement. The integral is kept in units of
the output. Anti-windup is conditional integration: the integral stands still while the output is
saturated and the error would drive it further. A loop that is not in control tracks: when it
takes over, its integral is set so that its first output equals the actual output.
"""

from dataclasses import dataclass

import numpy as np

from plant_sim.lanes import Lanes, Mask, kernel_part, maximum, minimum, where
from plant_sim.reactor import F64

OVERRIDE_ON_K = 363.0
OVERRIDE_OFF_K = 360.0
OVERRIDE_OUTPUT = (0.0, 310.0)  # F_I [kg/h], T_c [K]
PUBLISHED_BIAS = (1.0, 345.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PiTuning:
    """Gains of the two loops, in the order (P -> F_I, T -> T_c).

    kp: [kg/h per kg/m3], [K/K].  ki: the same per second.  bias: [kg/h], [K].
    """

    kp: tuple[float, float]
    ki: tuple[float, float]
    bias: tuple[float, float] = PUBLISHED_BIAS

    def __post_init__(self) -> None:
        """Refuse gains that are no numbers, or negative: both loops are direct-gain."""
        for name, value in (("kp", self.kp), ("ki", self.ki)):
            if len(value) != 2 or not all(0.0 <= v < np.inf for v in value):
                raise ValueError(f"PiTuning.{name}: {value}; allowed: two finite numbers >= 0")
        if len(self.bias) != 2 or not np.all(np.isfinite(self.bias)):
            raise ValueError(f"PiTuning.bias: {self.bias}; allowed: two finite numbers")

    def array(self) -> F64:
        """(3, 2): kp, ki, bias."""
        return np.array([self.kp, self.ki, self.bias], dtype=np.float64)


DEFAULT_TUNING = PiTuning(kp=(0.0817, 1.442), ki=(2.91e-6, 5.58e-4))
"""A robust tuning: no episode of the three scenarios comes near the trip with it."""


def sample_published(rng: np.random.Generator, random_bias: bool = False) -> PiTuning:  # noqa: FBT001, FBT002
    """Draw gains from the ranges of arXiv 2507.22640, from which its data set was made.

    Kp from U(2e-4, 5e-3) and U(8e-3, 0.2), Ki from U(6e-8, 1.5e-6) and U(2e-6, 5e-5), bias
    (1.0, 345). With `random_bias` the bias comes from U(0.5, 2.0) kg/h and U(338, 348) K instead
    (ours), so that startups do not all begin with the same inputs.
    """
    kp = (float(rng.uniform(2e-4, 5e-3)), float(rng.uniform(8e-3, 0.2)))
    ki = (float(rng.uniform(6e-8, 1.5e-6)), float(rng.uniform(2e-6, 5e-5)))
    if not random_bias:
        return PiTuning(kp=kp, ki=ki)
    bias = (float(rng.uniform(0.5, 2.0)), float(rng.uniform(338.0, 348.0)))
    return PiTuning(kp=kp, ki=ki, bias=bias)


@kernel_part
def pi_step(  # noqa: PLR0917  (kernels take positional arguments only)
    error: Lanes,
    integral: Lanes,
    kp: Lanes,
    ki: Lanes,
    bias: Lanes,
    low: float,
    high: float,
    elapsed: float,
) -> tuple[Lanes, Lanes]:
    """Return the output, limited to [low, high], and the integral after `elapsed` seconds."""
    wanted = bias + kp * error + integral
    output = minimum(maximum(wanted, low), high)
    winding_up = ((wanted > high) & (error > 0.0)) | ((wanted < low) & (error < 0.0))
    return output, where(winding_up, integral, integral + ki * error * elapsed)


@kernel_part
def tracking_integral(actual: Lanes, error: Lanes, kp: Lanes, bias: Lanes) -> Lanes:
    """Return the integral with which the loop's output equals `actual`."""
    return actual - bias - kp * error


@kernel_part
def override_next(active: Mask, temperature: Lanes, on: Lanes, off: Lanes) -> Mask:
    """Whether the high-temperature override acts: on at `on`, off again below `off` [K]."""
    return (temperature >= on) | (active & (temperature > off))
