"""Training steps and batch evaluation on the CPU and on a GPU: wall time, for there a GPU waits.

    python -m benchmarks.devices [--seconds 10] [--device cuda] [--out FILE]

The CPU takes as many threads as torch gives it; training itself takes one, for the sake of equal
bits. `ours` is the GPU, `theirs` the CPU; without a GPU there are no rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.iql import random_data
from models.bundle import default_bundle
from models.learning.devices import CPU, DeviceError, device_named, device_words, moved
from models.learning.iql import IqlTrainer
from models.learning.reference import Reference, Scans
from models.recipe import load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

BATCHES, STATES = (256, 8192), 20_000


def iql(batch: int, device: torch.device) -> Callable[[], object]:
    """A step of IQL at the shipped widths."""
    recipe = load_recipe("polymer-cstr").policy.model_copy(update={"batch": batch})
    return IqlTrainer(moved(random_data(recipe.stride), device), recipe, seed=1).step


def predictions(device: torch.device) -> Callable[[], object]:
    """Predictions of the shipped cost at many states, back in main memory."""
    reference, rng = Reference.load(default_bundle(), device), np.random.default_rng(1)
    cost, n_mv = reference.manifest.cost, len(reference.manifest.mvs)
    features = rng.normal(size=(STATES, len(cost.features)))
    moves = rng.normal(size=(STATES, len(cost.blocks), n_mv)) * 0.1
    return lambda: reference.changes(features, moves)


def corrections(device: torch.device) -> Callable[[], object]:
    """Minima of the shipped cost at a tenth as many states."""
    reference, rng = Reference.load(default_bundle(), device), np.random.default_rng(1)
    cost, count = reference.manifest.cost, STATES // 10
    n_cv, n_mv = len(reference.manifest.cvs), len(reference.manifest.mvs)
    shape = (count, len(cost.blocks), n_mv)
    columns = {
        "features": rng.normal(size=(count, len(cost.features))),
        "disturbance": np.zeros((count, n_cv)),
        "now": np.tile([(cv.low + cv.high) / 2.0 for cv in reference.manifest.cvs], (count, 1)),
        "error": rng.normal(size=(count, n_cv)) * [cv.scale for cv in reference.manifest.cvs],
        "bias": np.zeros((count, shape[1], n_cv)),
        "policy": rng.uniform(-0.1, 0.1, (count, n_mv)),
        "low": np.full(shape, -1.0),
        "high": np.full(shape, 1.0),
    }
    scans = Scans(**{name: reference.tensor(value) for name, value in columns.items()})
    return lambda: reference.minimise(scans).cpu()


PARTS: dict[str, Callable[[torch.device], Callable[[], object]]] = {
    **{
        f"IQL step, batch {batch}": lambda device, batch=batch: iql(batch, device)
        for batch in BATCHES
    },
    f"predictions, {STATES} states": predictions,
    f"corrections, {STATES // 10} states": corrections,
}


def rows(seconds: float, device: str = "cuda") -> list[dict[str, Any]]:
    """A row a part: median wall seconds on the device (ours) and on the CPU (theirs), in turns."""
    try:
        where = device_named(device)
    except DeviceError as error:
        print(f"GPU left out: {error}", file=sys.stderr)
        return []
    found = []
    for name, make in PARTS.items():
        works = [make(where), make(CPU)]
        turns: list[list[float]] = []
        end = time.perf_counter() + seconds / len(PARTS)
        while time.perf_counter() < end or len(turns) < 7:
            turns.append([timed(work, where) for work in works])
        here = np.array(turns[2:])  # the first calls load kernels
        quantiles = np.quantile(here[:, 0], [0.5, 0.99, 0.999])
        found.append(
            {
                "name": name,
                "size": device_words(where),
                "ours": float(np.median(here[:, 0])),
                "theirs": float(np.median(here[:, 1])),
                "ratio": float(np.median(here[:, 1] / here[:, 0])),
                **{k: float(v) for k, v in zip(("p50", "p99", "p999"), quantiles, strict=True)},
                "unit": "s",
            }
        )
    return found


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Wall seconds until the device is done as well."""
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.devices",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, help="also write the rows here, as JSON")
    options = parser.parse_args()
    found = rows(options.seconds, options.device)
    for row in found:
        print(
            f"{row['name']:28} {row['size']}: {1e3 * row['ours']:.3f} ms, "
            f"CPU {1e3 * row['theirs']:.3f} ms, {row['ratio']:.2f} times as long"
        )
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
