"""What is trained, and by which figures: features, policies, the three cost networks."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from models.bundle.fields import Count, Finite, Frozen, NonNegative, Positive, Share


class FeatureRecipe(Frozen):
    """One feature; offset and scale are fitted to the data.

    `start`: first value of a filter in an episode, by scenario; else its source's first value.
    """

    kind: Literal["value", "error", "move", "filter"]
    source: str
    clip: Positive | None = None
    time_constant_s: Positive | None = None
    start: dict[str, Finite] = {}


class PolicyRecipe(Frozen):
    """IQL (Kostrikov et al. 2021, arXiv 2110.06169) and behaviour cloning share these.

    `stride`: samples of one decision; its action is the mean move a sample over them. `discount`:
    of one sample. `expectile`: of the value loss. `temperature`: inverse temperature of the
    advantage weight, `weight_limit`: its ceiling. `target_rate`: Polyak step of the target critics.
    Reward of a sample = -(tracking cost ** `reward_power`) / `reward_scale`; 0.5 keeps the errors
    of a start from drowning those near the setpoint. `relabel`: share of IQL's batches under
    setpoints drawn anew, see `models.learning.hindsight`.
    """

    algorithm: Literal["iql", "bc"]
    features: list[FeatureRecipe]
    width: Count
    layers: Count
    steps: Count
    batch: Count
    learning_rate: Positive
    stride: Count
    discount: Annotated[float, Field(gt=0, lt=1)]
    expectile: Annotated[float, Field(ge=0.5, lt=1)]
    temperature: NonNegative
    weight_limit: Positive
    target_rate: Annotated[float, Field(gt=0, le=1)]
    reward_scale: Positive
    reward_power: Annotated[float, Field(gt=0, le=1)]
    relabel: Share
    increment_quantile: Annotated[float, Field(gt=0.5, le=1)]


class DynamicsRecipe(Frozen):
    """The process model that is learned from the data, see `models.learning.dynamics`.

    `steps`, `batch`, `learning_rate`: one sample ahead; `rollout_steps`, `rollout_batch`,
    `rollout_rate`: then over `rollout` samples, each from the prediction before. `loss_knee`: in
    spreads of the change, see `models.learning.sequence_picnn.SequenceTrainer`.
    """

    members: Count
    width: Count
    layers: Count
    steps: Count
    batch: Count
    learning_rate: Positive
    rollout: Count
    rollout_steps: Count
    rollout_batch: Count
    rollout_rate: Positive
    loss_knee: Positive


class ImaginedRecipe(Frozen):
    """Horizons that the learned process model is asked for, see `models.learning.imagined`.

    `horizons`: how many begin at a state of the data; as many again begin where these have led.
    `held`, `recorded`: share of the plans around the moves in force and around those that the
    record goes on with; the others lie around those of another time. `excursion`: largest scale of
    the steps added to a plan, `probe`: of the one MV that is moved to learn its effect, both in
    half ranges of the MVs. `elsewhere`: share of the states that are shown with other moves in
    force. `margin`: how far past the range of the data a state counts, in ranges.
    `disagreement`: distance between the members of the process model, in spreads of the data,
    from which on a horizon is cut.
    """

    horizons: Count
    held: Share
    recorded: Share
    excursion: Positive
    probe: Positive
    elsewhere: Share
    margin: NonNegative
    disagreement: Positive

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.held + self.recorded > 1.0:
            raise ValueError("`held` and `recorded` are shares of one whole; allowed: up to 1")
        return self


class CostRecipe(Frozen):
    """The sequence PICNN: networks, training, and the figures of the correction.

    `sensitivity_weight`: of the loss on differences between two plans against that on the
    predictions themselves. `horizon_hours`: time constant with which horizons count less, the
    further ahead the less sure. `disturbance_hours`: with which an unmeasured disturbance of a
    rate is expected to vanish.
    """

    features: list[FeatureRecipe]
    members: Count
    width: Count
    layers: Count
    steps: Count
    batch: Count
    learning_rate: Positive
    input_noise: dict[str, NonNegative]
    loss_knee: Positive
    sensitivity_weight: NonNegative
    blocks: list[Count]
    horizon_hours: Positive
    disturbance_hours: Positive
    gain_signs: list[list[Literal[-1, 0, 1]]]
    move_penalty: Positive
    ceiling_penalty: NonNegative
    ceiling_blocks: Count
    proximal: NonNegative
    trust_radius: Positive | None = None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Count

    @field_validator("features")
    @classmethod
    def _of_the_process(cls, features: list[FeatureRecipe]) -> list[FeatureRecipe]:
        if any(feature.kind == "error" for feature in features):
            raise ValueError(
                "kind `error`: the process does not know its setpoint; "
                "allowed: value, move and filter"
            )
        return features


class ScalarRecipe(Frozen):
    """The scalar PICNN of the paper: networks, training, truncated gradient descent.

    `target_steps`: samples of discounted tracking cost that the network learns.
    """

    width: Count
    layers: Count
    steps: Count
    batch: Count
    learning_rate: Positive
    target_steps: Count
    discount: Share
    descent_steps: Count
    descent_rate: Positive
    trust_radius: Positive | None = None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Count


class HeldRecipe(Frozen):
    """The held-action PICNN: networks, training, and the integrators of its pilot.

    `states`: how many states are solved for targets. `move_penalty`: of the sequence cost whose
    partial minimum is the target. `floor`: scaled move below which errors count absolutely.
    `integral_gain`, `integral_limit`, `integral_band`: by CV, as `Controlled` has them.
    `descent_steps`, `descent_rate`, `trust_radius`: of the correction of a policy by this cost, in
    the policy's scaled increments.
    """

    features: list[FeatureRecipe]
    width: Count
    rest_width: Count
    layers: Count
    steps: Count
    batch: Count
    learning_rate: Positive
    states: Count
    move_penalty: Positive
    floor: Positive
    integral_gain: list[Share]
    integral_limit: list[NonNegative]
    integral_band: list[NonNegative]
    descent_steps: Count
    descent_rate: Positive
    trust_radius: Positive | None = None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Count
