"""Where the data come from: the environment, its PI, and the life of a plant in operation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.bundle.fields import Count, Finite, Frozen, NonNegative, Positive


class Source(Frozen):
    """The environment that makes the data, and where its observation holds which tag.

    `observation`, `setpoints`: index in the observation by tag name. `state`: names of the
    true state in `info["state"]`.
    """

    environment: str
    scenarios: Annotated[list[str], Field(min_length=1)]
    sample_time_s: Positive
    hours: Positive
    observation: dict[str, int]
    setpoints: dict[str, int]
    state: list[str]


class Historian(Frozen):
    """What a plant in operation adds to its PI, and what its historian keeps of it.

    `campaign_episodes`: episodes of each scenario that run with one tuning. `setpoints`: corners
    [CV units] of the region from which operators draw a setpoint every `setpoint_hours` on
    average. `manual_hours`: mean time between manual periods, `manual_length_h`: shortest and
    longest of them, `manual_move_h`: mean time between the operator's moves in one,
    `manual_step`: largest of these moves, `manual_reach`: largest distance from the output
    at which the loop was taken [MV units]. `resolution`: step of the log by tag [its unit].
    `gap_hours`: mean time between gaps in the log, `gap_length_h`: their mean length.
    """

    campaign_episodes: Count
    setpoints: Annotated[list[list[Finite]], Field(min_length=1)]
    setpoint_hours: Positive
    manual_hours: Positive
    manual_length_h: tuple[Positive, Positive]
    manual_move_h: Positive
    manual_step: list[NonNegative]
    manual_reach: list[NonNegative]
    resolution: dict[str, Positive]
    gap_hours: Positive
    gap_length_h: Positive


class Behaviour(Frozen):
    """How the historical data come about: a PI with random tunings, and what is added to it.

    `override_on_K`, `override_off_K`: the DCS's high-temperature override in the data.
    `dither`: size of the uniform steps added to each output [MV units], held `dither_hold_s`.
    `random_bias`: the PI's bias (its first output) is drawn as well. `setpoint_spread`: each
    episode's setpoint is drawn this far around the scenario's, by CV [CV units].
    `variant` names the kind: `mild_dither`; `published_pi`, the PI alone as arXiv 2507.22640 has
    it; `historian`, the record of a plant in operation, see `Historian`.
    """

    variant: Literal["mild_dither", "published_pi", "historian"]
    episodes_per_scenario: Count
    override_on_K: Positive
    override_off_K: Positive
    dither: list[NonNegative]
    dither_hold_s: Positive
    random_bias: bool
    setpoint_spread: dict[str, NonNegative] = {}
    noise: bool
    mismatch: bool
    historian: Historian | None = None

    @model_validator(mode="after")
    def _is_what_it_is_called(self) -> Self:
        spread = any(self.setpoint_spread.values())
        if self.variant == "published_pi" and (any(self.dither) or self.random_bias or spread):
            raise ValueError(
                "variant published_pi: allowed: dither 0, setpoint_spread 0, random_bias false"
            )
        if (self.variant == "historian") != (self.historian is not None):
            raise ValueError("[behaviour.historian] belongs to variant historian, and only there")
        return self
