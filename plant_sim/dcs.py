"""Everything that happens inside a plant step, every 10 s of plant time.

Order within a scan: the loops' outputs (PI, remote target or manual), the high-temperature
override, the interlock, the actuators, then the reactor.
"""

import numpy as np
from numpy.typing import NDArray

from plant_sim.compiled import compiled
from plant_sim.integrate import integrate
from plant_sim.interlock import TRIP_OUTPUT, tripped_next
from plant_sim.lane_functions import exp
from plant_sim.lane_types import ONE, Kind
from plant_sim.lanes import (
    Lanes,
    Mask,
    any_of,
    kernel_part,
    load,
    maximum,
    minimum,
    split,
    store,
    where,
)
from plant_sim.reactor import F64, INPUT_HIGH, INPUT_LOW
from plant_sim.regulatory import OVERRIDE_OUTPUT, override_next, pi_step, tracking_integral

I64 = NDArray[np.int64]

SCAN_S = 10.0
MAN, AUTO, RCAS = 0.0, 1.0, 2.0  # numbers of the modes, as the kernels hold them
FLAGS = ("pi_in_control_feed", "pi_in_control_coolant", "override", "tripped")
SUMMARY = ("peak_T", "mean_feed", "mean_coolant", "override_s")

_OVERRIDE_FEED, _OVERRIDE_COOLANT = OVERRIDE_OUTPUT
_TRIP_FEED, _TRIP_COOLANT = TRIP_OUTPUT

# Rows of the scratch in which plants lie side by side, each row as wide as the kernel's lanes.
_STATE, _ACTUAL, _INTEGRAL, _FLAGS, _OUT = 0, 5, 7, 9, 13
WANTED, NOISE = 17, 18  # whether the lane has a plant with a solution; noise on P and T now
_MODES, _COMMAND, _TUNING, _SETTINGS, _PARAMETERS = 20, 22, 30, 36, 45
SCRATCH_ROWS = 57


@kernel_part
def enter(  # noqa: PLR0917  (kernels take positional arguments only)
    cell: F64,
    width: int,
    lane: int,
    x: F64,
    actual: F64,
    integral: F64,
    flags: I64,
    modes: I64,
    command: F64,
    tuning: F64,
    settings: F64,
    p: F64,
) -> None:
    """Put a plant into a lane of the scratch, as a plant that is wanted."""
    for k in range(5):
        cell[(_STATE + k) * width + lane] = x[k]
    for k in range(4):
        cell[(_FLAGS + k) * width + lane] = flags[k]
        cell[(_OUT + k) * width + lane] = 0.0
    cell[_OUT * width + lane] = x[4]
    for i in range(2):
        cell[(_ACTUAL + i) * width + lane] = actual[i]
        cell[(_INTEGRAL + i) * width + lane] = integral[i]
        cell[(_MODES + i) * width + lane] = modes[i]
        for k in range(4):
            cell[(_COMMAND + 2 * k + i) * width + lane] = command[k, i]
        for k in range(3):
            cell[(_TUNING + 2 * k + i) * width + lane] = tuning[k, i]
        for k in range(6):
            cell[(_PARAMETERS + 6 * i + k) * width + lane] = p[i, k]
    for k in range(9):
        cell[(_SETTINGS + k) * width + lane] = settings[k]
    cell[WANTED * width + lane] = 1.0


@kernel_part
def leave(  # noqa: PLR0917
    cell: F64, width: int, lane: int, x: F64, actual: F64, integral: F64, flags: I64, out: F64
) -> bool:
    """Write back what scans changed of a plant; returns whether it had a solution throughout."""
    for k in range(5):
        x[k] = cell[(_STATE + k) * width + lane]
    for i in range(2):
        actual[i] = cell[(_ACTUAL + i) * width + lane]
        integral[i] = cell[(_INTEGRAL + i) * width + lane]
    for k in range(4):
        flags[k] = 1 if cell[(_FLAGS + k) * width + lane] > 0.0 else 0
        out[k] = cell[(_OUT + k) * width + lane]
    return bool(cell[WANTED * width + lane] > 0.0)


@kernel_part
def loop_output(  # noqa: PLR0917
    error: Lanes,
    integral: Lanes,
    tracks: Mask,
    mode: Lanes,
    target: Lanes,
    manual: Lanes,
    kp: Lanes,
    ki: Lanes,
    bias: Lanes,
    actual: Lanes,
    low: float,
    high: float,
    dt: float,
) -> tuple[Lanes, Lanes, Mask]:
    """What a loop demands, its integral after `dt` seconds, and whether its PI is in control."""
    integral = where(tracks, tracking_integral(actual, error, kp, bias), integral)
    output, after = pi_step(error, integral, kp, ki, bias, low, high, dt)
    chosen = minimum(maximum(where(mode >= RCAS, target, manual), low), high)
    automatic = (mode >= AUTO) & (mode < RCAS)
    return where(automatic, output, chosen), where(automatic, after, integral), automatic


@kernel_part
def actuate(actual: Lanes, demand: Lanes, lag_s: Lanes, rate_per_s: Lanes, elapsed: float) -> Lanes:
    """Actuator output after `elapsed` seconds: first-order lag within a rate limit."""
    move = demand - actual
    if any_of(lag_s > 0.0):
        move = where(lag_s > 0.0, move * (1.0 - exp(-elapsed / lag_s)), move)
    reach = rate_per_s * elapsed
    return actual + minimum(maximum(move, 0.0 - reach), reach)


@kernel_part
def run_scan(  # noqa: PLR0917
    kind: Kind, width: int, cell: F64, elapsed: float, dt: float, total: float
) -> None:
    """One scan of `dt` seconds, `elapsed` seconds into a step of `total`, in all lanes."""
    x = load(cell, _STATE * width, 5, kind)
    feed, coolant = split(load(cell, _ACTUAL * width, 2, kind))
    integral_feed, integral_coolant = split(load(cell, _INTEGRAL * width, 2, kind))
    feed_flag, coolant_flag, override_flag, tripped_flag = split(
        load(cell, _FLAGS * width, 4, kind)
    )
    start, _, disturbed_at, on, off, lag, rate_feed, rate_coolant, lagged_feed = split(
        load(cell, _SETTINGS * width, 9, kind)
    )
    measured = split(load(cell, NOISE * width, 2, kind))
    mode = split(load(cell, _MODES * width, 2, kind))
    setpoint_P, setpoint_T, target_0, target_1, manual_0, manual_1, offset_0, offset_1 = split(
        load(cell, _COMMAND * width, 8, kind)
    )
    kp_0, kp_1, ki_0, ki_1, bias_0, bias_1 = split(load(cell, _TUNING * width, 6, kind))
    _, _, _, P, T = split(x)

    demand_feed, integral_feed, feed_automatic = loop_output(
        setpoint_P - (P + measured[0]),
        integral_feed,
        feed_flag <= 0.0,
        mode[0],
        target_0,
        manual_0,
        kp_0,
        ki_0,
        bias_0 + offset_0,
        feed,
        INPUT_LOW[0],
        INPUT_HIGH[0],
        dt,
    )
    demand_coolant, integral_coolant, coolant_automatic = loop_output(
        setpoint_T - (T + measured[1]),
        integral_coolant,
        coolant_flag <= 0.0,
        mode[1],
        target_1,
        manual_1,
        kp_1,
        ki_1,
        bias_1 + offset_1,
        coolant,
        INPUT_LOW[1],
        INPUT_HIGH[1],
        dt,
    )
    tripped = tripped_next(tripped_flag > 0.0, T)
    override = override_next(override_flag > 0.0, T, on, off) & (not tripped)
    acting = override | tripped
    demand_feed = where(override, _OVERRIDE_FEED, where(tripped, _TRIP_FEED, demand_feed))
    demand_coolant = where(
        override, _OVERRIDE_COOLANT, where(tripped, _TRIP_COOLANT, demand_coolant)
    )
    feed = actuate(feed, demand_feed, lag, where(acting, np.inf, rate_feed), dt)
    coolant = actuate(coolant, demand_coolant, lag, where(acting, np.inf, rate_coolant), dt)

    before, after = (
        load(cell, _PARAMETERS * width, 6, kind),
        load(cell, (_PARAMETERS + 6) * width, 6, kind),
    )
    p = where(start + elapsed >= disturbed_at, after, before)
    flow_feed = where(lagged_feed >= 0.0, lagged_feed, feed)  # nan: not lagged
    wanted = load(cell, WANTED * width, 1, kind)
    x, peak = integrate(x, feed, coolant, flow_feed, dt, p, wanted)

    zero = 0.0 * wanted
    highest, mean_feed, mean_coolant, override_s = split(load(cell, _OUT * width, 4, kind))
    store(cell, _STATE * width, x)
    store(cell, WANTED * width, where(peak >= 0.0, wanted, zero))  # nan: no solution
    store(cell, _ACTUAL * width, feed)
    store(cell, (_ACTUAL + 1) * width, coolant)
    store(cell, _INTEGRAL * width, integral_feed)
    store(cell, (_INTEGRAL + 1) * width, integral_coolant)
    store(cell, _FLAGS * width, where(feed_automatic & (not acting), 1.0, zero))
    store(cell, (_FLAGS + 1) * width, where(coolant_automatic & (not acting), 1.0, zero))
    store(cell, (_FLAGS + 2) * width, where(override, 1.0, zero))
    store(cell, (_FLAGS + 3) * width, where(tripped_next(tripped, peak), 1.0, zero))
    store(cell, _OUT * width, maximum(highest, peak))
    store(cell, (_OUT + 1) * width, mean_feed + feed * dt / total)
    store(cell, (_OUT + 2) * width, mean_coolant + coolant * dt / total)
    store(cell, (_OUT + 3) * width, where(override, override_s + dt, override_s))


@compiled(
    "boolean(float64[::1], float64[::1], float64[::1], int64[::1], int64[::1], float64[:, ::1],"
    " float64[:, ::1], float64[::1], float64[:, ::1], float64[:, ::1], float64[::1])"
)
def run_scans(  # noqa: PLR0917
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
    total, scans = settings[1], noise.shape[0] - 1
    cell = np.empty(SCRATCH_ROWS)
    enter(cell, 1, 0, x, actual, integral, flags, modes, command, tuning, settings, p)
    for scan in range(scans):
        elapsed = SCAN_S * scan
        cell[NOISE], cell[NOISE + 1] = noise[scan, 1], noise[scan, 2]
        run_scan(ONE, 1, cell, elapsed, SCAN_S if scan < scans - 1 else total - elapsed, total)
    return leave(cell, 1, 0, x, actual, integral, flags, out)
