"""Who is told how far a long run is; a progress bar, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Progress(Protocol):
    """Training and evaluation report to one of these."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` steps."""
        ...

    def done(self, steps: int, losses: Mapping[str, float]) -> None:
        """Report that `steps` of the stage are finished, with the last losses if it has any."""
        ...
