"""What a foreign policy is run from and asked, and its start: load it, then ask it once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.core.types import vector
from controller.policy.process import NO_PROTOCOL, Ended, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from controller.core.types import F64
    from controller.policy.process import Message
    from models.runtime import ProcessSample

WARM_UP = 0
"""Number of the question that every worker must answer before it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """What to run, whom to ask, and how long to wait; times in wall seconds.

    python: None = this interpreter.  load: the worker's first message.  cvs, mvs, dvs: names in the
    manifest's order.  warm_up: the instant that the warm-up question is about.  timeout_s: from the
    grid's instant to the answer.  stuck_s: silence after which a worker is replaced.
    """

    python: Path | None
    load: Mapping[str, str]
    cvs: Sequence[str]
    mvs: Sequence[str]
    dvs: Sequence[str]
    warm_up: ProcessSample
    timeout_s: float
    start_timeout_s: float
    stuck_s: float


def observation(options: PolicyOptions, sample: ProcessSample) -> dict[str, Any]:
    """What a policy is asked about: values by name, in the manifest's order and units."""
    return {
        "plant_time_s": sample.plant_time_s,
        "cv": dict(zip(options.cvs, sample.cv.tolist(), strict=True)),
        "sp": dict(zip(options.cvs, sample.sp.tolist(), strict=True)),
        "mv": dict(zip(options.mvs, sample.mv.tolist(), strict=True)),
        "dv": dict(zip(options.dvs, sample.dv.tolist(), strict=True)),
    }


def move_in(message: Message, count: int) -> F64 | str:
    """An answer's move (count,), or why there is none; the values are not judged."""
    if "error" in message:
        return f"the policy failed: {message['error']}"
    values = message.get("move")
    if not isinstance(values, list) or not all(type(value) is float for value in values):
        return NO_PROTOCOL
    if len(values) != count:
        return f"the policy gave {len(values)} numbers, {count} are wanted"
    return vector(values)


async def raised(options: PolicyOptions) -> WorkerProcess | Ended:
    """A worker that has loaded the policy and answered the warm-up question."""
    worker = await WorkerProcess.spawn(options.python)
    if isinstance(worker, Ended):
        return worker
    fault: str | None = f"not ready within {options.start_timeout_s:g} s"
    try:
        async with asyncio.timeout(options.start_timeout_s):
            fault = await _warmed(worker, options)
    except TimeoutError:
        pass  # the words are there
    except BaseException:
        worker.kill()
        await worker.close()
        raise
    if fault is None:
        return worker
    worker.kill()
    await worker.close()
    return Ended(reason=fault)


async def probe(options: PolicyOptions) -> str | None:
    """Start a worker, let it answer once, and end it; why it did not."""
    worker = await raised(options)
    if isinstance(worker, Ended):
        return worker.reason
    await worker.close()
    return None


async def _warmed(worker: WorkerProcess, options: PolicyOptions) -> str | None:
    """Load and ask once; why the worker cannot be used."""
    worker.send(options.load)
    ready = await worker.receive()
    if isinstance(ready, Ended):
        return ready.reason
    if ready.get("ready") is not True:
        return str(ready.get("error", NO_PROTOCOL))
    question = observation(options, options.warm_up)
    worker.send({"number": WARM_UP, "observation": question})
    answer = await worker.receive()
    if isinstance(answer, Ended):
        return answer.reason
    move = move_in(answer, len(options.mvs))
    if isinstance(move, str):
        return f"warm-up: {move}"
    finite = bool(np.isfinite(move).all())
    return None if finite else f"warm-up: the policy gave {move.tolist()}, which is not finite"
