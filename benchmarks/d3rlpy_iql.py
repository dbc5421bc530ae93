"""Steps of d3rlpy's IQL on request, for `benchmarks.iql`; runs in a Python that has d3rlpy.

    python d3rlpy_iql.py '{"threads": 1, "rows": 276480, "episode": 576, "features": 8, ...}'

Answers every line on standard input, a number of steps, with a line of JSON: the CPU seconds of
each. A step is a batch drawn from the buffer and one update by it, as d3rlpy's own `fit` makes
it, without its logs. Knows nothing of this project.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings


def made(size: dict[str, int]) -> tuple[object, object]:
    """IQL as d3rlpy has it by default, and random data of the size asked for."""
    import d3rlpy  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415

    torch.set_num_threads(size["threads"])
    rng = np.random.default_rng(0)
    rows = size["rows"]
    ends = np.zeros(rows, dtype=np.float32)
    ends[size["episode"] - 1 :: size["episode"]] = 1.0
    data = d3rlpy.dataset.MDPDataset(
        rng.normal(size=(rows, size["features"])).astype(np.float32),
        rng.uniform(-1.0, 1.0, size=(rows, size["actions"])).astype(np.float32),
        rng.normal(size=(rows, 1)).astype(np.float32),
        np.zeros(rows, dtype=np.float32),
        ends,
    )
    layers = d3rlpy.models.VectorEncoderFactory([size["width"]] * size["layers"])
    algorithm = d3rlpy.algos.IQLConfig(
        batch_size=size["batch"],
        actor_encoder_factory=layers,
        critic_encoder_factory=layers,
        value_encoder_factory=layers,
    ).create(device="cpu:0")
    algorithm.build_with_dataset(data)
    return algorithm, data


def main() -> None:
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever d3rlpy prints is not an answer
    size = json.loads(sys.argv[1])
    algorithm, data = made(size)
    print(json.dumps([]), file=answers)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            begin = time.process_time()
            algorithm.update(data.sample_transition_batch(size["batch"]))
            seconds.append(time.process_time() - begin)
        print(json.dumps(seconds), file=answers)


main()
