"""What operators do, in two steps: say what would be done, then do it within 30 s.

The token of the first step belongs to one login, serves once, and holds what was shown; nothing
of the second step but the token comes from the browser.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.hmi.alarm_events import acknowledge_request
from controller.hmi.alarms import State
from controller.hmi.errors import RefusedError, malformed, unknown
from controller.hmi.logins import ENDED
from controller.hmi.offers import selector, setpoint_limits
from controller.hmi.operator_line import ACKNOWLEDGE, MODE, SELECTOR, SHED, PlantSaysNoError
from controller.hmi.pending import Pending
from controller.hmi.query import number_of, only, text_of
from controller.hmi.values import digits
from controller.logs import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from controller.configuration.choices import Choice
    from controller.hmi.logins import Login
    from controller.hmi.operator_line import OperatorLine
    from controller.hmi.watch import Watch

TOKEN_S = 30.0
MOST_PENDING = 8
"""First steps that one login may have open; the oldest make room."""

LONGEST_NAME, LONGEST_COMMENT = 300, 200


def propose(watch: Watch, login: Login, body: Mapping[str, Any]) -> tuple[str, Pending]:
    """The first step: (token, what would be done).  Raises RefusedError."""
    line = login.lines.get(watch.unit.name)
    if line is None:
        raise RefusedError(HTTPStatus.FORBIDDEN, _no_session(watch.unit.name, login))
    if line.lost:
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED, f"{watch.unit.name} has ended the session: log in again"
        )
    proposals = {
        "mode": _mode,
        "setpoint": _setpoint,
        "acknowledge": _acknowledge,
        "acknowledge_shed": _acknowledge_shed,
    }
    name = text_of(body, "action", LONGEST_NAME)
    if name not in proposals:
        raise malformed(f"action: one of {', '.join(proposals)}")
    pending = proposals[name](watch, line, body)
    token = secrets.token_urlsafe(24)
    login.pending[token] = pending
    while len(login.pending) > MOST_PENDING:
        login.pending.popitem(last=False)
    return token, pending


async def confirm(login: Login, token: str) -> str:
    """The second step: do what the token stands for; what was done.  Raises RefusedError."""
    pending = login.pending.pop(token, None)
    log = logger("hmi.audit").bind(user=login.user, address=login.address)
    if pending is None:
        log.warning("action", outcome="nothing to confirm")
        raise unknown("nothing to confirm: it was done, or asked by somebody else")
    log = log.bind(unit=pending.unit, **pending.detail)
    if monotonic() > pending.expires_s:
        log.warning("action", outcome="expired")
        raise RefusedError(HTTPStatus.GONE, "the question is older than 30 s: ask again")
    try:
        await pending.act()
    except PlantSaysNoError as error:
        log.warning("action", outcome="refused", status=error.status, reason=str(error))
        ended = login.lines[pending.unit].lost
        status = HTTPStatus.UNAUTHORIZED if ended else HTTPStatus.BAD_GATEWAY
        raise RefusedError(status, ENDED if ended else str(error)) from None
    log.info("action", outcome="done")
    return pending.done


def _no_session(unit: str, login: Login) -> str:
    """Why a login has no session on a unit."""
    why = login.refused.get(unit)
    if why is None:
        return f"you are not logged in on {unit}, whose users are others: log in there"
    return f"{unit} did not take the login: {why}"


def _mode(watch: Watch, line: OperatorLine, body: Mapping[str, Any]) -> Pending:
    only(body, "action", "value")
    unit = watch.unit
    wanted = text_of(body, "value", LONGEST_NAME)
    choices: dict[str, Choice] = {}
    for choice, name in unit.binding.mode_values.items():
        choices.setdefault(name.upper(), choice)  # the first of several
    if "mode" not in unit.binding.handshake:
        raise malformed(f"{unit.name} has no selector of modes")
    if wanted not in choices:
        raise malformed(f"value: one of {', '.join(choices)}")
    _permitted(MODE in line.grants, "select the mode", unit.name)
    now = selector(unit, watch.seen()) or "unknown"
    return _pending(
        unit.name,
        text=f"Mode of {unit.title} from {now} to {wanted}?",
        done=f"{unit.title}: {wanted} is selected",
        detail={"what": "mode", "before": now, "value": wanted},
        act=lambda: line.write(SELECTOR, choices[wanted]),
    )


def _setpoint(watch: Watch, line: OperatorLine, body: Mapping[str, Any]) -> Pending:
    only(body, "action", "tag", "value")
    unit, seen = watch.unit, watch.seen()
    name, value = text_of(body, "tag", LONGEST_NAME), number_of(body, "value")
    place = next((at for at, cv in enumerate(unit.binding.cvs) if cv.name == name), None)
    if place is None:
        raise malformed(f"tag: one of {', '.join(cv.name for cv in unit.binding.cvs)}")
    cv, model = unit.binding.cvs[place], unit.manifest.cvs[place]
    low, high = setpoint_limits(cv, seen)
    if not low <= value <= high:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{name} = {value:g} {cv.unit} is outside {low:g} to {high:g} {cv.unit}",
        )
    _permitted(line.may_set(cv.sp.key), f"set {name}", unit.name)
    before = seen.number(cv.sp.key, cv.sp.conversion)
    shown = digits(model.low, model.high)
    was = "unknown" if before is None else f"{before:.{shown}f}"
    aim = f"{value:.{shown}f}"
    new = f"{aim if float(aim) == value else f'{value:.10g}'} {cv.unit}"
    question = f"Set {name} of {unit.title} from {was} {cv.unit} to {new}?"
    warning = _untracked(watch, place, value)
    return _pending(
        unit.name,
        text=f"{question} {warning}".strip(),
        done=f"{unit.title}: the setpoint of {name} is {new}",
        detail={"what": "setpoint", "tag": name, "before": before, "value": value},
        act=lambda: line.write(cv.sp.key, cv.sp.conversion.to_server(value)),
    )


def _untracked(watch: Watch, place: int, value: float) -> str:
    """A warning where the model will refuse to track the setpoints that result."""
    unit, seen = watch.unit, watch.seen()
    setpoints = [seen.number(cv.sp.key, cv.sp.conversion) for cv in unit.binding.cvs]
    setpoints[place] = value
    known = [setpoint for setpoint in setpoints if setpoint is not None]
    if len(known) < len(setpoints):
        return ""
    refusal = unit.manifest.setpoint_in_envelope(np.array(known))
    return "" if refusal is None else f"The model will not track it: {refusal}."


def _acknowledge(watch: Watch, line: OperatorLine, body: Mapping[str, Any]) -> Pending:
    only(body, "action", "alarm", "comment")
    unit = watch.unit
    alarm = watch.line.alarms.get(text_of(body, "alarm", LONGEST_NAME))
    comment = text_of(body, "comment", LONGEST_COMMENT, otherwise="")
    if alarm is None:
        raise unknown("no such alarm stands")
    if alarm.state not in {State.UNACKNOWLEDGED, State.RETURNED}:
        raise RefusedError(HTTPStatus.CONFLICT, "the alarm was acknowledged already")
    _permitted(ACKNOWLEDGE in line.grants, "acknowledge alarms", unit.name)
    return _pending(
        unit.name,
        text=f"Acknowledge {alarm.name} of {unit.title}: {alarm.message}?",
        done=f"{unit.title}: {alarm.name} is acknowledged",
        detail={"what": "acknowledge", "alarm": alarm.name, "id": alarm.key, "comment": comment},
        act=lambda: line.call(acknowledge_request(alarm, comment)),
    )


def _acknowledge_shed(watch: Watch, line: OperatorLine, body: Mapping[str, Any]) -> Pending:
    only(body, "action")
    unit, seen = watch.unit, watch.seen()
    if not unit.tags.operator_methods():
        raise malformed(f"{unit.name} has no method that acknowledges a shed")
    _permitted(SHED in line.grants, "acknowledge a shed", unit.name)
    told = seen.text(unit.binding.handshake.get("shed_reason"))
    if told == "" and seen.connected:
        raise RefusedError(HTTPStatus.CONFLICT, "there is no shed to acknowledge")
    reason = told or "no reason is shown"
    return _pending(
        unit.name,
        text=f"Acknowledge the shed of {unit.title} ({reason})?",
        done=f"{unit.title}: the shed is acknowledged",
        detail={"what": "acknowledge_shed", "reason": reason},
        act=line.acknowledge_shed,
    )


def _permitted(may: bool, what: str, unit: str) -> None:  # noqa: FBT001 - it is the value
    if not may:
        raise RefusedError(
            HTTPStatus.FORBIDDEN, f"{unit}: the plant does not permit this user to {what}"
        )


def _pending(
    unit: str,
    *,
    text: str,
    done: str,
    detail: Mapping[str, Any],
    act: Callable[[], Awaitable[None]],
) -> Pending:
    return Pending(
        unit=unit, text=text, done=done, detail=detail, expires_s=monotonic() + TOKEN_S, act=act
    )
