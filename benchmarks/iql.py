"""A training step of IQL beside d3rlpy's: CPU time at equal batch, widths, data and threads.

    python -m benchmarks.iql [--seconds 20] [--python /path/to/venv/bin/python] [--out FILE]

d3rlpy lives in a virtual environment of its own, because it pins another Gymnasium. Its Python is
given by `--python` or by the variable TRIMTAB_D3RLPY_PYTHON:

    python3 -m venv d3rlpy-venv
    d3rlpy-venv/bin/pip install torch==2.13.0   # the CPU build, and the release that is in use here
    d3rlpy-venv/bin/pip install d3rlpy==2.8.1
    export TRIMTAB_D3RLPY_PYTHON=$PWD/d3rlpy-venv/bin/python

Both take turns within one run, a few steps each, and count the CPU time of all their threads;
drawing the batch belongs to the step. A ratio is the median over the turns, so what else the
machine does meets both alike. Ours is measured as published, and as shipped: there half of each
batch is seen under other setpoints, which d3rlpy does not do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.learning.batches import PolicyData
from models.learning.hindsight import Hindsight
from models.learning.iql import IqlTrainer
from models.recipe import load_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "TRIMTAB_D3RLPY_PYTHON"
SIZE = {
    "rows": 480 * 576,
    "episode": 576,
    "features": 8,
    "actions": 2,
    "batch": 256,
    "width": 256,
    "layers": 2,
}
"""The shipped data (480 episodes of 48 h), features and moves; widths of the IQL paper."""

TURN, WARM = 25, 50

HOW_TO_GET_IT = f"""\
IQL beside d3rlpy: left out, {VARIABLE} is not set. To measure it:
    python3 -m venv d3rlpy-venv
    d3rlpy-venv/bin/pip install torch==2.13.0 d3rlpy==2.8.1
    export {VARIABLE}=$PWD/d3rlpy-venv/bin/python"""


class Theirs:
    """d3rlpy in a process of its own, at the other end of a pipe."""

    def __init__(self, python: str, threads: int) -> None:
        script = Path(__file__).with_name("d3rlpy_iql.py")
        self._process = subprocess.Popen(
            [python, str(script), json.dumps({**SIZE, "threads": threads})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        if self._process.stdout is None or not self._process.stdout.readline():
            self.close()
            raise SystemExit(f"{python} cannot run d3rlpy; try: {python} -c 'import d3rlpy'")

    def steps(self, count: int) -> list[float]:
        """CPU seconds of each of so many steps."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("no pipe to d3rlpy")
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        answer: list[float] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process and wait for it."""
        self._process.terminate()
        self._process.communicate()


class Ours:
    """The trainer of this project, its batches included."""

    def __init__(self, relabel: float) -> None:
        changes = {"width": SIZE["width"], "layers": SIZE["layers"], "batch": SIZE["batch"]}
        recipe = load_recipe("polymer-cstr").policy.model_copy(
            update={**changes, "relabel": relabel}
        )
        self._trainer = IqlTrainer(random_data(recipe.stride), recipe, seed=1)

    def steps(self, count: int) -> list[float]:
        """CPU seconds of each of so many steps."""
        seconds = []
        for _ in range(count):
            begin = time.process_time()
            self._trainer.step()
            seconds.append(time.process_time() - begin)
        return seconds


def random_data(stride: int) -> PolicyData:
    """Transitions of the size of the shipped data."""
    draw = torch.Generator().manual_seed(0)
    rows, n_cv = SIZE["rows"], 2
    at = torch.arange(rows)
    hindsight = Hindsight(
        cv=torch.randn(rows, n_cv, generator=draw),
        last=(at // SIZE["episode"] + 1) * SIZE["episode"] - 1,
        error_at=torch.tensor([2, 3]),
        error_cv=torch.tensor([0, 1]),
        error_scale=torch.ones(n_cv),
        error_clip=torch.full((n_cv,), 3.0),
        unit=torch.ones(n_cv),
        weight=torch.ones(n_cv),
        gain=-torch.ones(stride) / 10.0,
        power=0.5,
    )
    return PolicyData(
        features=torch.randn(rows, SIZE["features"], generator=draw),
        actions=torch.rand(rows, SIZE["actions"], generator=draw) * 2.0 - 1.0,
        rewards=torch.randn(rows, 1, generator=draw),
        cost_ahead=torch.zeros(rows),
        rows=at[at % SIZE["episode"] < SIZE["episode"] - stride],
        spec=[],
        increment=np.ones(SIZE["actions"]),
        stride=stride,
        discount=0.97,
        hindsight=hindsight,
    )


def rows(seconds: float, python: str | None = None) -> list[dict[str, Any]]:
    """A row for each number of threads and each of our two batches.

    ours, theirs: median CPU seconds a step; ratio: theirs over ours, median of the turns; p50,
    p99, p999: of our steps. No rows without d3rlpy's Python, but a word on how to get it.
    """
    python = python or os.environ.get(VARIABLE)
    if python is None:
        print(HOW_TO_GET_IT, file=sys.stderr)
        return []
    if not Path(python).is_file():
        raise SystemExit(f"{VARIABLE} or --python: {python} is no Python; see benchmarks/iql.py")
    before = torch.get_num_threads()
    try:
        return [row for threads in (1, 2) for row in _measured(seconds / 2, threads, python)]
    finally:
        torch.set_num_threads(before)


def _measured(seconds: float, threads: int, python: str) -> Iterator[dict[str, Any]]:
    torch.set_num_threads(threads)
    ours = {"as published": Ours(0.0), "as shipped": Ours(0.5)}
    theirs = Theirs(python, threads)
    everyone: list[Ours | Theirs] = [*ours.values(), theirs]
    try:
        for one in everyone:
            one.steps(WARM)
        turns: list[list[list[float]]] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(turns) < 3:
            turns.append([one.steps(TURN) for one in everyone])
    finally:
        theirs.close()
    found = np.array(turns)
    total = found.sum(axis=2)
    for i, name in enumerate(ours):
        quantiles = np.quantile(found[:, i], [0.5, 0.99, 0.999])
        yield {
            "name": f"IQL step, {name}",
            "size": f"batch {SIZE['batch']}, {SIZE['layers']} x {SIZE['width']}, "
            f"{threads} thread{'s' if threads > 1 else ''}",
            "ours": float(np.median(found[:, i])),
            "theirs": float(np.median(found[:, -1])),
            "ratio": float(np.median(total[:, -1] / total[:, i])),
            **{k: float(v) for k, v in zip(("p50", "p99", "p999"), quantiles, strict=True)},
            "unit": "CPU s a step",
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.iql", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--python", help=f"of d3rlpy's environment; default: ${VARIABLE}")
    parser.add_argument("--out", type=Path, help="also write the rows here, as JSON")
    options = parser.parse_args()
    found = rows(options.seconds, options.python)
    for row in found:
        print(
            f"{row['name']:24} {row['size']:28} {1e3 * row['ours']:6.2f} ms, "
            f"d3rlpy {1e3 * row['theirs']:.2f} ms, {row['ratio']:.2f} times ours"
        )
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
