"""Pilots of the paper's controllers: a policy, with or without a scalar PICNN behind it.

`bc`, `iql`: the policy alone. `bc_plus`, `iql_plus`: corrected by truncated projected gradient
descent, as published. `bc_plus_certified`, `iql_plus_certified`: corrected to the certified
minimum inside the same trust radius. The cost is that of `models.baselines.held` where the bundle
has it; `.._plus_discounted` descends a regression of the discounted tracking cost instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.baselines.loaded import Loaded, baselines_of, digest_of, loaded
from models.baselines.observation import sample_of, stepped_features
from models.baselines.scalar_cost import Collapsed, Minimum, descend, minimise, trust_box
from models.online.box_problem import Unsolved

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundle import HeldCost, ScalarCost
    from models.online.features import ProcessSample
    from models.recipe import Source

    F64 = NDArray[np.float64]

Correction = Literal["none", "descent", "certified"]
Target = Literal["partial_minimum", "discounted"]
_CODE = 3  # part of the digest; raise it when the moves change for the same weights


@dataclass(kw_only=True)
class PolicyPilot:
    """A policy and its correction.

    `target`: what the cost learned; `partial_minimum` is the held-action PICNN, `discounted` the
    regression of the discounted tracking cost. `trust_radius`: instead of the manifest's.
    """

    name: str
    bundle: str
    source: Source
    policy: str
    correction: Correction = "none"
    target: Target = "discounted"
    trust_radius: float | None = None
    noted: dict[str, float] = field(default_factory=dict, repr=False)
    _filters: F64 | None = field(default=None, init=False, repr=False)
    _held_filters: F64 | None = field(default=None, init=False, repr=False)
    _time_s: float = field(default=0.0, init=False, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over weights, figures and options."""
        options = [self.policy, self.correction, self.target, self.trust_radius]
        return digest_of(self.bundle, self.source, code=_CODE, options=options)

    def reset_options(self) -> dict[str, Any]:
        """Options of the environment's reset: none."""
        return {}

    def begin(self, env: object, seen: F64, info: dict[str, Any]) -> None:  # noqa: ARG002
        """Forget the last episode."""
        self._filters = self._held_filters = None

    def decide(self, seen: F64, info: dict[str, Any]) -> F64:
        """Targets (n_mv,) [MV units] for the next sample."""
        models = loaded(self.bundle)
        sample = sample_of(models.manifest, self.source, seen, info)
        policy = models.section.policies[self.policy]
        elapsed = sample.plant_time_s - self._time_s
        self._time_s = sample.plant_time_s
        self._filters, features = stepped_features(
            models.maps[self.policy], sample, self._filters, elapsed
        )
        action = np.tanh(models.policies[self.policy](features))
        low = np.array([mv.low for mv in models.manifest.mvs])
        high = np.array([mv.high for mv in models.manifest.mvs])
        increment = np.array(policy.increment_scale)
        if self.correction != "none":
            cost, figures = self._cost(models, features, sample, elapsed)
            box = self._box(
                action, figures, (low - sample.mv) / increment, (high - sample.mv) / increment
            )
            found = self._corrected(cost, figures, np.clip(action, *box), box)
            self.noted = {"refused": float(isinstance(found, Unsolved))}
            if isinstance(found, Unsolved):
                return sample.mv  # never the policy's own action in the place of a corrected one
            action = found.action
        target: F64 = np.clip(sample.mv + action * increment, low, high)
        return target

    def _box(
        self, action: F64, figures: ScalarCost | HeldCost, low: F64, high: F64
    ) -> tuple[F64, F64]:
        """Increments allowed to the correction; low, high: (n_mv,) ends of the MVs' ranges.

        The discounted cost has seen increments of the data only, which end at +-1.
        """
        radius = figures.trust_radius if self.trust_radius is None else self.trust_radius
        if self.target == "discounted":
            return trust_box(action, radius)
        return trust_box(action, radius, low, high)

    def _cost(
        self, models: Loaded, features: F64, sample: ProcessSample, elapsed: float
    ) -> tuple[Collapsed, ScalarCost | HeldCost]:
        """The cost of an increment now, and the figures of its descent."""
        held = models.held
        if self.target == "discounted" or held is None:
            return models.scalar.at(features), models.section.scalar
        self._held_filters, seen = stepped_features(
            held.features, sample, self._held_filters, elapsed
        )
        error = (sample.sp - sample.cv) / held.figures.error_scale
        half = np.array([(mv.high - mv.low) / 2.0 for mv in models.manifest.mvs])
        increment = np.array(models.section.policies[self.policy].increment_scale)
        return held.network.at(seen, error).rescaled(increment / half), held.figures

    def _corrected(
        self,
        cost: Collapsed,
        figures: ScalarCost | HeldCost,
        action: F64,
        box: tuple[F64, F64],
    ) -> Minimum | Unsolved:
        if self.correction == "descent":
            steps, rate = figures.descent_steps, figures.descent_rate
            return descend(cost, action, box, steps=steps, rate=rate)
        return minimise(
            cost,
            action,
            *box,
            gap_absolute=figures.gap_absolute,
            gap_relative=figures.gap_relative,
            max_iterations=figures.max_iterations,
        )


def pilots(bundle: Path, source: Source) -> list[PolicyPilot]:
    """All pilots of a bundle's policies."""
    section = baselines_of(bundle)[1]
    target: Target = "discounted" if section.held is None else "partial_minimum"
    ways: dict[str, tuple[Correction, Target]] = {
        "": ("none", target),
        "_plus": ("descent", target),
        "_plus_certified": ("certified", target),
        "_plus_discounted": ("descent", "discounted"),
    }
    return [
        PolicyPilot(
            name=policy + ending,
            bundle=str(bundle),
            source=source,
            policy=policy,
            correction=correction,
            target=learned,
        )
        for policy in section.policies
        for ending, (correction, learned) in ways.items()
    ]
