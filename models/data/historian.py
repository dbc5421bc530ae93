"""A plant in operation, for the data variant `historian`: its operators and its historian.

The operators give new setpoints now and then and take loops into MAN for hours, moving the
output in steps; the historian rounds what it keeps and loses rows. The PI keeps one tuning
for a campaign of several episodes. All figures are the recipe's (`models.recipe.Historian`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.recipe import Historian, Recipe

    F64 = NDArray[np.float64]

_CAMPAIGN = 0xCA  # keeps the campaigns' random stream apart from the episodes'


def campaign_rng(seed: int, campaign: int) -> np.random.Generator:
    """The generator that draws the tuning of one campaign, equal for all its episodes."""
    return np.random.default_rng([seed, _CAMPAIGN, campaign])


class Operator:
    """What the operators do during one episode; asked once a sample."""

    def __init__(self, rule: Historian, recipe: Recipe, rng: np.random.Generator) -> None:
        self._rule, self._rng = rule, rng
        self._sample_h = recipe.source.sample_time_s / 3600.0
        self._sp_at = [recipe.source.setpoints[cv.name] for cv in recipe.cvs]
        self._low = np.array([mv.low for mv in recipe.mvs])
        self._high = np.array([mv.high for mv in recipe.mvs])
        self._corners = np.array(rule.setpoints)
        n_mv = len(recipe.mvs)
        self._left_h = np.zeros(n_mv)  # of the manual period of each loop
        self._taken_at = np.zeros(n_mv)
        self._output = np.full(n_mv, np.nan)

    def act(self, env: Any, seen: F64, info: dict[str, Any]) -> dict[str, F64]:
        """Arguments of the environment's `step_regulatory` for the next sample.

        seen: the observation that was logged; a new setpoint is written into it, since it is the
        one in force from here on. info: the environment's about the sample just past.
        """
        if self._happens(self._rule.setpoint_hours):
            share = self._rng.dirichlet(np.ones(len(self._corners)))
            setpoint = np.round(share @ self._corners, 1)
            env.change_setpoint(setpoint)
            seen[self._sp_at] = setpoint
        self._left_h -= self._sample_h
        for loop in range(len(self._output)):
            self._attend(loop, float(info["actual"][loop]), overridden=info["override_s"] > 0.0)
        return {"manual": self._output.copy()}

    def _attend(self, loop: int, actual: float, *, overridden: bool) -> None:
        """Take one loop into MAN, move its output there, or give it back to its PI.

        Nobody takes a loop while the override has it: its output is then no operating point.
        """
        if np.isnan(self._output[loop]):
            if self._happens(self._rule.manual_hours) and not overridden:
                self._left_h[loop] = self._rng.uniform(*self._rule.manual_length_h)
                self._taken_at[loop] = actual
                self._output[loop] = actual
            return
        if self._left_h[loop] <= 0.0:
            self._output[loop] = np.nan
        elif self._happens(self._rule.manual_move_h):
            step, reach = self._rule.manual_step[loop], self._rule.manual_reach[loop]
            wanted = self._output[loop] + self._rng.uniform(-step, step)
            near = np.clip(wanted, self._taken_at[loop] - reach, self._taken_at[loop] + reach)
            self._output[loop] = np.clip(near, self._low[loop], self._high[loop])

    def _happens(self, mean_hours: float) -> bool:
        """Whether something that comes every `mean_hours` on average comes in this sample."""
        return bool(self._rng.random() < -np.expm1(-self._sample_h / mean_hours))


def logged(
    columns: dict[str, F64], recipe: Recipe, rule: Historian, rng: np.random.Generator
) -> dict[str, F64]:
    """What the historian keeps: values rounded to its resolution, without the lost rows."""
    kept = _kept(len(columns["peak"]), recipe.source.sample_time_s / 3600.0, rule, rng)
    step = {
        "cv": [rule.resolution.get(cv.name) for cv in recipe.cvs],
        "mv": [rule.resolution.get(mv.name) for mv in recipe.mvs],
        "dv": [rule.resolution.get(dv.name) for dv in recipe.dvs],
    }
    out = {name: column[kept] for name, column in columns.items()}
    for name, steps in step.items():
        for i, size in enumerate(steps):
            if size is not None:
                out[name][:, i] = np.round(out[name][:, i] / size) * size
    return out


def _kept(
    samples: int, sample_h: float, rule: Historian, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Rows (samples,) that are in the log; the first always is."""
    kept = np.ones(samples, dtype=bool)
    begins = np.flatnonzero(rng.random(samples) < -np.expm1(-sample_h / rule.gap_hours))
    for begin in begins:
        length = 1 + round(rng.exponential(rule.gap_length_h) / sample_h)
        kept[max(begin, 1) : begin + length] = False
    return kept
