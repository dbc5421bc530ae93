"""Error-controlled integration of the reactor over one step of constant inputs.

Dormand and Prince's embedded Runge-Kutta pair of orders 5 and 4 (J. Comput. Appl. Math. 6, 1980),
with the error measured against each component's own size: R is about 1e-6 mol/m3, so one absolute
tolerance for all components would not control it.
"""

import numpy as np
from numpy.typing import ArrayLike

from plant_sim.compiled import compiled
from plant_sim.reactor import F64, NOMINAL, Parameters, derivative

RELATIVE_TOLERANCE = 1.0e-7  # local, of the 4th-order solution; the 5th-order one is kept
ABSOLUTE_FLOOR = 1.0e-30  # only so that a component that is and stays 0 is no division by 0
MAX_STEPS = 200_000  # a day at the stiffest point of a runaway needs fewer
WORKSPACE_SHAPE = (9, 5)

_SAFETY = 0.9
_SHRINK_MOST = 0.2
_GROW_MOST = 5.0

_SIGNATURE = (
    "float64(float64[::1], float64, float64, float64, float64, float64[::1], float64[:, ::1])"
)


@compiled("float64(float64, float64, float64, float64, float64)")
def interior_peak(t0: float, t1: float, slope0: float, slope1: float, h: float) -> float:
    """Largest value of the cubic Hermite interpolant over one step of length h."""
    peak = max(t0, t1)
    if slope0 > 0.0 and slope1 < 0.0:
        # derivative of the cubic is a + b s + c s^2 on s in [0, 1], positive at 0, negative at 1
        a = h * slope0
        b = 6.0 * (t1 - t0) - 4.0 * h * slope0 - 2.0 * h * slope1
        c = 3.0 * h * (slope0 + slope1) - 6.0 * (t1 - t0)
        s = 2.0 * a / (-b + np.sqrt(max(b * b - 4.0 * a * c, 0.0)))
        peak = max(peak, t0 + s * (a + s * (0.5 * b + s * c / 3.0)))
    return float(peak)


@compiled(_SIGNATURE)
def advance_in_place(  # noqa: C901, PLR0912, PLR0917  (one loop, no calls in the way of LLVM)
    x: F64, feed: float, coolant: float, flow_feed: float, dt: float, p: F64, work: F64
) -> float:
    """Integrate `x` over `dt` seconds in place; return the highest temperature on the way [K].

    Returns nan, with `x` as far as it came, when the step budget ran out.
    """
    k1, k2, k3, k4, k5, k6, k7 = work[0], work[1], work[2], work[3], work[4], work[5], work[6]
    y, new = work[7], work[8]
    peak = float(x[4])
    t = 0.0
    h = dt
    derivative(x, feed, coolant, flow_feed, p, k1)
    for _ in range(MAX_STEPS):
        last = t + h >= dt
        if last:
            h = dt - t
        for i in range(5):
            y[i] = x[i] + h * (1.0 / 5.0) * k1[i]
        derivative(y, feed, coolant, flow_feed, p, k2)
        for i in range(5):
            y[i] = x[i] + h * (3.0 / 40.0 * k1[i] + 9.0 / 40.0 * k2[i])
        derivative(y, feed, coolant, flow_feed, p, k3)
        for i in range(5):
            y[i] = x[i] + h * (44.0 / 45.0 * k1[i] - 56.0 / 15.0 * k2[i] + 32.0 / 9.0 * k3[i])
        derivative(y, feed, coolant, flow_feed, p, k4)
        for i in range(5):
            y[i] = x[i] + h * (
                19372.0 / 6561.0 * k1[i]
                - 25360.0 / 2187.0 * k2[i]
                + 64448.0 / 6561.0 * k3[i]
                - 212.0 / 729.0 * k4[i]
            )
        derivative(y, feed, coolant, flow_feed, p, k5)
        for i in range(5):
            y[i] = x[i] + h * (
                9017.0 / 3168.0 * k1[i]
                - 355.0 / 33.0 * k2[i]
                + 46732.0 / 5247.0 * k3[i]
                + 49.0 / 176.0 * k4[i]
                - 5103.0 / 18656.0 * k5[i]
            )
        derivative(y, feed, coolant, flow_feed, p, k6)
        for i in range(5):
            new[i] = x[i] + h * (
                35.0 / 384.0 * k1[i]
                + 500.0 / 1113.0 * k3[i]
                + 125.0 / 192.0 * k4[i]
                - 2187.0 / 6784.0 * k5[i]
                + 11.0 / 84.0 * k6[i]
            )
        derivative(new, feed, coolant, flow_feed, p, k7)
        error = 0.0
        for i in range(5):
            defect = h * (
                71.0 / 57600.0 * k1[i]
                - 71.0 / 16695.0 * k3[i]
                + 71.0 / 1920.0 * k4[i]
                - 17253.0 / 339200.0 * k5[i]
                + 22.0 / 525.0 * k6[i]
                - 1.0 / 40.0 * k7[i]
            )
            scale = ABSOLUTE_FLOOR + RELATIVE_TOLERANCE * max(abs(x[i]), abs(new[i]))
            ratio = abs(defect) / scale
            # written so that nan (a trial state outside the physical range) counts as too large
            if not ratio <= error:
                error = ratio
            if new[i] < 0.0:
                error = np.inf
        if error <= 1.0:
            peak = max(peak, interior_peak(x[4], new[4], k1[4], k7[4], h))
            for i in range(5):
                x[i] = new[i]
                k1[i] = k7[i]
            if last:
                return peak
            t += h
        if error == 0.0:
            h *= _GROW_MOST
        elif error < np.inf:
            h *= min(_GROW_MOST, max(_SHRINK_MOST, _SAFETY * error**-0.2))
        else:
            h *= _SHRINK_MOST
    return np.nan


class IntegrationError(RuntimeError):
    """The integrator could not cover the step; the state given to it was not a physical one."""


def advance(
    x: ArrayLike,
    u: ArrayLike,
    dt: float,
    parameters: Parameters = NOMINAL,
    *,
    flow_feed: float | None = None,
) -> tuple[F64, float]:
    """Advance the reactor by `dt` seconds under constant inputs.

    x: (5,) A, I [kg/m3], R [mol/m3], P [kg/m3], T [K].  u: (2,) F_I [kg/h], T_c [K].
    flow_feed: initiator feed counted in the total flow [kg/h], `u[0]` unless given.
    Returns the next state (5,) and the highest temperature inside the step [K].
    Raises `IntegrationError` when the step budget does not suffice.
    """
    after = np.array(x, dtype=np.float64)
    feed, coolant = np.asarray(u, dtype=np.float64).tolist()
    flow = feed if flow_feed is None else float(flow_feed)
    work = np.empty(WORKSPACE_SHAPE)
    peak = advance_in_place(after, feed, coolant, flow, float(dt), parameters.array(), work)
    if not np.isfinite(peak):
        raise IntegrationError(f"no solution over {dt} s from x = {np.asarray(x).tolist()}")
    return after, peak
