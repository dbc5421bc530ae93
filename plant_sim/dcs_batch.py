"""`plant_sim.dcs.run_scans` for many plants, sixteen in the lanes of a kernel."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from plant_sim.compiled import compiled
from plant_sim.dcs import I64, NOISE, SCAN_S, SCRATCH_ROWS, WANTED, enter, leave, run_scan
from plant_sim.lane_types import WIDE, Kind
from plant_sim.lanes import kernel_part
from plant_sim.reactor import F64

WIDTH = WIDE.width


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
def _enter(plants: Plants, i: int, lane: int, cell: F64) -> None:
    """Put plant i into a lane."""
    enter(
        cell,
        WIDTH,
        lane,
        plants.x[i],
        plants.actual[i],
        plants.integral[i],
        plants.flags[i],
        plants.modes[i],
        plants.command[i],
        plants.tuning[i],
        plants.settings[i],
        plants.p[i],
    )


@kernel_part
def run_group(  # noqa: PLR0917  (kernels take positional arguments only)
    kind: Kind, plants: Plants, first: int, end: int, begin: int, scans: int
) -> int:
    """Step sixteen plants from `first` on, up to `end`; returns how many had no solution."""
    count = min(WIDTH, end - first)
    cell = np.zeros(SCRATCH_ROWS * WIDTH)
    for lane in range(WIDTH):
        _enter(plants, first + lane if lane < count else first, lane, cell)
    for lane in range(count, WIDTH):
        cell[WANTED * WIDTH + lane] = 0.0  # no plant, but figures that can be computed with
    noise, normals, row, sd = plants.noise, plants.normals, plants.row, plants.sd
    total = plants.settings[first, 1]
    for scan in range(scans):
        elapsed = SCAN_S * scan
        for lane in range(count):
            i = first + lane
            for k in range(2):
                now = noise[i, 1 + k]
                if scan > 0:
                    now = normals[row[i], begin + scan - 1, 1 + k] * sd[1 + k]
                cell[(NOISE + k) * WIDTH + lane] = now
        dt = SCAN_S if scan < scans - 1 else total - elapsed
        run_scan(kind, WIDTH, cell, elapsed, dt, total)
    failed = 0
    for lane in range(count):
        i = first + lane
        for k in range(3):
            noise[i, k] = normals[row[i], begin + scans - 1, k] * sd[k]
        if not leave(
            cell,
            WIDTH,
            lane,
            plants.x[i],
            plants.actual[i],
            plants.integral[i],
            plants.flags[i],
            plants.out[i],
        ):
            failed += 1
            plants.out[i, 0] = np.nan
    return failed


@cache
def kernel(kind: Kind) -> Callable[..., int]:
    """Compile the loop over plants for lanes of `kind`, as wide as `WIDE`.

    It steps the plants from `first` up to `end`, and releases the interpreter's lock. Its arguments
    are those of `run_scans`, stacked, except for the noise:
    noise (N, 3): on A, P, T at the step's start; at its end when the kernel returns.
    normals (rows, instants, 3): standard normal draws; plant i has those of row `row[i]` from the
    instant `begin` on, one for each of the `scans`, times `sd` (3,).
    Returns how many plants had no solution; the first of their `out` is nan.
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
