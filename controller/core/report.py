"""The books of one scan, and of one look: all that was read, decided, written and measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from controller.core.types import Move, Written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from controller.core.conditions import Condition
    from controller.core.policy import PolicyAnswer
    from controller.core.state import ModeState
    from controller.core.types import GuardRefusal, Proposal, Readings, Tick, WriteOutcome


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Supervision:
    """What one supervision tick, a look between scans, found and did."""

    utc: datetime
    readings: Readings
    before: ModeState
    after: ModeState
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CycleReport:
    """Everything of one scan; the journal stores it, the metrics and the logs read it.

    before, after: the mode state at the scan's start and end.  stage_s: stage name -> seconds
    ("policy" where a foreign one is asked, "read", "validate", "advise", "guard", "write").
    deadline_s: the budget of the scan.  policy: what a foreign policy answered; None without one.
    """

    tick: Tick
    utc: datetime
    before: ModeState
    after: ModeState
    readings: Readings
    proposal: Proposal
    move: Move | GuardRefusal | None
    outcome: WriteOutcome
    conditions: tuple[Condition, ...]
    duration_s: float
    deadline_s: float
    stage_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    policy: PolicyAnswer | None = None

    @property
    def overrun(self) -> bool:
        """True when the scan took longer than its deadline."""
        return self.duration_s > self.deadline_s

    @property
    def written(self) -> bool:
        """True when a target reached the server, whole."""
        has_target = isinstance(self.move, Move) and bool(self.move.write.any())
        return has_target and isinstance(self.outcome, Written)
