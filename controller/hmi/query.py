"""Parameters of requests, read strictly: what is unknown, repeated or out of range is refused."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unicodedata import category

from controller.hmi.errors import malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

DIGITS = 15
"""Longest whole number that is read."""


def parameters(request: Request, *allowed: str) -> dict[str, str]:
    """The query of a request; raises RefusedError for what is not allowed or given twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise malformed(f"unknown parameter {name[:40]!r}; allowed: {known}")
        if name in found:
            raise malformed(f"{name} is given twice")
        found[name] = value
    return found


def whole(text: str | None, name: str, *, low: int, high: int, otherwise: int) -> int:
    """A whole number within limits; raises RefusedError."""
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS):
        raise malformed(f"{name}: a whole number from {low} to {high}")
    value = int(text)
    if not low <= value <= high:
        raise malformed(f"{name}: a whole number from {low} to {high}")
    return value


def instant(text: str | None, name: str) -> datetime:
    """An instant in ISO 8601; without a time zone it is UTC.  Raises RefusedError."""
    try:
        read = datetime.fromisoformat(text or "")
        aware = read if read.tzinfo else read.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        raise malformed(f"{name}: an instant as 2026-01-31T12:00:00Z") from None


def table(body: bytes) -> dict[str, Any]:
    """A JSON object; raises RefusedError."""
    try:
        read = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise malformed("the body is no JSON") from None
    if not isinstance(read, dict):
        raise malformed("the body is no JSON object")
    return read


def text_of(
    data: Mapping[str, Any], name: str, longest: int, *, otherwise: str | None = None
) -> str:
    """A text of a body; raises RefusedError."""
    value = data.get(name, otherwise)
    if not isinstance(value, str) or len(value) > longest:
        raise malformed(f"{name}: a text of at most {longest} characters")
    if any(category(letter) in {"Cc", "Zl", "Zp"} for letter in value):
        raise malformed(f"{name}: a text without control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise malformed(f"{name}: a text in Unicode") from None
    return value


def filled(data: Mapping[str, Any], name: str, longest: int, *, blank: bool = False) -> str:
    """A text of a body that is not empty.  blank: spaces alone will do.  Raises RefusedError."""
    value = text_of(data, name, longest)
    if not (value if blank else value.strip()):
        raise malformed(f"{name}: a text that is not empty")
    return value


def number_of(data: Mapping[str, Any], name: str) -> float:
    """A finite number of a body; raises RefusedError."""
    value = data.get(name)
    try:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if good and math.isfinite(float(value)):  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
    except OverflowError:
        pass
    raise malformed(f"{name}: a finite number")


def only(data: Mapping[str, Any], *allowed: str) -> None:
    """Refuse a body with other keys.  Raises RefusedError."""
    for name in data:
        if name not in allowed:
            raise malformed(f"unknown key {name[:40]!r}; allowed: {', '.join(allowed)}")


def _refuse_constant(name: str) -> float:
    raise ValueError(name)
