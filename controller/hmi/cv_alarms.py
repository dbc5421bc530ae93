"""The alarm limits of a CV, and the alarm that stands on it.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.hmi.alarms import State
from controller.hmi.values import finite

if TYPE_CHECKING:
    from controller.configuration.binding import BoundCv
    from controller.hmi.values import Seen

KINDS = {"LL": "low", "L": "low", "H": "high", "HH": "high"}
"""Limit -> the side on which a value is beyond it."""


def limits(cv: BoundCv, seen: Seen) -> list[dict[str, Any]]:
    """[{"name", "kind", "value"}] in the model's unit, the lowest first.

    What the server tells counts; tags.toml has the limits that it does not tell.
    """
    told = [(limit.name, limit.value) for limit in seen.limits.get(cv.pv.key, ())]
    names = {name for name, _ in told}
    wanted = [
        *((name, finite(cv.pv.conversion.value(value))) for name, value in told),
        *((name, finite(value)) for name, value in cv.alarm_limits if name not in names),
    ]
    found = [(name, value) for name, value in wanted if value is not None]
    return [
        {"name": name, "kind": KINDS[name], "value": value}
        for name, value in sorted(found, key=lambda one: (one[1], list(KINDS).index(one[0])))
    ]


def alarm(cv: BoundCv, seen: Seen) -> dict[str, str] | None:
    """The gravest alarm of a CV, None where none asks for anything.

    Its alarms: those of its limits' conditions, and those that name its PV as their source.
    """
    keys = {limit.condition for limit in seen.limits.get(cv.pv.key, ())}
    source = seen.sources.get(cv.pv.key)
    standing = [
        alarm
        for alarm in seen.standing.values()
        if (alarm.key in keys or alarm.source_node == source)
        and alarm.state not in {State.NORMAL, State.SHELVED}
    ]
    if not standing:
        return None
    gravest = max(standing, key=lambda alarm: (not alarm.acked, alarm.severity, alarm.key))
    return {
        "name": gravest.name,
        "state": str(gravest.state),
        "priority": str(gravest.priority),
    }
