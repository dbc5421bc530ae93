"""Error-controlled integration of the reactor over one step of constant inputs.

Dormand and Prince's embedded Runge-Kutta pair of orders 5 and 4 (J. Comput. Appl. Math. 6, 1980),
with the error measured against each component's own size: R is about 1e-6 mol/m3, so one absolute
tolerance for all components would not control it.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from plant_sim.arithmetic import Arithmetic, checked_arithmetic
from plant_sim.compiled import compiled
from plant_sim.lane_functions import absolute, by_arithmetic, inverse_fifth_root, sqrt
from plant_sim.lane_types import ONE, ONE_FAST, Kind
from plant_sim.lanes import (
    Lanes,
    any_of,
    kernel_part,
    load,
    maximum,
    minimum,
    number,
    split,
    store,
    where,
)
from plant_sim.reactor import F64, NOMINAL, Parameters, rates

RELATIVE_TOLERANCE = 1.0e-7  # local, of the 4th-order solution; the 5th-order one is kept
ABSOLUTE_FLOOR = 1.0e-30  # only so that a component that is and stays 0 is no division by 0
MAX_STEPS = 200_000  # a day at the stiffest point of a runaway needs fewer
FAST_RELATIVE_TOLERANCE = 5.0e-7  # of the fast arithmetic
FAST_FIRST_STEP_S = 60.0  # what the radicals allow in most states; others are found soon

_SAFETY = 0.9
_SHRINK_MOST = 0.2
_GROW_MOST = 5.0


@kernel_part
def interior_peak(t0: Lanes, t1: Lanes, slope0: Lanes, slope1: Lanes, h: Lanes) -> Lanes:
    """Largest value of the cubic Hermite interpolant over one step of length h."""
    peak = maximum(t0, t1)
    inside = (slope0 > 0.0) & (slope1 < 0.0)
    if any_of(inside):
        # derivative of the cubic is a + b s + c s^2 on s in [0, 1], positive at 0, negative at 1
        a = h * slope0
        b = 6.0 * (t1 - t0) - 4.0 * h * slope0 - 2.0 * h * slope1
        c = 3.0 * h * (slope0 + slope1) - 6.0 * (t1 - t0)
        s = 2.0 * a / (sqrt(maximum(b * b - 4.0 * a * c, 0.0)) - b)
        summit = t0 + s * (a + s * (0.5 * b + s * c / 3.0))
        peak = where(inside, maximum(peak, summit), peak)
    return peak


@kernel_part
def trial_step(  # noqa: PLR0917  (kernels take positional arguments only)
    x: Lanes, k1: Lanes, h: Lanes, feed: Lanes, coolant: Lanes, flow_feed: Lanes, p: Lanes
) -> tuple[Lanes, Lanes, Lanes]:
    """One step of length `h` from `x` with slope `k1`: new state, its slope, and the error.

    The error is the largest of the components' errors, as shares of what is tolerated.
    """
    k2 = rates(x + h * (1.0 / 5.0) * k1, feed, coolant, flow_feed, p)
    y = x + h * (3.0 / 40.0 * k1 + 9.0 / 40.0 * k2)
    k3 = rates(y, feed, coolant, flow_feed, p)
    y = x + h * (44.0 / 45.0 * k1 - 56.0 / 15.0 * k2 + 32.0 / 9.0 * k3)
    k4 = rates(y, feed, coolant, flow_feed, p)
    y = x + h * (
        19372.0 / 6561.0 * k1 - 25360.0 / 2187.0 * k2 + 64448.0 / 6561.0 * k3 - 212.0 / 729.0 * k4
    )
    k5 = rates(y, feed, coolant, flow_feed, p)
    y = x + h * (
        9017.0 / 3168.0 * k1
        - 355.0 / 33.0 * k2
        + 46732.0 / 5247.0 * k3
        + 49.0 / 176.0 * k4
        - 5103.0 / 18656.0 * k5
    )
    k6 = rates(y, feed, coolant, flow_feed, p)
    new = x + h * (
        35.0 / 384.0 * k1
        + 500.0 / 1113.0 * k3
        + 125.0 / 192.0 * k4
        - 2187.0 / 6784.0 * k5
        + 11.0 / 84.0 * k6
    )
    k7 = rates(new, feed, coolant, flow_feed, p)
    defect = h * (
        71.0 / 57600.0 * k1
        - 71.0 / 16695.0 * k3
        + 71.0 / 1920.0 * k4
        - 17253.0 / 339200.0 * k5
        + 22.0 / 525.0 * k6
        - 1.0 / 40.0 * k7
    )
    tolerance = by_arithmetic(h, RELATIVE_TOLERANCE, FAST_RELATIVE_TOLERANCE)
    scale = ABSOLUTE_FLOOR + tolerance * maximum(absolute(x), absolute(new))
    return new, k7, largest_error(absolute(defect) / scale, new)


@kernel_part
def largest_error(ratio: Lanes, new: Lanes) -> Lanes:
    """The largest of the five ratios, infinite for a state that is below 0."""
    # written so that nan (a trial state outside the physical range) counts as too large
    r, n = split(ratio), split(new)
    error = where(r[0] <= 0.0, 0.0, r[0])
    error = where(n[0] < 0.0, np.inf, error)
    error = where(r[1] <= error, error, r[1])
    error = where(n[1] < 0.0, np.inf, error)
    error = where(r[2] <= error, error, r[2])
    error = where(n[2] < 0.0, np.inf, error)
    error = where(r[3] <= error, error, r[3])
    error = where(n[3] < 0.0, np.inf, error)
    error = where(r[4] <= error, error, r[4])
    return where(n[4] < 0.0, np.inf, error)


@kernel_part
def integrate(  # noqa: PLR0917
    x: Lanes,
    feed: Lanes,
    coolant: Lanes,
    flow_feed: Lanes,
    dt: float,
    p: Lanes,
    wanted: Lanes,
) -> tuple[Lanes, Lanes]:
    """State after `dt` seconds and highest temperature on the way, of the lanes with wanted > 0.

    Every lane has its own step size. The peak is nan where the step budget ran out; the state is
    as far as it came.
    """
    k1 = rates(x, feed, coolant, flow_feed, p)
    going = wanted > 0.0
    peak = split(x)[4]
    t = 0.0 * wanted
    h = t + min(dt, by_arithmetic(t, np.inf, FAST_FIRST_STEP_S))
    for _ in range(MAX_STEPS):
        last = t + h >= dt
        h = where(last, dt - t, h)
        new, k7, error = trial_step(x, k1, h, feed, coolant, flow_feed, p)
        accepted = going & (error <= 1.0)
        before, after = split(x)[4], split(new)[4]
        summit = interior_peak(before, after, split(k1)[4], split(k7)[4], h)
        peak = where(accepted, maximum(peak, summit), peak)
        x = where(accepted, new, x)
        k1 = where(accepted, k7, k1)
        going = going & (not (accepted & last))
        if not any_of(going):
            return x, peak
        t = where(accepted, t + h, t)
        # 0 gives the most growth; infinity, and nan, the most shrinking
        change = maximum(_SHRINK_MOST, _SAFETY * inverse_fifth_root(error))
        h = h * minimum(_GROW_MOST, change)
    return x, where(going, np.nan, peak)


@cache
def in_place(kind: Kind) -> Callable[[F64, F64, float, F64], float]:
    """Compile `advance_in_place` for lanes of `kind`, one wide."""

    @compiled("float64(float64[::1], float64[::1], float64, float64[::1])")
    def advance_in_place(x: F64, inputs: F64, dt: float, p: F64) -> float:
        feed, coolant, flow_feed = split(load(inputs, 0, 3, kind))
        before, parameters = load(x, 0, 5, kind), load(p, 0, 6, kind)
        wanted = 0.0 * feed + 1.0
        after, peak = integrate(before, feed, coolant, flow_feed, dt, parameters, wanted)
        store(x, 0, after)
        return float(number(peak))

    return advance_in_place


advance_in_place = in_place(ONE)
"""Integrate x (5,) over dt seconds in place; return the highest temperature on the way [K].

Takes x, inputs (3,): feed, coolant, feed counted in the flow; dt; p (6,) as `Parameters.array`.
Returns nan, with `x` as far as it came, when the step budget ran out.
"""


class IntegrationError(RuntimeError):
    """The integrator could not cover the step; the state given to it was not a physical one."""


def advance(
    x: ArrayLike,
    u: ArrayLike,
    dt: float,
    parameters: Parameters = NOMINAL,
    *,
    flow_feed: float | None = None,
    arithmetic: str = Arithmetic.EXACT,
) -> tuple[F64, float]:
    """Advance the reactor by `dt` seconds under constant inputs.

    x: (5,) A, I [kg/m3], R [mol/m3], P [kg/m3], T [K].  u: (2,) F_I [kg/h], T_c [K].
    flow_feed: initiator feed counted in the total flow [kg/h], `u[0]` unless given.
    arithmetic: see `Arithmetic`.
    Returns the next state (5,) and the highest temperature inside the step [K].
    Raises `IntegrationError` when the step budget does not suffice, ValueError for an arithmetic
    that is none.
    """
    after = np.array(x, dtype=np.float64)
    feed, coolant = np.asarray(u, dtype=np.float64).tolist()
    flow = feed if flow_feed is None else float(flow_feed)
    inputs = np.array([feed, coolant, flow])
    kind = ONE_FAST if checked_arithmetic(arithmetic) is Arithmetic.FAST else ONE
    peak = in_place(kind)(after, inputs, float(dt), parameters.array())
    if not np.isfinite(peak):
        raise IntegrationError(f"no solution over {dt} s from x = {np.asarray(x).tolist()}")
    return after, peak
