"""`plant_sim.integrate.advance` for many reactors, sixteen in the lanes of a kernel, on threads."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from plant_sim.arithmetic import Arithmetic, checked_arithmetic
from plant_sim.compiled import compiled
from plant_sim.integrate import IntegrationError, integrate
from plant_sim.lane_types import WIDE, WIDE_FAST, Kind
from plant_sim.lanes import kernel_part, load, split, store
from plant_sim.reactor import F64, NOMINAL
from plant_sim.threads import checked_threads, share

WIDTH = WIDE.width

_KINDS = {Arithmetic.EXACT: WIDE, Arithmetic.FAST: WIDE_FAST}

# A group's scratch, rows of WIDTH: state (5), inputs (3), parameters (6), wanted, peak.
_INPUTS, _PARAMETERS, _WANTED, _PEAK, _ROWS = 5 * WIDTH, 8 * WIDTH, 14 * WIDTH, 15 * WIDTH, 16


@kernel_part
def advance_group(  # noqa: PLR0917  (kernels take positional arguments only)
    kind: Kind, first: int, end: int, x: F64, inputs: F64, dt: float, p: F64, peak: F64
) -> int:
    """Advance sixteen reactors from `first` on, up to `end`; returns how many have no solution."""
    count = min(WIDTH, end - first)
    cell = np.zeros(_ROWS * WIDTH)
    for lane in range(WIDTH):
        # lanes without a reactor repeat the first, and are not wanted
        i = first + (lane if lane < count else 0)
        for k in range(5):
            cell[k * WIDTH + lane] = x[i, k]
        for k in range(3):
            cell[_INPUTS + k * WIDTH + lane] = inputs[i, k]
        for k in range(6):
            cell[_PARAMETERS + k * WIDTH + lane] = p[i, k]
        cell[_WANTED + lane] = 1.0 if lane < count else 0.0
    feed, coolant, flow_feed = split(load(cell, _INPUTS, 3, kind))
    parameters, wanted = load(cell, _PARAMETERS, 6, kind), load(cell, _WANTED, 1, kind)
    after, summit = integrate(
        load(cell, 0, 5, kind), feed, coolant, flow_feed, dt, parameters, wanted
    )
    store(cell, 0, after)
    store(cell, _PEAK, summit)
    failed = 0
    for lane in range(count):
        for k in range(5):
            x[first + lane, k] = cell[k * WIDTH + lane]
        peak[first + lane] = cell[_PEAK + lane]
        failed += np.isnan(peak[first + lane])
    return failed


@cache
def kernel(kind: Kind) -> Callable[..., int]:
    """Compile the loop over the reactors from `first` up to `end`; it releases the lock.

    x (N, 5), inputs (N, 3): feed, coolant, feed in the flow; dt; p (N, 6); peak (N,), filled.
    """

    @compiled(
        "int64(float64[:, ::1], float64[:, ::1], float64, float64[:, ::1], float64[::1], int64,"
        " int64)",
        nogil=True,
    )
    def advance_all(  # noqa: PLR0917
        x: F64, inputs: F64, dt: float, p: F64, peak: F64, first: int, end: int
    ) -> int:
        failed = 0
        for group in range(first, end, WIDTH):
            failed += advance_group(kind, group, end, x, inputs, dt, p, peak)
        return failed

    return advance_all


def advance_batch(
    x: ArrayLike,
    u: ArrayLike,
    dt: float,
    parameters: ArrayLike | None = None,
    *,
    flow_feed: ArrayLike | None = None,
    arithmetic: str = Arithmetic.EXACT,
    threads: int | None = None,
) -> tuple[F64, F64]:
    """Advance reactors by `dt` seconds, each under constant inputs; as `advance` for each.

    x: (N, 5) states.  u: (2,) or (N, 2) F_I [kg/h], T_c [K].
    parameters: (6,) or (N, 6) as `Parameters.array`, nominal ones unless given.
    flow_feed: initiator feed counted in the total flow [kg/h], a number or (N,), that of `u`
    unless given.  arithmetic: see `Arithmetic`.  threads: one for each core unless given; the
    result does not depend on them.
    Returns the next states (N, 5) and the highest temperatures inside the step (N,) [K].
    Raises ValueError for shapes, arithmetic or threads that do not fit, and `IntegrationError` when
    the step budget of a reactor does not suffice.
    """
    run = kernel(_KINDS[checked_arithmetic(arithmetic)])
    after = np.array(x, dtype=np.float64, order="C")
    if after.ndim != 2 or after.shape[1] != 5:
        raise ValueError(f"x: shape {after.shape}; allowed: (N, 5)")
    count = len(after)
    inputs = np.empty((count, 3))
    inputs[:, :2] = u
    inputs[:, 2] = inputs[:, 0] if flow_feed is None else flow_feed
    rows = np.empty((count, 6))
    rows[:] = NOMINAL.array() if parameters is None else parameters
    peak = np.empty(count)

    def work(first: int, end: int) -> int:
        return run(after, inputs, float(dt), rows, peak, first, end)

    if share(count, work, threads=checked_threads(threads), least=4 * WIDTH):
        which = np.flatnonzero(np.isnan(peak)).tolist()
        raise IntegrationError(f"no solution over {dt} s for the reactors {which}")
    return after, peak
