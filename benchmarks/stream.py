"""A recorded stream of scans: the shipped bundle flown on the noisy plant, in process.

What is timed later are the very questions that come up in control, in their order: the startup
with its moves along the bounds and the ceiling, and the long rest at a setpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

import plant_sim.env  # noqa: F401 - registers the environment
from models.baselines.observation import sample_of
from models.bundle import default_bundle, load_manifest, load_weights
from models.recipe import load_recipe
from models.runtime import Advice, AdviceRequest, Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.online.sequence import Response
    from models.runtime import Memory

    F64 = NDArray[np.float64]

HOURS = 16.0
RECIPE = "polymer-cstr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One question to the correction alone, as `Runtime.advise` asked it, and its answer's cost.

    features: (n_features,). disturbance, now, error: (n_cv,). bias: (n_blocks, n_cv). policy:
    (n_mv,). low, high: (n_blocks, n_mv). start: (n_blocks * n_mv,) the last plan.
    """

    features: F64
    disturbance: F64
    now: F64
    error: F64
    bias: F64
    policy: F64
    low: F64
    high: F64
    start: F64
    gap_absolute: float
    gap_relative: float
    max_iterations: int
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One scan of the stream: the request, the correction in it, and what yardsticks see.

    memory: of the runtime before the scan; with it the scan can be computed again by itself.
    state: (5,) the plant's true state before the move. seen: (7,) the environment's observation.
    first: an episode begins.
    """

    request: AdviceRequest
    memory: Memory
    correction: Correction
    state: F64
    seen: F64
    first: bool


class RefusedError(Exception):
    """The bundle gave no advice where it should; the message says why."""


class _Listener:
    """Stands before a runtime's sequence model and keeps what it is asked."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.asked: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def response(self, features: F64) -> Response:
        self.asked = {"features": features.copy()}
        response: Response = self._model.response(features)
        return response

    def problem(self, response: Response, **parts: F64) -> Any:
        self.asked |= {name: np.array(value) for name, value in parts.items()}
        return self._model.problem(response, **parts)


@cache
def recorded() -> tuple[Scan, ...]:
    """Fly every scenario for `HOURS` with noise, seed 1; raises RefusedError."""
    manifest = load_manifest(default_bundle())
    runtime = Runtime(manifest, load_weights(default_bundle()))
    listener = runtime.model = _Listener(runtime.model)  # type: ignore[assignment]
    scans: list[Scan] = []
    for scenario in load_recipe(RECIPE).source.scenarios:
        env: Any = gymnasium.make(
            load_recipe(RECIPE).source.environment,
            scenario=scenario,
            sample_time_s=manifest.sample_time_s,
            noise=True,
            episode_hours=HOURS,
        ).unwrapped
        scans += _flown(env, runtime, listener)
    return tuple(scans)


def _flown(env: Any, runtime: Runtime, listener: _Listener) -> list[Scan]:
    """One episode."""
    source = load_recipe(RECIPE).source
    seen, info = env.reset(seed=1)
    memory = runtime.initial_memory()
    scans: list[Scan] = []
    for _ in range(round(HOURS * 3600.0 / runtime.manifest.sample_time_s)):
        request = _request(runtime, sample_of(runtime.manifest, source, seen, info), info)
        before = memory
        answer, memory = runtime.advise(request, memory)
        if not isinstance(answer, Advice):
            raise RefusedError(f"the recorded flight was refused: {answer.detail}")
        scans.append(
            Scan(
                request=request,
                memory=before,
                correction=_correction(runtime, listener, before, memory, request, answer),
                state=np.array(info["state"]),
                seen=np.array(seen),
                first=not scans,
            )
        )
        seen, *_, info = env.step(answer.move)
    return scans


def _request(runtime: Runtime, sample: Any, info: dict[str, Any]) -> AdviceRequest:
    """As the controller asks: the whole range, frozen while the override acts."""
    low = np.array([mv.low for mv in runtime.manifest.mvs])
    high = np.array([mv.high for mv in runtime.manifest.mvs])
    idle = np.zeros(low.size, dtype=np.bool_)
    return AdviceRequest(
        sample=sample,
        low=low,
        high=high,
        range_low=low,
        range_high=high,
        windup_low=idle,
        windup_high=idle,
        freeze=bool(info["override_s"] > 0.0),
    )


def _correction(  # noqa: PLR0917
    runtime: Runtime,
    listener: _Listener,
    before: Memory,
    after: Memory,
    request: AdviceRequest,
    answer: Advice,
) -> Correction:
    """What the model was asked, and the start: the last plan as deviations from the moves."""
    half = (request.range_high - request.range_low) / 2.0
    began = before.filled == 0
    start = np.zeros_like(before.plan) if began else (before.plan - request.sample.mv) / half
    cost = runtime.manifest.cost
    return Correction(
        **listener.asked,
        disturbance=after.disturbance,
        start=start.ravel(),
        gap_absolute=cost.gap_absolute,
        gap_relative=cost.gap_relative,
        max_iterations=cost.max_iterations,
        cost=answer.cost,
    )
