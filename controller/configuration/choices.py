"""Values of a selector or a mode tag: whole numbers, texts, or true and false.

One DCS counts its modes, another names them, a third has a switch.  1 is not true here, nor 1.0:
a value is a choice when its type is the same too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import PlainValidator

if TYPE_CHECKING:
    from collections.abc import Iterable

Choice: TypeAlias = int | str | bool

WANTED = "a whole number, a text, true or false, or an array of such values of one type"


def same(value: object, choice: Choice) -> bool:
    """True when a delivered value is this choice, in value and in type."""
    alike = isinstance(value, bool) is isinstance(choice, bool) and isinstance(value, type(choice))
    return alike and value == choice


def among(value: object, choices: Iterable[Choice]) -> bool:
    """True when a delivered value is one of the choices."""
    return any(same(value, choice) for choice in choices)


def shown(choices: Iterable[Choice]) -> str:
    """The choices as they stand in tags.toml."""
    return ", ".join(_toml(choice) for choice in choices)


def _toml(choice: Choice) -> str:
    return f'"{choice}"' if isinstance(choice, str) else str(choice).lower()


def _one(value: object) -> Choice:
    if not isinstance(value, int | str) or value == "":
        raise ValueError("a whole number, a text, true or false")
    return value


def _several(value: object) -> tuple[Choice, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len({type(item) for item in values}) != 1:
        raise ValueError(WANTED)
    return tuple(_one(item) for item in values)


OneChoice = Annotated[Choice, PlainValidator(_one)]
Choices = Annotated[tuple[Choice, ...], PlainValidator(_several)]
"""One value or an array of them; always a tuple once read."""
