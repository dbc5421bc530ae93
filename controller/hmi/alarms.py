"""Alarms as the HMI knows them: states of ISA-18.2, from the conditions of any server.

Pure values; `controller.hmi.alarm_events` makes them of OPC UA events.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

LOWEST_MEDIUM, LOWEST_HIGH = 334, 667
"""Where priorities begin on OPC UA's scale of severity, 1 to 1000, in thirds (OPC 10000-9)."""

MOST = 1000
"""Conditions kept of one unit; the oldest that ask for nothing make room."""


class State(StrEnum):
    """Where an alarm stands (ISA-18.2)."""

    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    SHELVED = "shelved"
    NORMAL = "normal"


class Priority(StrEnum):
    """How soon an operator must act."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


_STATE_RANK = {state: rank for rank, state in enumerate(State)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A condition as its last event told it.

    key: unique on its server.  condition, event_id: what Acknowledge is called on and with.
    active: None where the condition has no such state.  retain: the server says it is of interest.
    source_node: key of the node it comes from, empty where no event tells it.
    """

    key: str
    condition: Any
    event_id: bytes
    name: str
    source: str
    severity: int
    active: bool | None
    acked: bool
    retain: bool
    shelved: bool
    time: datetime | None
    message: str
    comment: str
    source_node: str = ""

    @property
    def stands(self) -> bool:
        """Whether its cause is there; one without that state stands while it is of interest."""
        return self.retain if self.active is None else self.active

    @property
    def state(self) -> State:
        """Where it stands."""
        if self.shelved:
            return State.SHELVED
        if self.stands:
            return State.ACKNOWLEDGED if self.acked else State.UNACKNOWLEDGED
        return State.NORMAL if self.acked else State.RETURNED

    @property
    def priority(self) -> Priority:
        """What its severity stands for."""
        if self.severity >= LOWEST_HIGH:
            return Priority.HIGH
        return Priority.MEDIUM if self.severity >= LOWEST_MEDIUM else Priority.LOW

    def document(self, unit: str, *, stale: bool) -> dict[str, Any]:
        """What pages are told of it."""
        return {
            "unit": unit,
            "id": self.key,
            "name": self.name,
            "source": self.source,
            "priority": str(self.priority),
            "severity": self.severity,
            "state": str(self.state),
            "active": self.stands,
            "acked": self.acked,
            "time": None if self.time is None else self.time.isoformat(timespec="milliseconds"),
            "message": self.message,
            "comment": self.comment,
            "stale": stale,
        }


class AlarmList:
    """The alarms of one unit that ask for something, the most urgent first."""

    def __init__(self) -> None:
        self._alarms: dict[str, Alarm] = {}
        self._refreshed: set[str] | None = None

    def take(self, alarm: Alarm) -> None:
        """Take in the last event of a condition; one that is over and seen is forgotten."""
        if self._refreshed is not None:
            self._refreshed.add(alarm.key)
        self._alarms.pop(alarm.key, None)
        if alarm.retain or alarm.state is not State.NORMAL:
            self._alarms[alarm.key] = alarm
        while len(self._alarms) > MOST:
            quiet = (key for key, held in self._alarms.items() if held.acked)
            del self._alarms[next(quiet, next(iter(self._alarms)))]

    def begin_refresh(self) -> None:
        """The server tells from here on what stands."""
        self._refreshed = set()

    def end_refresh(self) -> None:
        """The server has told what stands: what it did not name is over."""
        if self._refreshed is not None:
            self._alarms = {
                key: alarm for key, alarm in self._alarms.items() if key in self._refreshed
            }
        self._refreshed = None

    def get(self, key: str) -> Alarm | None:
        """The alarm with this key, None where nothing stands."""
        return self._alarms.get(key)

    def all(self) -> list[Alarm]:
        """Every alarm: unacknowledged first, then by severity, then the latest."""
        return sorted(
            self._alarms.values(),
            key=lambda alarm: (
                _STATE_RANK[alarm.state],
                -alarm.severity,
                -(alarm.time.timestamp() if alarm.time else 0.0),
            ),
        )


def counted(alarms: Iterable[Alarm]) -> dict[str, Any]:
    """How many ask for what: {"unacknowledged", "active", "highest": priority of these}."""
    asking = [alarm for alarm in alarms if alarm.state not in {State.NORMAL, State.SHELVED}]
    unseen = [alarm for alarm in asking if not alarm.acked]
    highest = max(unseen or asking, key=lambda alarm: alarm.severity, default=None)
    return {
        "unacknowledged": len(unseen),
        "active": sum(alarm.stands for alarm in asking),
        "highest": None if highest is None else str(highest.priority),
    }
