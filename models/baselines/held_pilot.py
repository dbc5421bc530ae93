"""The pilot `held_action`: one action, held, minimises c(s, a); see `models.baselines.held`.

A slow integrator shifts the target by the remaining error: the networks' own error at rest would
otherwise stay as an offset. It moves near the setpoint only, and stands still while an MV is at
its limit or the plant's override acts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from models.baselines.loaded import baselines_of, digest_of, loaded
from models.baselines.observation import sample_of
from models.baselines.policy_pilot import pilots as policy_pilots
from models.baselines.scalar_cost import minimise
from models.bundle import BundleError
from models.online.box_problem import Unsolved
from models.online.features import values

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.baselines.policy_pilot import PolicyPilot
    from models.bundle import HeldCost
    from models.online.features import ProcessSample
    from models.recipe import Source

    F64 = NDArray[np.float64]

_CODE = 1  # part of the digest; raise it when the moves change for the same weights


@dataclass(kw_only=True)
class HeldPilot:
    """Certified minimiser of the held-action cost. noted: `refused`, 1 where the gap was too wide.

    Then the move in force is held.
    """

    bundle: str
    source: Source
    name: str = "held_action"
    noted: dict[str, float] = field(default_factory=dict, repr=False)
    _filters: F64 | None = field(default=None, init=False, repr=False)
    _integral: F64 | None = field(default=None, init=False, repr=False)
    _time_s: float = field(default=0.0, init=False, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over weights, figures and options."""
        return digest_of(self.bundle, self.source, code=_CODE)

    def reset_options(self) -> dict[str, Any]:
        """Options of the environment's reset: none."""
        return {}

    def begin(self, env: object, seen: F64, info: dict[str, Any]) -> None:  # noqa: ARG002
        """Forget the last episode."""
        self._filters = self._integral = None

    def decide(self, seen: F64, info: dict[str, Any]) -> F64:
        """Targets (n_mv,) [MV units] for the next sample."""
        models = loaded(self.bundle)
        if models.held is None:
            raise BundleError(f"{self.bundle}: holds no held-action PICNN; train the bundle again")
        held, features = models.held.figures, models.held.features
        sample = sample_of(models.manifest, self.source, seen, info)
        now = values(sample)
        if self._filters is None or self._integral is None:
            self._filters, self._integral = features.start_filters(now), np.zeros(len(sample.cv))
        else:
            elapsed = sample.plant_time_s - self._time_s
            self._filters = features.step_filters(self._filters, now, elapsed)
        self._time_s = sample.plant_time_s
        error = sample.sp - sample.cv + self._integral
        cost = models.held.network.at(
            features.vector(now, error, self._filters), error / held.error_scale
        )
        low = np.array([mv.low for mv in models.manifest.mvs])
        high = np.array([mv.high for mv in models.manifest.mvs])
        half = (high - low) / 2.0
        found = minimise(
            cost,
            np.zeros(len(half)),
            (low - sample.mv) / half,
            (high - sample.mv) / half,
            gap_absolute=held.gap_absolute,
            gap_relative=held.gap_relative,
            max_iterations=held.max_iterations,
        )
        self.noted = {"refused": float(isinstance(found, Unsolved))}
        if isinstance(found, Unsolved):
            return sample.mv
        target: F64 = np.clip(sample.mv + found.action * half, low, high)
        if info["override_s"] == 0.0 and np.all((low < target) & (target < high)):
            self._integral = integrated(self._integral, held, sample)
        return target


def integrated(integral: F64, held: HeldCost, sample: ProcessSample) -> F64:
    """The integrators (n_cv,) [CV units] one sample on."""
    error = sample.sp - sample.cv
    step = np.array(held.integral_gain) * error * (np.abs(error) <= held.integral_band)
    limit = np.array(held.integral_limit)
    shifted: F64 = np.clip(integral + step, -limit, limit)
    return shifted


def pilots(bundle: Path, source: Source) -> list[PolicyPilot | HeldPilot]:
    """All pilots of a bundle's baselines."""
    held = baselines_of(bundle)[1].held
    alone = [] if held is None else [HeldPilot(bundle=str(bundle), source=source)]
    return [*policy_pilots(bundle, source), *alone]
