"""The mode and what it must remember from scan to scan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Who has the MVs, and why."""

    INIT = "INIT"
    MANUAL = "MANUAL"
    SHADOW = "SHADOW"
    AUTO = "AUTO"
    HOLD = "HOLD"
    SHED = "SHED"


IN_CONTROL = frozenset({Mode.AUTO, Mode.HOLD})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeState:
    """The mode and what it must remember.

    reason: why it is in this mode, for the operator.
    armed: the selector was seen off Auto since the start, the last shed or the last lost
        connection, so that a selection of Auto is an act of the operator.
    entering: this scan is the first in AUTO (the first write, from Track).
    holds: scans held, and holds begun by a tick, since the last clean scan in AUTO.
    waits: scans since the first write for which the DCS has not become Active.
    acknowledged: the DCS has become Active since entry.
    """

    mode: Mode = Mode.INIT
    reason: str = "starting"
    armed: bool = False
    entering: bool = False
    holds: int = 0
    waits: int = 0
    acknowledged: bool = False

    @property
    def in_control(self) -> bool:
        """True in AUTO and HOLD: the MVs follow this controller's targets."""
        return self.mode in IN_CONTROL
