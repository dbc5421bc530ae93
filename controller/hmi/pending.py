"""A first step that waits for its confirmation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A first step.  text: the question, as it was shown.  done: what is said afterwards."""

    unit: str
    text: str
    done: str
    detail: Mapping[str, Any]
    expires_s: float
    act: Callable[[], Awaitable[None]]
