"""A training recipe: which plant, which data, which networks, which tuning; one TOML file.

The shipped recipes lie in `models/recipes/`. Everything that is particular to one plant is
here and in the plant's own environment; the code of `models` reads names and numbers only.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle import Controlled, Finite, NonNegative, Positive, Share, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

Count = Annotated[int, Field(ge=1)]


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


class Behaviour(Frozen):
    """How the historical data come about: a PI with random tunings, and what is added to it.

    `override_on_K`, `override_off_K`: the DCS's high-temperature override in the data.
    `dither`: size of the uniform steps added to each output [MV units], held `dither_hold_s`.
    `random_bias`: the PI's bias (its first output) is drawn as well.
    """

    episodes_per_scenario: Count
    override_on_K: Positive
    override_off_K: Positive
    dither: list[NonNegative]
    dither_hold_s: Positive
    random_bias: bool
    noise: bool
    mismatch: bool


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

    `expectile`: of the value loss. `temperature`: inverse temperature of the advantage weight,
    `weight_limit`: its ceiling. `target_rate`: Polyak step of the target critics.
    `reward_scale`: returns are divided by it.
    """

    algorithm: Literal["iql", "bc"]
    features: list[FeatureRecipe]
    width: Count
    layers: Count
    steps: Count
    batch: Count
    learning_rate: Positive
    discount: Annotated[float, Field(gt=0, lt=1)]
    expectile: Annotated[float, Field(ge=0.5, lt=1)]
    temperature: NonNegative
    weight_limit: Positive
    target_rate: Annotated[float, Field(gt=0, le=1)]
    reward_scale: Positive
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
    blocks: list[Count]
    last_block_weight: Positive
    gain_signs: list[list[Literal[-1, 0, 1]]]
    move_penalty: Positive
    ceiling_penalty: NonNegative
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


class EnvelopeRecipe(Frozen):
    """Which setpoints are accepted: near operating points at which the data were at rest.

    A window of `rest_hours` is at rest while each CV spans at most `rest_span` [CV unit]. The
    hull of the windows' means is grown by the share `margin`.
    """

    rest_hours: Positive
    rest_span: dict[str, Positive]
    margin: NonNegative


class Recipe(Frozen):
    """One training run, whole."""

    name: str
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


def shipped_recipes() -> list[str]:
    """Names of the recipes that ship."""
    return sorted(path.stem for path in (Path(__file__).parent / "recipes").glob("*.toml"))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by the name of a shipped one or by path; raise RecipeError."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = Path(__file__).parent / "recipes" / f"{name_or_path}.toml"
    if not path.is_file():
        raise RecipeError(
            f"{path}: no such recipe; give a .toml file or one of {', '.join(shipped_recipes())}"
        )
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        # A key that is not known explains the one that is then missing.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        hint = _nearest(str(first["loc"][-1]), _all_fields(Recipe)) if first["loc"] else ""
        extra = f"; did you mean `{hint}`?" if first["type"] == "extra_forbidden" and hint else ""
        raise RecipeError(
            f"{path}: {key}: {first['msg']} (received {str(first.get('input'))[:80]!r}){extra}"
        ) from error


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
