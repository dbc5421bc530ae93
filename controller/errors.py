"""Configuration errors that a person can act on.

Every message says five things: the file, the key, what was received, what is allowed, and what to
do next.  The command line prints the message and exits with code 2; nobody sees a traceback.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from controller.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

EXIT_CONFIGURATION = 2
EXIT_PLANT = 4
IN_URL = "user_in_url"
"""Type of the fault of an address with a password in it, which no message repeats."""

_LONGEST_VALUE = 80
_LONGEST_REFUSAL = 20_000


class ConfigError(Exception):
    """A configuration file, or a key in it, cannot be used (exit code 2)."""

    exit_code = EXIT_CONFIGURATION

    def __init__(
        self,
        *,
        file: Path | str,
        key: str,
        received: object,
        allowed: str,
        action: str,
        more: tuple[str, ...] = (),
    ) -> None:
        self.file = str(file)
        self.key = key
        self.received = received
        self.allowed = allowed
        self.action = action
        self.more = more
        super().__init__(self._message())

    def _message(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        lines = [
            where,
            f"  received: {_shown(self.received)}",
            f"  allowed:  {self.allowed}",
            f"  to do:    {self.action}",
        ]
        if self.more:
            lines.append("also wrong in this file:")
            lines.extend(f"  {line}" for line in self.more)
        return "\n".join(lines)


class PlantRefusedError(Exception):
    """The plant cannot be used as configured; the message says why and what to do (exit code 4)."""

    exit_code = EXIT_PLANT

    def __init__(self, message: str) -> None:
        """message: may quote the plant, whose words are cut and made printable."""
        super().__init__(printable(message[:_LONGEST_REFUSAL]))


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that `word` was probably meant to be, or None."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return found[0] if found else None


def translate(
    error: ValidationError, *, file: Path | str, fields: Mapping[str, type[BaseModel]]
) -> ConfigError:
    """Turn pydantic's report into one ConfigError about the first fault, naming the others.

    fields: dotted section ("scan", "cv.*") -> the model that lists the keys allowed there; "" is
    the top of the file.  It serves to suggest the key that a typo was meant to be.
    """
    details = error.errors(include_url=False)
    first, rest = details[0], details[1:]
    allowed, action = _advice(first, fields)
    return ConfigError(
        file=file,
        key=dotted(first["loc"]),
        received=_received(first),
        allowed=allowed,
        action=action,
        more=tuple(f"{dotted(item['loc'])}: {_advice(item, fields)[0]}" for item in rest),
    )


def dotted(location: tuple[int | str, ...]) -> str:
    """A location in pydantic's report as a TOML key: ("cv", "P", "range", 1) -> "cv.P.range[1]"."""
    text = ""
    for part in location:
        if part == "[key]":  # the name of a table is at fault, which is named already
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _advice(detail: ErrorDetails, fields: Mapping[str, type[BaseModel]]) -> tuple[str, str]:
    """(what is allowed, what to do) for one fault."""
    *section, key = detail["loc"] or ("",)
    match detail["type"]:
        case "extra_forbidden":
            known = _keys(tuple(str(part) for part in section), fields)
            meant = nearest(str(key), known)
            action = f'rename it to "{meant}"' if meant else "remove the key"
            return f"one of: {', '.join(known)}", action
        case "missing" if isinstance(key, int):
            return "[low, high], two numbers", "add the missing number"
        case "tuple_type":
            return "an array, such as [0.0, 1.0]", "correct the value"
        case "missing":
            return "the key is required", f'add the key "{key}"'
        case "value_error":
            return str(detail["ctx"]["error"]), "correct the value"
        case _:
            return detail["msg"][:1].lower() + detail["msg"][1:], "correct the value"


def _received(detail: ErrorDetails) -> object:
    if detail["type"] == IN_URL:
        return "an address with a user or a password in it"
    absent = detail["type"] == "missing" or detail["input"] is None
    return "nothing" if absent else detail["input"]


def _keys(section: tuple[str, ...], fields: Mapping[str, type[BaseModel]]) -> list[str]:
    exact = ".".join(section)
    wild = ".".join((*section[:-1], "*"))
    model = fields.get(exact) or fields.get(wild)
    if model is None:
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _shown(value: object) -> str:
    text = value if value == "nothing" else repr(value)
    text = str(text)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
