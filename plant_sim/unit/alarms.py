"""Alarms of the unit: states and transitions of ISA-18.2, delays against chatter, first-out.

Frozen values and pure functions; no protocol, no clock. What raises an alarm is in
`alarm_causes.py`. Every transition that an operator must hear of counts `revision` up by one.

| state | active | acknowledged | it begins when |
| --- | --- | --- | --- |
| NORMAL | no | yes | acknowledged and no longer active |
| UNACKNOWLEDGED | yes | no | raised |
| ACKNOWLEDGED | yes | yes | acknowledged while active |
| RETURNED | no | no | no longer active, not acknowledged |
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

LOWEST_MEDIUM, LOWEST_HIGH = 334, 667
"""Where the priorities begin on OPC UA's scale of severity, 1 to 1000, in thirds."""
NEW_EPISODE = "New episode"


class State(StrEnum):
    """Where an alarm stands; see the table above."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"


class Priority(StrEnum):
    """How soon an operator must act."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A high limit: raised at `value` and above, over only below `value - deadband`."""

    value: float
    deadband: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What an alarm is.

    severity: 1 to 1000.  on_delay_s, off_delay_s: how long the cause must have come or gone.
    wall: whether the delays are wall time, else plant time.  number: of its node.  source: path of
    the tag it watches.
    """

    name: str
    number: int
    about: str
    severity: int
    source: str
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    wall: bool = False
    limit: Limit | None = None

    @property
    def priority(self) -> Priority:
        """Priority that the severity stands for."""
        if self.severity >= LOWEST_HIGH:
            return Priority.HIGH
        return Priority.MEDIUM if self.severity >= LOWEST_MEDIUM else Priority.LOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What the process asks of an alarm at one instant.

    raised: None where that cannot be said (in the deadband, no reading): the alarm stays as it is.
    subjects: what is concerned; one more while active is annunciated anew.
    """

    raised: bool | None
    message: str = ""
    subjects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm and how it stands.

    pending_since_s: since when the cause says otherwise than the state, in the time of its delays.
    first_out: it was raised while nothing was unacknowledged, so it names the root of what follows.
    comment, user: of the last acknowledgement or comment.  revision: see the module's docstring.
    """

    definition: Definition
    state: State = State.NORMAL
    pending_since_s: float | None = None
    message: str = ""
    subjects: frozenset[str] = frozenset()
    first_out: bool = False
    comment: str = ""
    user: str = ""
    revision: int = 0

    @property
    def active(self) -> bool:
        """Whether the cause stands."""
        return self.state in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED)

    @property
    def acknowledged(self) -> bool:
        """Whether nobody has to acknowledge it."""
        return self.state in (State.NORMAL, State.ACKNOWLEDGED)


Alarms = Mapping[str, Alarm]
"""The alarms of a unit by name."""


def all_normal(definitions: Iterable[Definition]) -> Alarms:
    """These alarms, none raised."""
    return {definition.name: Alarm(definition=definition) for definition in definitions}


def judge(alarm: Alarm, demand: Demand, time_s: float) -> Alarm:
    """The alarm after what the process asks of it at `time_s`, in the time of its delays."""
    if demand.raised is None:  # not known: it keeps no alarm from being raised, and clears none
        return _settled(alarm) if alarm.active else alarm
    if demand.raised == alarm.active:
        return _renewed(_settled(alarm), demand) if alarm.active else _settled(alarm)
    pending_s = time_s if alarm.pending_since_s is None else min(alarm.pending_since_s, time_s)
    definition = alarm.definition
    delay_s = definition.on_delay_s if demand.raised else definition.off_delay_s
    if time_s - pending_s < delay_s:
        return _pending(alarm, pending_s)
    return _raised(alarm, demand) if demand.raised else _cleared(alarm, demand)


def judge_all(
    alarms: Alarms, demands: Mapping[str, Demand], plant_time_s: float, now_s: float
) -> Alarms:
    """All alarms after what the process asks; `now_s`: monotonic wall time.

    Of several raised at once by a quiet unit, the most severe is the first-out.
    """
    judged = {
        name: judge(alarm, demands[name], now_s if alarm.definition.wall else plant_time_s)
        for name, alarm in alarms.items()
    }
    if all(judged[name] is alarm for name, alarm in alarms.items()):
        return alarms
    if all(alarm.acknowledged for alarm in alarms.values()):
        fresh = [alarm for alarm in judged.values() if alarm.state is State.UNACKNOWLEDGED]
        for first in sorted(fresh, key=lambda alarm: -alarm.definition.severity)[:1]:
            judged[first.definition.name] = replace(first, first_out=True)
    return judged


def acknowledge(alarm: Alarm, user: str, comment: str) -> Alarm | None:
    """`user` has seen the alarm; None: nothing to acknowledge. No comment keeps the old one."""
    if alarm.acknowledged:
        return None
    active = alarm.active
    return _told(
        alarm,
        state=State.ACKNOWLEDGED if active else State.NORMAL,
        first_out=alarm.first_out and active,
        comment=comment or alarm.comment,
        user=user,
    )


def add_comment(alarm: Alarm, user: str, comment: str) -> Alarm:
    """The alarm with a comment; its state stays."""
    return _told(alarm, comment=comment, user=user)


def reset_all(alarms: Alarms) -> Alarms:
    """A new plant: every alarm ends, acknowledged or not, and whoever watches hears of it."""
    return {name: _ended(alarm) for name, alarm in alarms.items()}


def _ended(alarm: Alarm) -> Alarm:
    if alarm.state is State.NORMAL:
        return _settled(alarm)
    return _told(
        alarm,
        state=State.NORMAL,
        message=NEW_EPISODE,
        first_out=False,
        subjects=frozenset(),
        pending_since_s=None,
    )


def _settled(alarm: Alarm) -> Alarm:
    return alarm if alarm.pending_since_s is None else replace(alarm, pending_since_s=None)


def _pending(alarm: Alarm, since_s: float) -> Alarm:
    if since_s == alarm.pending_since_s:
        return alarm
    return replace(alarm, pending_since_s=since_s)


def _raised(alarm: Alarm, demand: Demand) -> Alarm:
    return _told(
        alarm,
        state=State.UNACKNOWLEDGED,
        pending_since_s=None,
        message=demand.message,
        subjects=demand.subjects,
        first_out=False,
        comment="",
        user="",
    )


def _renewed(alarm: Alarm, demand: Demand) -> Alarm:
    """An active alarm that concerns something new is annunciated anew: at most once a subject."""
    if demand.subjects <= alarm.subjects:
        return alarm
    return _told(
        alarm,
        state=State.UNACKNOWLEDGED,
        message=demand.message,
        subjects=alarm.subjects | demand.subjects,
    )


def _cleared(alarm: Alarm, demand: Demand) -> Alarm:
    over = alarm.state is State.ACKNOWLEDGED
    return _told(
        alarm,
        state=State.NORMAL if over else State.RETURNED,
        pending_since_s=None,
        message=demand.message or alarm.message,
        first_out=alarm.first_out and not over,
    )


def _told(alarm: Alarm, **changes: object) -> Alarm:
    return replace(alarm, revision=alarm.revision + 1, **changes)  # type: ignore[arg-type]
