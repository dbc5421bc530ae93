"""A training recipe: which plant, which data, which networks, which tuning; one TOML file.

The shipped recipes lie in `models/recipes/`. A recipe may say `extends = "NAME"` and hold only
what differs. Everything that is particular to one plant is
here and in the plant's own environment; the code of `models` reads names and numbers only.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.bundle import Controlled, Finite, NonNegative, Positive, Share, Signal
from models.bundle.conformal import Level, episodes_needed
from models.recipe.evaluation import EvaluationRecipe

if TYPE_CHECKING:
    from collections.abc import Iterable

Count = Annotated[int, Field(ge=1)]
RECIPES = Path(__file__).parents[1] / "recipes"


class RecipeError(Exception):
    """A recipe that cannot be used; the message names file, key and what is allowed."""


class Frozen(BaseModel):
    """A part of a recipe: unchangeable, and no key that is not named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class CostRecipe(Frozen):
    """The sequence PICNN: networks, training, and the figures of the correction."""

    features: list[FeatureRecipe]
    members: Count
    width: Count
    layers: Count
    steps: Count
    batch: Count
    learning_rate: Positive
    input_noise: dict[str, NonNegative]
    loss_knee: Positive
    blocks: list[Count]
    last_block_weight: Positive
    gain_signs: list[list[Literal[-1, 0, 1]]]
    move_penalty: Positive
    ceiling_penalty: NonNegative
    ceiling_blocks: Count
    proximal: NonNegative
    trust_radius: Positive | None = None
    gap_absolute: Positive
    gap_relative: NonNegative
    max_iterations: Count


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


class EnvelopeRecipe(Frozen):
    """Which setpoints are accepted: near operating points at which the data were at rest.

    A window of `rest_hours` is at rest while each CV spans at most `rest_span` [CV unit]. The
    hull of the windows' means is grown by the share `margin`.
    """

    rest_hours: Positive
    rest_span: dict[str, Positive]
    margin: NonNegative


class ConformalRecipe(Frozen):
    """Error bands and novelty from episodes that no network learns from.

    See `models.bundle.conformal`. `held_out`: share of the episodes, `least_episodes`: at least so
    many. `level`, `within`: in a further episode the share `within` of the predictions lies inside
    the bands with probability `level`. `ood_level`: probability that a further episode is nowhere
    novel. `centres`: states of the data from the nearest of which distance is measured.
    `shrinkage` of the covariance of the features.
    """

    held_out: Level
    least_episodes: Count
    level: Level
    within: Level
    ood_level: Level
    centres: Count
    shrinkage: Level

    @model_validator(mode="after")
    def _episodes_suffice(self) -> Self:
        needed = episodes_needed(max(self.level, self.ood_level))
        if self.least_episodes < needed:
            raise ValueError(
                f"`level` and `ood_level` need `least_episodes` of {needed} or more; "
                "a level p needs p / (1 - p) episodes"
            )
        return self


class Recipe(Frozen):
    """One training run, whole. `description`: one line for the list of recipes."""

    name: str
    description: str = ""
    version: str
    seed: int
    source: Source
    behaviour: Behaviour
    cvs: list[Controlled]
    mvs: list[Signal]
    dvs: list[Signal]
    envelope: EnvelopeRecipe
    policy: PolicyRecipe
    cost: CostRecipe
    scalar: ScalarRecipe
    held: HeldRecipe | None = None
    conformal: ConformalRecipe | None = None
    evaluation: EvaluationRecipe | None = None


def shipped_recipes() -> list[str]:
    """Names of the recipes that ship."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by the name of a shipped one or by path; raise RecipeError."""
    path = _path(name_or_path)
    try:
        return Recipe.model_validate(_whole(path, ()))
    except ValidationError as error:
        # A key that is not known explains the one that is then missing.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        hint = _nearest(str(first["loc"][-1]), _all_fields(Recipe)) if first["loc"] else ""
        extra = f"; did you mean `{hint}`?" if first["type"] == "extra_forbidden" and hint else ""
        raise RecipeError(
            f"{path}: {key}: {first['msg']} (received {str(first.get('input'))[:80]!r}){extra}"
        ) from error


def _path(name_or_path: str) -> Path:
    path = Path(name_or_path)
    return path if path.suffix == ".toml" else RECIPES / f"{name_or_path}.toml"


def _whole(path: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
    """The keys of a recipe over those of the one it extends."""
    if path.resolve() in heirs:
        raise RecipeError(f"{path}: extends: the recipe extends itself; name another one")
    if not path.is_file():
        raise RecipeError(
            f"{path}: no such recipe; give a .toml file or one of {', '.join(shipped_recipes())}"
        )
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error
    base = keys.pop("extends", None)
    if base is None:
        return keys
    if not isinstance(base, str):
        raise RecipeError(f"{path}: extends: received {base!r}; allowed: a name or a .toml file")
    # A file is looked for beside the recipe that names it.
    under = _path(base) if not base.endswith(".toml") else path.parent / base
    merged: dict[str, Any] = _merged(_whole(under, (*heirs, path.resolve())), keys)
    return merged


def _merged(base: Any, over: Any) -> Any:
    """Tables are merged key by key, lists of named tables name by name; else `over` stands."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: _merged(base.get(key), value) for key, value in over.items()}
    if _all_named(base) and _all_named(over):
        change = {item["name"]: item for item in over}
        kept = [_merged(item, change.pop(item["name"], {})) for item in base]
        return [*kept, *change.values()]
    return over


def _all_named(items: Any) -> bool:
    return isinstance(items, list) and all(
        isinstance(item, dict) and "name" in item for item in items
    )


def _nearest(word: str, words: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(words), n=1)), "")


def _all_fields(model: type[BaseModel]) -> set[str]:
    """Field names of a model and of the models in it."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= _all_fields(kind)
    return names
