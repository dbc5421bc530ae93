"""Where the time of a scan goes, stage by stage."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Stopwatch:
    """Seconds by stage; each call of `lap` closes the stage that ran since the last."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.started_s = self._last = clock()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Close a stage."""
        now = self._clock()
        self._laps[stage] = now - self._last
        self._last = now

    @property
    def laps(self) -> MappingProxyType[str, float]:
        """Stage -> seconds."""
        return MappingProxyType(dict(self._laps))

    @property
    def elapsed_s(self) -> float:
        """Seconds from the start to the end of the last stage."""
        return self._last - self.started_s
