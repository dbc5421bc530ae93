"""A policy that holds the interpreter's lock far longer than it may; loaded by a worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

OVERRUN_S = 0.3


def spin(seconds: float) -> None:
    """Pass time in Python, as a model in pure Python does: the lock is never given up by choice."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def make() -> Callable[[dict[str, Any]], list[float]]:
    """Answer the warm-up at once, and everything else too late."""
    late = False

    def policy(observation: dict[str, Any]) -> list[float]:
        nonlocal late
        if late:
            spin(OVERRUN_S)
        late = True
        return list(observation["mv"].values())

    return policy
