"""`plant_sim.dcs.run_scans` for many plants, on as many threads as numba has."""

import numpy as np
from numba import prange

from plant_sim.compiled import compiled
from plant_sim.dcs import I64, run_scans
from plant_sim.reactor import F64


@compiled(
    "int64(float64[:, ::1], float64[:, ::1], float64[:, ::1], int64[:, ::1], int64[:, ::1],"
    " float64[:, :, ::1], float64[:, :, ::1], float64[:, ::1], float64[:, :, ::1],"
    " float64[:, :, ::1], float64[:, :, ::1], float64[:, ::1])",
    parallel=True,
)
def run_plants(  # noqa: PLR0917  (kernels take positional arguments only)
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
    work: F64,
    out: F64,
) -> int:
    """`run_scans` for every plant, arguments stacked; returns how many had no solution."""
    failed = 0
    for i in prange(x.shape[0]):
        done = run_scans(
            x[i],
            actual[i],
            integral[i],
            flags[i],
            modes[i],
            command[i],
            tuning[i],
            settings[i],
            p[i],
            noise[i],
            work[i],
            out[i],
        )
        if not done:
            failed += 1
            out[i, 0] = np.nan
    return failed
