"""Policy and certified correction on line: NumPy in, NumPy out, no torch.

One call of `Runtime.advise` is one scan. Everything that is remembered between scans
(filters, state estimate, bias of the predictions, integrators) is one frozen `Memory`
that is returned, not changed: the same requests give the same bits again, which is what a
replay of the journal needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from models.bundle import BundleError, Manifest, load_manifest, load_weights
from models.online.advice import Advice, AdviceRequest, Refusal, RefusalReason
from models.online.box_problem import BoxProblem, Flaw, Solution, Unsolved
from models.online.correction import minimise
from models.online.envelope import Envelope
from models.online.features import ProcessSample
from models.online.forward import mlp_from
from models.online.no_return import NoReturn
from models.online.prediction import CLOCK_JITTER_S, Memory, Tracker
from models.online.sequence import Response, SequenceModel
from models.online.watch import ConformalWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

__all__ = [
    "CLOCK_JITTER_S",
    "Advice",
    "AdviceRequest",
    "BundleError",
    "Manifest",
    "Memory",
    "ProcessSample",
    "Refusal",
    "RefusalReason",
    "Runtime",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """What one scan has found before it optimises."""

    policy: F64
    target: F64
    response: Response
    novelty: float


class Runtime:
    """A loaded bundle: policy, cost and tracker.

    `policy_override` replaces the bundle's policy (evaluation only): sample -> move (n_mv,).
    """

    def __init__(
        self,
        manifest: Manifest,
        tensors: Mapping[str, F64],
        *,
        policy_override: Callable[[ProcessSample], F64] | None = None,
    ) -> None:
        self.manifest = manifest
        self._policy_override = policy_override
        self.model = SequenceModel(manifest, tensors)
        self.tracker = Tracker(manifest, self.model)
        self.watch = ConformalWatch(manifest, self.model)
        policy = manifest.policy
        self._policy = mlp_from(
            tensors,
            "policy.net",
            layers=policy.layers,
            n_in=len(policy.features),
            n_out=len(manifest.mvs),
        )
        self._increment = np.array(policy.increment_scale)
        self._low = np.array([mv.low for mv in manifest.mvs])
        self._high = np.array([mv.high for mv in manifest.mvs])
        self._half = (self._high - self._low) / 2.0
        # What limits one move limits each later one: block j is reached in `scans` moves.
        self._scans = self.model.starts[:, None] + 1.0
        self._envelope = Envelope(manifest)
        self._no_return = NoReturn(manifest, self.model)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read a bundle and check hashes, shapes, finiteness, signs and convexity.

        Raises BundleError.
        """
        return cls(load_manifest(directory), load_weights(directory))

    def initial_memory(self) -> Memory:
        """Memory before the first scan."""
        return self.tracker.empty()

    def policy_move(self, memory: Memory, sample: ProcessSample) -> F64:
        """The policy's move (n_mv,) [MV units], cut to the range of the MVs."""
        if self._policy_override is not None:
            return self._policy_override(sample)
        estimated = np.concatenate((memory.estimate, sample.dv, sample.mv))
        features = self.tracker.policy_map.vector(
            estimated, sample.sp - memory.estimate, memory.policy_filters
        )
        increment = np.tanh(self._policy(features)) * self._increment
        move: F64 = np.minimum(np.maximum(sample.mv + increment, self._low), self._high)
        return move

    def advise(self, request: AdviceRequest, memory: Memory) -> tuple[Advice | Refusal, Memory]:
        """One scan: remember, ask the policy, correct, certify. Bounded and deterministic.

        A refusal for input that is not finite, or so large that the model's arithmetic ends in
        something that is not, leaves the memory as it was.
        """
        refusal = self._refuse_input(request)
        if refusal is not None:
            return refusal, memory
        with np.errstate(all="ignore"):  # what overflows is looked for, and refused
            return self._advise(request, memory)

    def _advise(self, request: AdviceRequest, before: Memory) -> tuple[Advice | Refusal, Memory]:
        sample = request.sample
        elapsed = sample.plant_time_s - before.plant_time_s
        memory, features, response = self._recall(sample, before)
        sound = (memory.estimate, memory.cost_filters, memory.bias, response.free, response.gains)
        if not all(np.isfinite(part).all() for part in sound):
            detail = f"the prediction is not finite at {sample.cv.tolist()}, {sample.dv.tolist()}"
            return Refusal(reason=RefusalReason.NON_FINITE_INPUT, detail=detail), before
        reason = self._envelope.refuses(sample.sp)
        if reason is not None:
            return Refusal(reason=RefusalReason.OUTSIDE_ENVELOPE, detail=reason), memory
        if not request.freeze and elapsed > 0.0:
            memory = self.tracker.integrate(
                memory,
                sample.sp - memory.estimate,
                min(elapsed, self.manifest.sample_time_s),
                blocked_high=request.windup_high | (sample.mv >= request.range_high),
                blocked_low=request.windup_low | (sample.mv <= request.range_low),
            )
        foreign = request.policy_move
        scan = _Scan(
            policy=self.policy_move(memory, sample)
            if foreign is None
            else np.clip(foreign, self._low, self._high),
            target=self.tracker.target(memory, sample.sp),
            response=response,
            novelty=self.watch.novelty(features),
        )
        problem = self._problem(request, memory, scan)
        cost = self.manifest.cost
        solution = minimise(
            problem,
            ((memory.plan - sample.mv) / self._half).ravel(),
            gap_absolute=cost.gap_absolute,
            gap_relative=cost.gap_relative,
            max_iterations=cost.max_iterations,
        )
        if isinstance(solution, Unsolved):
            return _unsolved(solution), memory
        return self._answer(request, memory, problem, solution, scan)

    def _recall(self, sample: ProcessSample, memory: Memory) -> tuple[Memory, F64, Response]:
        """Memory brought to this instant, the features of the cost, and the model there."""
        memory = self.tracker.observe(memory, sample)
        error = sample.sp - memory.estimate
        estimated = np.concatenate((memory.estimate, sample.dv, sample.mv))
        features = self.tracker.cost_map.vector(estimated, error, memory.cost_filters)
        response = self.model.response(features).under(memory.disturbance)
        return self.tracker.learn(memory, sample, response), features, response

    def _refuse_input(self, request: AdviceRequest) -> Refusal | None:
        sample = request.sample
        parts = {
            "plant time": np.array([sample.plant_time_s]),
            "CV": sample.cv,
            "setpoint": sample.sp,
            "MV": sample.mv,
            "DV": sample.dv,
            "box": request.low,
            "box (high)": request.high,
            "range": request.range_low,
            "range (high)": request.range_high,
        }
        if request.policy_move is not None:
            parts["policy move"] = request.policy_move
        if not np.isfinite(np.concatenate(list(parts.values()))).all():
            name, part = next((n, p) for n, p in parts.items() if not np.isfinite(p).all())
            detail = f"{name} is not finite: {part.tolist()}"
            return Refusal(reason=RefusalReason.NON_FINITE_INPUT, detail=detail)
        if (request.low > request.high).any() or (request.range_low > request.range_high).any():
            detail = f"box {request.low.tolist()}..{request.high.tolist()} is empty"
            return Refusal(reason=RefusalReason.EMPTY_BOX, detail=detail)
        return None

    def _problem(self, request: AdviceRequest, memory: Memory, scan: _Scan) -> BoxProblem:
        """The correction of this scan, in scaled deviations from the moves in force."""
        mv = request.sample.mv
        furthest_down = (request.range_low - mv) / self._half
        furthest_up = (request.range_high - mv) / self._half
        down, up = (request.low - mv) / self._half, (request.high - mv) / self._half
        low = np.maximum(np.minimum(down, 0.0) * self._scans, furthest_down)
        high = np.minimum(np.maximum(up, 0.0) * self._scans, furthest_up)
        np.minimum(low, furthest_up, out=low)
        np.maximum(high, furthest_down, out=high)
        low[0], high[0] = down, up
        wish = (scan.policy - mv) / self._half
        radius = self.manifest.cost.trust_radius
        if radius is not None:
            centre = np.minimum(np.maximum(wish, low[0]), high[0])
            low[0] = np.maximum(low[0], centre - radius)
            high[0] = np.minimum(high[0], centre + radius)
        return self.model.problem(
            scan.response,
            now=memory.estimate,
            error=scan.target - memory.estimate,
            bias=memory.bias,
            policy=wish,
            low=low,
            high=high,
        )

    def _answer(
        self,
        request: AdviceRequest,
        memory: Memory,
        problem: BoxProblem,
        solution: Solution,
        scan: _Scan,
    ) -> tuple[Advice | Refusal, Memory]:
        """Certify the move exactly as it will be written, and remember the plan."""
        mv = request.sample.mv
        shape = (self.model.n_blocks, self.model.n_mv)
        plan = mv + solution.z.reshape(shape) * self._half
        move = np.minimum(np.maximum(plan[0], request.low), request.high)
        plan[0] = move
        z = solution.z.copy()
        z[: self.model.n_mv] = (move - mv) / self._half
        cost, gradient = problem.evaluate(z)
        gap = problem.gap(z, gradient)
        limits = self.manifest.cost
        tolerance = limits.gap_absolute + limits.gap_relative * abs(cost)
        if not (gap <= tolerance and np.isfinite(plan).all()):
            detail = f"gap {gap:.3g} above {tolerance:.3g} after {solution.iterations} iterations"
            return Refusal(reason=RefusalReason.NOT_CERTIFIED, detail=detail), memory
        change = (scan.response.gains.reshape(-1, z.size) @ z).reshape(shape[0], self.model.n_cv)
        held = memory.estimate + scan.response.free + memory.bias
        advice = Advice(
            policy_move=scan.policy,
            move=move,
            plan=plan,
            predicted=held + change,
            target=scan.target,
            cost=cost,
            gap=gap,
            tolerance=tolerance,
            kkt=solution.kkt,
            iterations=solution.iterations,
            novelty=scan.novelty,
            outside_bands=self.watch.outside_bands(memory),
            time_to_no_return_s=self._no_return.time_s(
                request, held=held, gains=scan.response.gains
            ),
        )
        return advice, replace(memory, plan=plan)


_UNSOLVED = {
    Flaw.NON_FINITE: "a prediction or a cost is not finite",
    Flaw.EMPTY_BOX: "the box of the moves is empty",
    Flaw.UNBOUNDED: "the box of the moves has no bound",
    Flaw.NOT_CONVEX: "the cost of this state is not convex: no certificate holds",
    Flaw.NOT_CERTIFIED: "the tolerance was not reached",
}


def _unsolved(found: Unsolved) -> Refusal:
    """Why there is no certified move, in words."""
    spent = f"gap {found.gap:.3g} after {found.iterations} iterations"
    detail = f"{_UNSOLVED[found.flaw]} ({found.flaw}; {spent})"
    return Refusal(reason=RefusalReason.NOT_CERTIFIED, detail=detail)
