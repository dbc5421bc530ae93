"""One compiled loop for everything that happens inside a plant step, every 10 s of plant time.

Order within a scan: the loops' outputs (PI, remote target or manual), the high-temperature
override, the interlock, the actuators, then the reactor.
"""

import numpy as np
from numpy.typing import NDArray

from plant_sim.compiled import compiled
from plant_sim.integrate import advance_in_place
from plant_sim.interlock import TRIP_OUTPUT, tripped_next
from plant_sim.lanes import kernel_part
from plant_sim.reactor import F64, INPUT_HIGH, INPUT_LOW
from plant_sim.regulatory import OVERRIDE_OUTPUT, override_next, pi_step, tracking_integral

I64 = NDArray[np.int64]

SCAN_S = 10.0
MAN, AUTO, RCAS = 0, 1, 2
FLAGS = ("pi_in_control_feed", "pi_in_control_coolant", "override", "tripped")
SUMMARY = ("peak_T", "mean_feed", "mean_coolant", "override_s")

_LOW_FEED, _LOW_COOLANT = INPUT_LOW
_HIGH_FEED, _HIGH_COOLANT = INPUT_HIGH
_OVERRIDE_FEED, _OVERRIDE_COOLANT = OVERRIDE_OUTPUT
_TRIP_FEED, _TRIP_COOLANT = TRIP_OUTPUT


@compiled("float64(float64, float64, float64, float64, float64)")
def actuate(actual: float, demand: float, lag_s: float, rate_per_s: float, elapsed: float) -> float:
    """Actuator output after `elapsed` seconds: first-order lag within a rate limit."""
    move = demand - actual
    if lag_s > 0.0:
        move *= 1.0 - np.exp(-elapsed / lag_s)
    reach = rate_per_s * elapsed
    return float(actual + min(max(move, -reach), reach))


@kernel_part
def regulate(  # noqa: PLR0917  (kernels take positional arguments only)
    T: float,
    measured: tuple[float, float],
    dt: float,
    actual: F64,
    integral: F64,
    flags: I64,
    modes: I64,
    command: F64,
    tuning: F64,
    settings: F64,
) -> None:
    """One scan of the DCS for the `dt` seconds to come; `actual`, `integral`, `flags` are updated.

    T: true temperature [K]. measured: P [kg/m3], T [K]. The rest as of `run_scans`.
    """
    demand_feed = demand_coolant = 0.0
    for i in range(2):
        error = command[0, i] - measured[i]
        bias = tuning[2, i] + command[3, i]
        if flags[i] == 0:
            integral[i] = tracking_integral(actual[i], error, tuning[0, i], bias)
        flags[i] = modes[i] == AUTO
        low, high = (_LOW_FEED, _HIGH_FEED) if i == 0 else (_LOW_COOLANT, _HIGH_COOLANT)
        if modes[i] == AUTO:
            demand, integral[i] = pi_step(
                error, integral[i], tuning[0, i], tuning[1, i], bias, low, high, dt
            )
        else:
            chosen = command[1, i] if modes[i] == RCAS else command[2, i]
            demand = min(max(chosen, low), high)
        if i == 0:
            demand_feed = demand
        else:
            demand_coolant = demand
    tripped = tripped_next(flags[3] != 0, T)
    override = override_next(flags[2] != 0, T, settings[3], settings[4]) and not tripped
    rate_feed, rate_coolant = settings[6], settings[7]
    if override or tripped:
        demand_feed = _TRIP_FEED if tripped else _OVERRIDE_FEED
        demand_coolant = _TRIP_COOLANT if tripped else _OVERRIDE_COOLANT
        flags[0] = flags[1] = 0
        rate_feed = rate_coolant = np.inf
    actual[0] = actuate(actual[0], demand_feed, settings[5], rate_feed, dt)
    actual[1] = actuate(actual[1], demand_coolant, settings[5], rate_coolant, dt)
    flags[2] = override
    flags[3] = tripped


@kernel_part
def tally(  # noqa: PLR0917
    peak: float, dt: float, total: float, actual: F64, flags: I64, out: F64
) -> None:
    """Add a scan of `dt` seconds to the summary `out` of a step, and let the interlock judge."""
    out[0] = max(out[0], peak)
    out[1] += actual[0] * dt / total
    out[2] += actual[1] * dt / total
    out[3] += dt if flags[2] != 0 else 0.0
    flags[3] = tripped_next(flags[3] != 0, peak)


@compiled(
    "boolean(float64[::1], float64[::1], float64[::1], int64[::1], int64[::1], float64[:, ::1],"
    " float64[:, ::1], float64[::1], float64[:, ::1], float64[:, ::1], float64[::1])"
)
def run_scans(  # noqa: PLR0917  (kernels take positional arguments only)
    x: F64,
    actual: F64,
    integral: F64,
    flags: I64,
    modes: I64,
    command: F64,
    tuning: F64,
    settings: F64,
    p: F64,
    noise: F64,
    out: F64,
) -> bool:
    """Run the DCS and the reactor over one plant step; the first four arguments are updated.

    x (5,), actual (2,), integral (2,), flags (4,) see `FLAGS`, modes (2,) 0 MAN 1 AUTO 2 RCAS.
    command (4, 2): setpoint, target, manual output, offset added to the PI's output.
    tuning (3, 2): kp, ki, bias.
    settings (9,): time, length of the step, time of the disturbance [s], override on and off [K],
    actuator lag [s], actuator rates [kg/h s, K/s], feed counted in the flow (nan: the present one).
    p (2, 6): parameters before and after the disturbance.
    noise (n + 1, 3): measurement noise on A, P, T at the n scan times and at the end.
    out (4,): filled, see `SUMMARY`.  Returns False when the integrator failed.
    """
    start, total, disturbed_at = settings[:3]
    scans = noise.shape[0] - 1
    out[0] = x[4]
    out[1:] = 0.0
    inputs = np.empty(3)
    for scan in range(scans):
        elapsed = SCAN_S * scan
        dt = SCAN_S if scan < scans - 1 else total - elapsed
        measured = (x[3] + noise[scan, 1], x[4] + noise[scan, 2])
        regulate(x[4], measured, dt, actual, integral, flags, modes, command, tuning, settings)
        inputs[0], inputs[1] = actual[0], actual[1]
        inputs[2] = actual[0] if np.isnan(settings[8]) else settings[8]
        phase = 1 if start + elapsed >= disturbed_at else 0
        peak = advance_in_place(x, inputs, dt, p[phase])
        if not np.isfinite(peak):
            return False
        tally(peak, dt, total, actual, flags, out)
    return True
