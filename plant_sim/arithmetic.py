"""The two ways in which many plants may be computed."""

from enum import StrEnum


class Arithmetic(StrEnum):
    """How kernels for many plants compute.

    exact: the bits of the single plant. fast: fused operations, a short exponential, a wider
    tolerance, for about twice to four times the speed. It differs from exact by no more than 1e-6
    of each quantity over an episode, as long as override and interlock, which switch at a
    temperature, act in the same scans; its last bits may differ from processor to processor.
    """

    EXACT = "exact"
    FAST = "fast"


def checked_arithmetic(name: str) -> Arithmetic:
    """Return the arithmetic of that name; raises ValueError for another."""
    try:
        return Arithmetic(name)
    except ValueError:
        raise ValueError(f"arithmetic: {name!r}; allowed: {', '.join(Arithmetic)}") from None
