"""What the runtime remembers: filters, state estimate, bias of past predictions, integrators.

Pure: every function takes a `Memory` and returns a new one. The disturbance is what the last
predictions missed, taken for an unmeasured rate of change; the bias makes the predictions
unbiased where the process settles, the integrators take what is left; both are what makes
the control free of offset when the plant differs from the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.bundle import horizon_ends
from models.online.features import FeatureMap, ProcessSample, values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.bundle import Manifest
    from models.online.sequence import Response, SequenceModel

    F64 = NDArray[np.float64]
    Flags = NDArray[np.bool_]

# A shifted target keeps this distance from a CV's ceiling [CV unit]; nearer, the penalty
# on the ceiling and the integrator would push against each other.
_CEILING_MARGIN = 2.0

CLOCK_JITTER_S = 1.0
"""How far the plant's clock may run back and count as standing still [s]: a clock that is set right
by a network, or read through a gateway, does that; anything more is a reset of the plant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """State between scans. Histories run from oldest to newest, the newest row is the last scan.

    plant_time_s: of the last scan, NaN before the first. pending_s: plant time since the last
    history row. filled: rows that hold data. estimate: (n_cv,). cost_filters, policy_filters:
    (n,). past_cv: (H, n_cv), past_mv: (H, n_mv), past_free: (H, n_blocks, n_cv), past_factors:
    (H, members, n_blocks, n_cv, n_mv). bias: (n_blocks, n_cv). disturbance: (n_cv,) of the rates
    [CV unit a sample]. integral: (n_cv,). plan: (n_blocks, n_mv) the last plan in MV units.
    """

    plant_time_s: float
    pending_s: float
    filled: int
    estimate: F64
    cost_filters: F64
    policy_filters: F64
    past_cv: F64
    past_mv: F64
    past_free: F64
    past_factors: F64
    bias: F64
    disturbance: F64
    integral: F64
    plan: F64


@dataclass(frozen=True, slots=True)
class _History:
    """The grown histories of a `Memory`, by its shapes."""

    filled: int
    cv: F64
    mv: F64
    free: F64
    factors: F64


class Tracker:
    """Steps a `Memory` from scan to scan, by the figures of the manifest."""

    def __init__(self, manifest: Manifest, model: SequenceModel) -> None:
        self._manifest = manifest
        self._model = model
        self.cost_map = FeatureMap(manifest.cost.features, manifest)
        self.policy_map = FeatureMap(manifest.policy.features, manifest)
        self._ends = np.array(horizon_ends(manifest.cost.blocks))
        self._lengths = np.array(manifest.cost.blocks, dtype=np.float64)
        self._rows = int(self._ends[-1]) + 1
        self._shift = _shift(manifest.cost.blocks)
        # What the prediction made `ends[h]` rows ago covers of the moves: block e, from row to row.
        base = self._rows - 1 - self._ends
        starts = np.concatenate(([0], self._ends[:-1]))
        self._base = base
        self._inside = np.tri(len(base), dtype=np.bool_)[:, :, None]
        self._from = np.where(self._inside[:, :, 0], base[:, None] + starts + 1, 0)
        self._to = np.where(self._inside[:, :, 0], base[:, None] + self._ends + 1, 0)
        self._by_horizon = np.ascontiguousarray(np.moveaxis(model.shared, 0, 1))
        self._half = np.array([(mv.high - mv.low) / 2.0 for mv in manifest.mvs])
        cvs = manifest.cvs
        observer = np.array([cv.observer_gain for cv in cvs])
        self._observer_log = np.log1p(-np.minimum(observer, 1 - 1e-12))
        self._disturbance_gain = np.array([cv.disturbance_gain for cv in cvs])
        self._disturbance_limit = np.array([cv.disturbance_limit for cv in cvs]) * (
            manifest.sample_time_s / 3600.0
        )
        self._bias_gain = np.array([cv.bias_gain for cv in cvs])
        self._bias_limit = np.array([cv.bias_limit for cv in cvs])
        self._integral_gain = np.array([cv.integral_gain for cv in cvs])
        self._integral_limit = np.array([cv.integral_limit for cv in cvs])
        self._rest = np.array([cv.rest_band for cv in cvs])
        self._integral_band = np.array([cv.integral_band for cv in cvs])
        ceiling = np.array([np.inf if cv.safe_high is None else cv.safe_high for cv in cvs])
        self._signs = np.array(manifest.cost.gain_signs)
        self._low = np.array([cv.low for cv in cvs])
        self._top = np.minimum([cv.high for cv in cvs], ceiling - _CEILING_MARGIN)

    def empty(self) -> Memory:
        """Memory before the first scan."""
        m, model = self._manifest, self._model
        n_cv, n_mv, n_blocks = model.n_cv, model.n_mv, model.n_blocks
        return Memory(
            plant_time_s=np.nan,
            pending_s=0.0,
            filled=0,
            estimate=np.zeros(n_cv),
            cost_filters=np.zeros(self.cost_map.n_filters),
            policy_filters=np.zeros(self.policy_map.n_filters),
            past_cv=np.zeros((self._rows, n_cv)),
            past_mv=np.zeros((self._rows, n_mv)),
            past_free=np.zeros((self._rows, n_blocks, n_cv)),
            past_factors=np.zeros((self._rows, m.cost.members, n_blocks, n_cv, n_mv)),
            bias=np.zeros((n_blocks, n_cv)),
            disturbance=np.zeros(n_cv),
            integral=np.zeros(n_cv),
            plan=np.zeros((n_blocks, n_mv)),
        )

    def observe(self, memory: Memory, sample: ProcessSample) -> Memory:
        """Bring filters and estimate to the instant of `sample`.

        Starts afresh when the plant's clock ran back by more than `CLOCK_JITTER_S` or jumped over
        `max_gap_s`.  A smaller step back is no elapsed time: the later time stays the one to count
        from, so that small steps do not add up unseen.
        """
        elapsed = sample.plant_time_s - memory.plant_time_s
        if not -CLOCK_JITTER_S <= elapsed <= self._manifest.max_gap_s:
            return self._first(sample)
        elapsed = max(elapsed, 0.0)
        seen = values(sample)
        predicted = memory.estimate + self._expected_change(memory, sample.mv, elapsed)
        gain = -np.expm1(self._observer_log * self._share(elapsed))
        miss = sample.cv - predicted
        disturbance = memory.disturbance + self._disturbance_gain * miss
        return replace(
            memory,
            plant_time_s=max(sample.plant_time_s, memory.plant_time_s),
            pending_s=memory.pending_s + elapsed,
            estimate=predicted + gain * miss,
            disturbance=_within(disturbance, self._disturbance_limit),
            cost_filters=self.cost_map.step_filters(memory.cost_filters, seen, elapsed),
            policy_filters=self.policy_map.step_filters(memory.policy_filters, seen, elapsed),
        )

    def learn(self, memory: Memory, sample: ProcessSample, response: Response) -> Memory:
        """Append this scan to the history, correct the bias by what came true, shift the plan."""
        first = memory.filled == 0
        rows = 1 if first else round(memory.pending_s / self._manifest.sample_time_s)
        if rows == 0:
            return memory
        rows = min(rows, self._rows)
        plan = memory.plan
        for _ in range(0 if first else rows):
            plan = self._shift @ plan
        grown = _History(
            filled=min(memory.filled + rows, self._rows),
            cv=_append(memory.past_cv, memory.estimate, rows),
            mv=_append(memory.past_mv, sample.mv, rows),
            free=_append(memory.past_free, response.free, rows),
            factors=_append(memory.past_factors, response.factors, rows),
        )
        return replace(
            memory,
            pending_s=0.0,
            filled=grown.filled,
            past_cv=grown.cv,
            past_mv=grown.mv,
            past_free=grown.free,
            past_factors=grown.factors,
            bias=self._bias(memory.bias, grown),
            plan=plan,
        )

    def integrate(
        self,
        memory: Memory,
        error: F64,
        elapsed_s: float,
        *,
        blocked_high: Flags,
        blocked_low: Flags,
    ) -> Memory:
        """Shift the targets by the error (n_cv,), not in the direction of a saturated MV.

        blocked_high, blocked_low: (n_mv,) bool, the MV cannot go further up or down.
        """
        if not self._integral_gain.any():
            return memory
        up = _reaches(self._signs, blocked_high, blocked_low)
        down = _reaches(self._signs, blocked_low, blocked_high)
        moves = (np.abs(error) <= self._integral_band) & ~(up & (error > 0)) & ~(down & (error < 0))
        step = self._integral_gain * error * self._share(elapsed_s) * moves
        integral = _within(memory.integral + step, self._integral_limit)
        return replace(memory, integral=integral)

    def target(self, memory: Memory, setpoint: F64) -> F64:
        """Setpoint (n_cv,) shifted by the integrators, inside validity and below the ceiling."""
        shifted = np.maximum(setpoint + memory.integral, np.minimum(self._low, setpoint))
        below: F64 = np.minimum(shifted, np.maximum(setpoint, self._top))
        return below

    def _share(self, elapsed_s: float) -> float:
        return elapsed_s / self._manifest.sample_time_s

    def _first(self, sample: ProcessSample) -> Memory:
        seen = values(sample)
        return replace(
            self.empty(),
            plant_time_s=sample.plant_time_s,
            estimate=sample.cv.copy(),
            cost_filters=self.cost_map.start_filters(seen),
            policy_filters=self.policy_map.start_filters(seen),
            plan=np.tile(sample.mv, (self._model.n_blocks, 1)),
        )

    def _expected_change(self, memory: Memory, mv: F64, elapsed_s: float) -> F64:
        """Change (n_cv,) that the model expected since the last scan, given the move in force."""
        if memory.filled == 0:
            return np.zeros(self._model.n_cv)
        moved = (mv - memory.past_mv[-1]) / self._half
        factors = memory.past_factors[-1, :, 0]
        gains = (self._model.shared[:, 0, :, 0, :] * factors).sum(axis=0) / len(factors)
        change = memory.past_free[-1, 0] + memory.bias[0] + gains @ moved
        expected: F64 = change * self._share(elapsed_s) / self._lengths[0]
        return expected

    def _bias(self, before: F64, past: _History) -> F64:
        """Bias (n_blocks, n_cv) moved towards the prediction errors that can be judged now."""
        count = int(np.searchsorted(self._ends, past.filled))
        if count == 0:
            return before
        base, inside = self._base[:count], self._inside[:count, :count]
        present, then = past.cv[-1], past.cv[base]
        total = np.zeros((self._rows + 1, past.mv.shape[1]))
        np.cumsum(past.mv, axis=0, out=total[1:])
        sums = total[self._to[:count, :count]] - total[self._from[:count, :count]]
        mean = sums / self._lengths[:count, None]
        moved = (mean - past.mv[base][:, None]) / self._half * inside
        factors = past.factors[base, :, np.arange(count)]
        shared = self._by_horizon[:count, :, :, :count]
        gains = (shared * factors[:, :, :, None, :]).sum(axis=1) / shared.shape[1]
        flat = (count, gains.shape[1], -1)
        change = (gains.reshape(flat) @ moved.reshape(count, -1, 1))[:, :, 0]
        miss = present - (then + past.free[base, np.arange(count)] + change)
        drift = (present - then) / self._rest
        at_rest = np.exp(-(drift * drift).sum(axis=1))[:, None]
        bias = before.copy()
        bias[:count] += self._bias_gain * at_rest * (miss - bias[:count])
        bias[count:] = bias[count - 1]
        return _within(bias, self._bias_limit)


def _within(value: F64, limit: F64) -> F64:
    """Value cut to +-limit."""
    cut: F64 = np.minimum(np.maximum(value, -limit), limit)
    return cut


def _shift(blocks: Sequence[int]) -> F64:
    """Matrix (n_blocks, n_blocks) that turns a plan into the same plan one sample later."""
    owner = np.repeat(np.arange(len(blocks)), blocks)
    later = np.append(owner[1:], owner[-1])
    matrix = np.zeros((len(blocks), len(blocks)))
    np.add.at(matrix, (owner, later), 1.0)
    shifted: F64 = matrix / np.array(blocks)[:, None]
    return shifted


def _append(past: F64, row: F64, times: int) -> F64:
    """History with `row` appended `times` times and the oldest dropped."""
    grown: F64 = np.concatenate((past[times:], *[row[None]] * times))
    return grown


def _reaches(signs: NDArray[np.int_], positive: Flags, negative: Flags) -> Flags:
    """CVs (n_cv,) whose rise needs an MV that is blocked."""
    blocked = ((signs > 0) & positive) | ((signs < 0) & negative)
    return np.asarray(blocked.any(axis=1), dtype=np.bool_)
