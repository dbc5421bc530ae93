"""The sections of a manifest: tags, features, networks, costs, findings about the data."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.bundle.fields import Count, Finite, Frozen, NonNegative, Positive, Share


class Signal(Frozen):
    """A manipulated or further measured variable: name, unit, range [unit]."""

    name: str
    unit: str
    low: Finite
    high: Finite


class Controlled(Signal):
    """A controlled variable, and what the correction wants of it.

    `low`, `high`: validity of the training data [unit]. `safe_high`: soft ceiling of every
    predicted value [unit]. `scale`: unit of the network's predicted change [unit].
    `weight`: cost of a squared error [1/unit^2]. `observer_gain`: share of a prediction
    error that is believed at once (1 = no filtering of the measurement).
    `disturbance_gain`: share of a prediction error that is taken for an unmeasured disturbance of
    the rate [1/sample]; `disturbance_limit`: largest disturbance [unit/h].
    `bias_gain`, `bias_limit`: correction of the predictions by their past errors, per sample,
    [unit]; errors count less, the more the CV has changed against `rest_band` [unit].
    `integral_gain`, `integral_limit`, `integral_band`: slow shift of the target,
    share of the error per sample, its limit [unit], and the error within which it moves [unit].
    """

    safe_high: Finite | None = None
    scale: Positive
    weight: NonNegative
    observer_gain: Annotated[float, Field(gt=0, le=1)]
    disturbance_gain: Share
    disturbance_limit: NonNegative
    bias_gain: Share
    bias_limit: NonNegative
    rest_band: Positive
    integral_gain: Share
    integral_limit: NonNegative
    integral_band: NonNegative


class Initial(Frozen):
    """First value of a filter: `constant` + sum of `terms[tag]` * value, cut to [low, high]."""

    constant: Finite
    terms: dict[str, Finite] = {}
    low: Finite
    high: Finite


class Feature(Frozen):
    """One input of a network: (quantity - offset) / scale, cut to +-`clip` where given.

    `kind`: `value` of a CV or DV; `error` SP - PV of a CV; `move`, the present value of an MV;
    `filter`, a first-order filter of a tag with `time_constant_s` of plant time.
    """

    kind: Literal["value", "error", "move", "filter"]
    source: str
    offset: Finite
    scale: Positive
    clip: Positive | None = None
    time_constant_s: Positive | None = None
    initial: Initial | None = None

    @model_validator(mode="after")
    def _filter_is_whole(self) -> Self:
        whole = self.time_constant_s is not None and self.initial is not None
        if (self.kind == "filter") != whole:
            raise ValueError("`time_constant_s` and `initial` belong to kind 'filter', both")
        return self


class Policy(Frozen):
    """The policy network: features -> scaled increments of the MVs in [-1, 1].

    `increment_scale`: increment of each MV at 1.0, in its unit per sample.
    """

    algorithm: str
    features: list[Feature]
    increment_scale: list[Positive]
    layers: Count


class SequenceCost(Frozen):
    """The sequence PICNN c(s, U) and how it is minimised; see `models.learning.sequence_picnn`.

    `blocks`: samples over which each move is held. `horizon_weights`: one per block end,
    non-negative. `gain_signs`: (n_cv, n_mv), +1, -1 or 0 (no path). `move_penalty`: per
    squared scaled change between blocks. `ceiling_penalty`: per squared excess over
    `safe_high` [1/unit^2], counted over the first `ceiling_blocks` blocks (null: all): what is
    predicted further ahead can still be prevented by later moves. `disturbance_keep`: share of an
    unmeasured disturbance that is left after a sample. `proximal`: weight of the
    squared scaled distance of the first move from the policy's. `trust_radius`: largest scaled
    distance of the first move from the policy's (null: none).
    """

    kind: Literal["sequence"]
    features: list[Feature]
    members: Count
    layers: Count
    blocks: list[Count]
    horizon_weights: list[NonNegative]
    gain_signs: list[list[Literal[-1, 0, 1]]]
    disturbance_keep: Annotated[float, Field(gt=0, lt=1)]
    move_penalty: Positive
    ceiling_penalty: NonNegative
    ceiling_blocks: Count | None = None
    proximal: NonNegative
    trust_radius: Positive | None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Annotated[int, Field(ge=1, le=1000)]


def horizon_ends(blocks: list[int]) -> list[int]:
    """Sample at which each block of moves ends, e.g. [1, 1, 2] -> [1, 2, 4]."""
    ends: list[int] = []
    for length in blocks:
        ends.append((ends[-1] if ends else 0) + length)
    return ends


class ScalarCost(Frozen):
    """The scalar PICNN c(s, a) of the paper and how an action descends it.

    See `models.baselines.scalar_cost`. a: scaled increments of the policy. `descent_steps`,
    `descent_rate`: the truncated projected gradient descent. `trust_radius`: largest distance of
    each component from the policy's (null: none). `gap_absolute`, `gap_relative`,
    `max_iterations`: of the certified minimiser.
    """

    features: list[Feature]
    layers: Count
    descent_steps: Count
    descent_rate: Positive
    trust_radius: Positive | None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Annotated[int, Field(ge=1, le=1000)]


class HeldCost(Frozen):
    """The held-action PICNN c(s, a); a: scaled deviation from the move in force.

    `error_scale`: (n_cv,) unit of the error in the centre of its quadratic part [CV unit].
    `integral_gain`, `integral_limit`, `integral_band`: (n_cv,), as in `Controlled`.
    `descent_steps`, `descent_rate`, `trust_radius`: of the correction of a policy by this cost, in
    the policy's scaled increments, as in `ScalarCost`.
    """

    features: list[Feature]
    layers: Count
    error_scale: list[Positive]
    integral_gain: list[Share]
    integral_limit: list[NonNegative]
    integral_band: list[NonNegative]
    descent_steps: Count
    descent_rate: Positive
    trust_radius: Positive | None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Annotated[int, Field(ge=1, le=1000)]


class Baselines(Frozen):
    """What the evaluation compares with, in `baselines.safetensors`; the controller reads none.

    `policies`: by algorithm, networks `policy.<algorithm>.net`.
    """

    policies: dict[str, Policy]
    scalar: ScalarCost
    held: HeldCost | None = None


class HalfPlane(Frozen):
    """One side of the setpoint envelope: sum normal_i * sp_i <= limit."""

    normal: list[Finite]
    limit: Finite


class DataCheck(Frozen):
    """One finding about the training data; `refuse` is found in no bundle."""

    severity: Literal["refuse", "flag"]
    column: str
    reason: str
    figure: str
    advice: str
