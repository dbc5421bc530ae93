"""`plant_sim.dcs.run_scans` for many plants, sixteen in the lanes of a kernel."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from plant_sim.compiled import compiled
from plant_sim.dcs import I64, SCAN_S, regulate, tally
from plant_sim.integrate import integrate
from plant_sim.lane_types import WIDE, Kind
from plant_sim.lanes import kernel_part, load, split, store
from plant_sim.reactor import F64

WIDTH = WIDE.width

# A group's scratch, rows of WIDTH: state (5), inputs (3), parameters (6), wanted, peak.
_INPUTS, _PARAMETERS, _WANTED, _PEAK = 5 * WIDTH, 8 * WIDTH, 14 * WIDTH, 15 * WIDTH
_SCRATCH = 16 * WIDTH


class Plants(NamedTuple):
    """The arrays of `kernel`'s loop."""

    x: F64
    actual: F64
    integral: F64
    flags: I64
    modes: I64
    command: F64
    tuning: F64
    settings: F64
    p: F64
    noise: F64
    normals: F64
    row: I64
    sd: F64
    out: F64


@kernel_part
def _begin(plants: Plants, first: int, count: int, cell: F64) -> None:
    """Fill the scratch; lanes without a plant repeat the first one and are not wanted."""
    for lane in range(WIDTH):
        i = first + (lane if lane < count else 0)
        for k in range(5):
            cell[k * WIDTH + lane] = plants.x[i, k]
        for k in range(6):
            cell[_PARAMETERS + k * WIDTH + lane] = plants.p[i, 0, k]
        if lane < count:
            cell[_WANTED + lane] = 1.0
            plants.out[i, 0] = plants.x[i, 4]
            plants.out[i, 1:] = 0.0


@kernel_part
def _control(  # noqa: PLR0917  (kernels take positional arguments only)
    plants: Plants, i: int, lane: int, elapsed: float, dt: float, draw: int, cell: F64
) -> None:
    """The DCS's part of a scan of plant i; then the noise of its end takes the start's place."""
    P, T = cell[3 * WIDTH + lane], cell[4 * WIDTH + lane]
    actual, settings, noise = plants.actual[i], plants.settings[i], plants.noise[i]
    regulate(
        T,
        (P + noise[1], T + noise[2]),
        dt,
        actual,
        plants.integral[i],
        plants.flags[i],
        plants.modes[i],
        plants.command[i],
        plants.tuning[i],
        settings,
    )
    cell[_INPUTS + lane] = actual[0]
    cell[_INPUTS + WIDTH + lane] = actual[1]
    cell[_INPUTS + 2 * WIDTH + lane] = actual[0] if np.isnan(settings[8]) else settings[8]
    phase = 1 if settings[0] + elapsed >= settings[2] else 0
    for k in range(6):
        cell[_PARAMETERS + k * WIDTH + lane] = plants.p[i, phase, k]
    for k in range(3):
        noise[k] = plants.normals[plants.row[i], draw, k] * plants.sd[k]


@kernel_part
def _react(kind: Kind, dt: float, cell: F64) -> None:
    """The reactors' part of a scan, in all lanes."""
    feed, coolant, flow_feed = split(load(cell, _INPUTS, 3, kind))
    parameters, wanted = load(cell, _PARAMETERS, 6, kind), load(cell, _WANTED, 1, kind)
    x = load(cell, 0, 5, kind)
    after, peak = integrate(x, feed, coolant, flow_feed, dt, parameters, wanted)
    store(cell, 0, after)
    store(cell, _PEAK, peak)


@kernel_part
def _end(plants: Plants, first: int, count: int, cell: F64) -> int:
    """Write the states back; returns how many plants had no solution."""
    failed = 0
    for lane in range(count):
        i = first + lane
        for k in range(5):
            plants.x[i, k] = cell[k * WIDTH + lane]
        if cell[_WANTED + lane] == 0.0:
            failed += 1
            plants.out[i] = np.nan
    return failed


@kernel_part
def run_group(  # noqa: PLR0917
    kind: Kind, plants: Plants, first: int, end: int, begin: int, scans: int
) -> int:
    """Step sixteen plants from `first` on, up to `end`; returns how many had no solution."""
    count = min(WIDTH, end - first)
    cell = np.zeros(_SCRATCH)
    _begin(plants, first, count, cell)
    total = plants.settings[first, 1]
    for scan in range(scans):
        elapsed = SCAN_S * scan
        dt = SCAN_S if scan < scans - 1 else total - elapsed
        for lane in range(count):
            _control(plants, first + lane, lane, elapsed, dt, begin + scan, cell)
        _react(kind, dt, cell)
        for lane in range(count):
            i, peak = first + lane, cell[_PEAK + lane]
            tally(peak, dt, total, plants.actual[i], plants.flags[i], plants.out[i])
            if not np.isfinite(peak):
                cell[_WANTED + lane] = 0.0
    return _end(plants, first, count, cell)


@cache
def kernel(kind: Kind) -> Callable[..., int]:
    """Compile the loop over plants for lanes of `kind`, as wide as `WIDE`.

    It steps the plants from `first` up to `end`, and releases the interpreter's lock. Its arguments
    are those of `run_scans`, stacked, except for the noise:
    noise (N, 3): on A, P, T at the step's start; at its end when the kernel returns.
    normals (rows, instants, 3): standard normal draws; plant i has those of row `row[i]` from the
    instant `begin` on, one for each of the `scans`, times `sd` (3,).
    Returns how many plants had no solution; their `out` is nan.
    """

    @compiled(
        "int64(float64[:, ::1], float64[:, ::1], float64[:, ::1], int64[:, ::1], int64[:, ::1],"
        " float64[:, :, ::1], float64[:, :, ::1], float64[:, ::1], float64[:, :, ::1],"
        " float64[:, ::1], float64[:, :, ::1], int64[::1], float64[::1], float64[:, ::1],"
        " int64, int64, int64, int64)",
        nogil=True,
    )
    def run_plants(  # noqa: PLR0917
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
        normals: F64,
        row: I64,
        sd: F64,
        out: F64,
        first: int,
        end: int,
        begin: int,
        scans: int,
    ) -> int:
        failed = 0
        for group in range(first, end, WIDTH):
            plants = Plants(
                x,
                actual,
                integral,
                flags,
                modes,
                command,
                tuning,
                settings,
                p,
                noise,
                normals,
                row,
                sd,
                out,
            )
            failed += run_group(kind, plants, group, end, begin, scans)
        return failed

    return run_plants
