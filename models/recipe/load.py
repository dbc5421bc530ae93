"""Reads a recipe: a shipped one by name or a file, over the one it extends."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from models.recipe.schema import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable

RECIPES = Path(__file__).parents[1] / "recipes"


class RecipeError(Exception):
    """A recipe that cannot be used; the message names file, key and what is allowed."""


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
