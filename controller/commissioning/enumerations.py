"""What the names of a server's enumerations say about the numbers in tags.toml."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEPARATORS = re.compile(r"[^a-z0-9]+")

SELECTOR = {
    "manual": frozenset({"manual", "man", "off"}),
    "shadow": frozenset({"shadow", "advisory", "advise", "monitor", "openloop"}),
    "auto": frozenset({"auto", "automatic", "on", "closedloop"}),
}
"""Position of the operator's selector -> what servers call it."""

REMOTE = frozenset({"rcas", "remote", "remotecascade", "rsp", "apc", "rout"})
"""What servers call the mode of an MV that follows a controller."""


def plain(name: str) -> str:
    """A name without case and separators: "Open loop" -> openloop."""
    return _SEPARATORS.sub("", name.lower())


def position(name: str) -> str | None:
    """The position of the selector that a server's name means; None where it is not known."""
    word = plain(name)
    return next((meaning for meaning, words in SELECTOR.items() if word in words), None)


def selector(names: Mapping[int, str]) -> dict[str, int]:
    """Position -> number: as the server's names tell, the others 0, 1, 2 or what is free."""
    told: dict[str, int] = {}
    for number, name in names.items():
        meaning = position(name)
        if meaning is not None:
            told.setdefault(meaning, number)
    free = (number for number in count() if number not in told.values())
    return {meaning: told[meaning] if meaning in told else next(free) for meaning in SELECTOR}


def remote(names: Mapping[int, str]) -> list[int]:
    """The numbers whose names say that an MV follows a controller."""
    return [number for number, name in names.items() if plain(name) in REMOTE]


def listed(names: Mapping[int, str]) -> str:
    """The names as a person reads them: "0 MAN, 1 AUTO"."""
    return ", ".join(f"{number} {name}" for number, name in names.items())
