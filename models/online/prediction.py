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
        self._half = np.array([(mv.high - mv.low) / 2.0 for mv in manifest.mvs])
        cvs = manifest.cvs
        self._observer = np.array([cv.observer_gain for cv in cvs])
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
        self._ceiling = np.array([np.inf if cv.safe_high is None else cv.safe_high for cv in cvs])
        self._signs = np.array(manifest.cost.gain_signs)

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
        gain = -np.expm1(np.log1p(-np.minimum(self._observer, 1 - 1e-12)) * self._share(elapsed))
        miss = sample.cv - predicted
        limit = self._disturbance_limit
        return replace(
            memory,
            plant_time_s=max(sample.plant_time_s, memory.plant_time_s),
            pending_s=memory.pending_s + elapsed,
            estimate=predicted + gain * miss,
            disturbance=np.clip(memory.disturbance + self._disturbance_gain * miss, -limit, limit),
            cost_filters=self.cost_map.step_filters(memory.cost_filters, seen, elapsed),
            policy_filters=self.policy_map.step_filters(memory.policy_filters, seen, elapsed),
        )

    def learn(self, memory: Memory, sample: ProcessSample, response: Response) -> Memory:
        """Append this scan to the history and correct the bias by what came true."""
        first = memory.filled == 0
        rows = 1 if first else round(memory.pending_s / self._manifest.sample_time_s)
        if rows == 0:
            return memory
        rows = min(rows, self._rows)
        grown = replace(
            memory,
            pending_s=0.0,
            filled=min(memory.filled + rows, self._rows),
            past_cv=_append(memory.past_cv, memory.estimate, rows),
            past_mv=_append(memory.past_mv, sample.mv, rows),
            past_free=_append(memory.past_free, response.free, rows),
            past_factors=_append(memory.past_factors, response.factors, rows),
        )
        return replace(grown, bias=self._bias(grown))

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
        up = _reaches(self._signs, blocked_high, blocked_low)
        down = _reaches(self._signs, blocked_low, blocked_high)
        moves = (np.abs(error) <= self._integral_band) & ~(up & (error > 0)) & ~(down & (error < 0))
        step = self._integral_gain * error * self._share(elapsed_s) * moves
        integral = np.clip(memory.integral + step, -self._integral_limit, self._integral_limit)
        return replace(memory, integral=integral)

    def target(self, memory: Memory, setpoint: F64) -> F64:
        """Setpoint (n_cv,) shifted by the integrators, inside validity and below the ceiling."""
        low = np.array([cv.low for cv in self._manifest.cvs])
        high = np.array([cv.high for cv in self._manifest.cvs])
        top = np.maximum(setpoint, np.minimum(high, self._ceiling - _CEILING_MARGIN))
        shifted: F64 = np.clip(setpoint + memory.integral, np.minimum(low, setpoint), top)
        return shifted

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
        gains = (self._model.shared[:, 0, :, 0, :] * memory.past_factors[-1, :, 0]).mean(axis=0)
        change = memory.past_free[-1, 0] + memory.bias[0] + gains @ moved
        expected: F64 = change * self._share(elapsed_s) / self._lengths[0]
        return expected

    def _bias(self, memory: Memory) -> F64:
        """Bias (n_blocks, n_cv) moved towards the prediction errors that can be judged now."""
        known = self._ends < memory.filled
        count = int(np.count_nonzero(known))
        if count == 0:
            return memory.bias
        bias = memory.bias.copy()
        last = self._rows - 1
        base = last - self._ends[:count]
        total = np.concatenate(
            (np.zeros((1, memory.past_mv.shape[1])), np.cumsum(memory.past_mv, 0))
        )
        starts = np.concatenate(([0], self._ends[:-1]))[:count]
        from_row = base[:, None] + starts + 1
        to_row = np.minimum(base[:, None] + self._ends[:count], last)
        inside = np.tri(count, dtype=bool)
        from_row = np.where(inside, from_row, 0)
        to_row = np.where(inside, to_row, 0)
        mean = (total[to_row + 1] - total[from_row]) / self._lengths[:count, None]
        moved = (mean - memory.past_mv[base][:, None]) / self._half * inside[:, :, None]
        shared = self._model.shared[:, :count, :, :count]
        factors = memory.past_factors[base, :, np.arange(count)]
        moved_cv = np.einsum("ehcju,hecu,hju->hc", shared, factors, moved) / shared.shape[0]
        rows = np.arange(count)
        predicted = memory.past_cv[base] + memory.past_free[base, rows] + moved_cv
        miss = memory.past_cv[-1] - predicted
        change = (memory.past_cv[-1] - memory.past_cv[base]) / self._rest
        at_rest = np.exp(-np.sum(change * change, axis=1))[:, None]
        bias[:count] += self._bias_gain * at_rest * (miss - bias[:count])
        bias[count:] = bias[count - 1]
        return np.clip(bias, -self._bias_limit, self._bias_limit)


def _append(past: F64, row: F64, times: int) -> F64:
    """History with `row` appended `times` times and the oldest dropped."""
    kept = past[times:]
    grown: F64 = np.concatenate((kept, np.broadcast_to(row, (times, *row.shape))))
    return grown


def _reaches(signs: NDArray[np.int_], positive: Flags, negative: Flags) -> Flags:
    """CVs (n_cv,) whose rise needs an MV that is blocked."""
    blocked = ((signs > 0) & positive) | ((signs < 0) & negative)
    return np.asarray(blocked.any(axis=1), dtype=np.bool_)
