"""A training recipe: which plant, which data, which networks, which tuning; one TOML file.

The shipped recipes lie in `models/recipes/`. A recipe may say `extends = "NAME"` and hold only
what differs. Everything that is particular to one plant is here and in the plant's own
environment; the code of `models` reads names and numbers only.
"""

from models.recipe.evaluation import EvaluationRecipe
from models.recipe.load import RecipeError, load_recipe, shipped_recipes
from models.recipe.networks import (
    CostRecipe,
    DynamicsRecipe,
    FeatureRecipe,
    HeldRecipe,
    ImaginedRecipe,
    PolicyRecipe,
    ScalarRecipe,
)
from models.recipe.schema import ConformalRecipe, EnvelopeRecipe, Recipe
from models.recipe.source import Behaviour, Historian, Source

__all__ = [
    "Behaviour",
    "ConformalRecipe",
    "CostRecipe",
    "DynamicsRecipe",
    "EnvelopeRecipe",
    "EvaluationRecipe",
    "FeatureRecipe",
    "HeldRecipe",
    "Historian",
    "ImaginedRecipe",
    "PolicyRecipe",
    "Recipe",
    "RecipeError",
    "ScalarRecipe",
    "Source",
    "load_recipe",
    "shipped_recipes",
]
