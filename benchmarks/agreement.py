"""Before speeds are compared, answers are: who computes something else is not in the race."""

from __future__ import annotations


class DifferentError(Exception):
    """Two ways to compute the same thing do not agree; the message says which, and by how much."""


def agree(what: str, apart: float, allowed: float) -> float:
    """`apart` if it is at most `allowed`; raises DifferentError otherwise, and for NaN."""
    if not apart <= allowed:
        raise DifferentError(f"{what}: {apart:.2g} apart, allowed {allowed:g}; no speed is shown")
    return apart
