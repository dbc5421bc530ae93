"""The plant's side of the hand-shake with the APC: permit, active, shed, lease.

A frozen value and pure functions; no protocol, no clock. `now_s` is monotonic wall time, plant time
comes with the `Conditions`. No OPC UA standard defines this hand-shake; it follows remote-cascade
(RCAS) practice of fieldbus function blocks: the receiving side decides, and sheds by itself when
the sender falls silent.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from math import inf

IMPAIRED_LIMIT_S = 1800.0
"""Plant time the permit may be away while Active (override, bad CV) before the plant sheds [s]."""

SOUND_AGAIN_S = 300.0
"""Plant time the permit must be back before the time above begins anew [s]."""


class ApcMode(IntEnum):
    """What the operator wants of the APC."""

    MANUAL = 0
    SHADOW = 1
    AUTO = 2


class ShedOption(IntEnum):
    """What a shed does to the MVs in RCAS. HOLD is refused: the time to no return is finite."""

    RETURN_TO_PI = 0
    SAFE = 1
    HOLD = 2


HEARTBEAT_LOST = "heartbeat lost"
REQUEST_WITHDRAWN = "request withdrawn"
LEASE_LOST = "lease lost"
TRIP = "trip"
IMPAIRED = "permit away for 30 min of plant time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to drive the plant, bound to one session; every heartbeat renews it."""

    session: str
    owner: str
    ttl_s: float
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the hand-shake must know of the plant at one instant."""

    tripped: bool
    override: bool
    cv_good: bool
    plant_time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """State of the hand-shake.

    latched: a shed that no operator has acknowledged.  request_session, heartbeat_session: who
    wrote last; control is given only to the session that holds the lease, asks and beats.
    impaired_since_s: plant time at which the permit went away while Active. sound_since_s: plant
    time at which it came back, None while it is away.
    """

    mode: ApcMode = ApcMode.MANUAL
    request: bool = False
    request_session: str = ""
    permit: bool = False
    active: bool = False
    latched: bool = False
    shed_reason: str = ""
    shed_option: ShedOption = ShedOption.RETURN_TO_PI
    heartbeat: int = 0
    heartbeat_session: str = ""
    heartbeat_at_s: float = -inf
    heartbeat_timeout_s: float = 3.0
    lease: Lease | None = None
    impaired_since_s: float | None = None
    sound_since_s: float | None = None


def owns(state: Handshake, session: str) -> bool:
    """Whether `session` may write the controller's tags: it holds the lease, or nobody does."""
    return state.lease is None or state.lease.session == session


def fresh(state: Handshake, now_s: float) -> bool:
    """Whether the lease's holder has changed its heartbeat within the time-out."""
    holder = state.lease.session if state.lease else ""
    age_s = now_s - state.heartbeat_at_s
    return state.heartbeat_session == holder and age_s <= state.heartbeat_timeout_s


def beat(state: Handshake, value: int, session: str, now_s: float) -> Handshake:
    """Take a heartbeat. The same value again is no sign of life; a new one renews the lease."""
    if value == state.heartbeat and session == state.heartbeat_session:
        return state
    lease = state.lease
    if lease is not None and lease.session == session:
        lease = replace(lease, until_s=now_s + lease.ttl_s)
    return replace(
        state, heartbeat=value, heartbeat_session=session, heartbeat_at_s=now_s, lease=lease
    )


def ask(state: Handshake, session: str, *, wanted: bool) -> Handshake:
    """The controller asks for control, or gives it back, which sheds if it had it."""
    if not wanted and state.active:
        return shed(state, REQUEST_WITHDRAWN)
    return replace(state, request=wanted, request_session=session if wanted else "")


def operate(state: Handshake, mode: ApcMode) -> Handshake:
    """The operator writes APC/Mode.

    MANUAL or SHADOW while Active is an orderly release: nothing is latched, and the controller has
    to ask again. SHADOW or AUTO acknowledges an earlier shed.
    """
    if state.active and mode is not ApcMode.AUTO:
        return replace(_without_request(state), active=False, mode=mode, shed_reason="")
    if mode is ApcMode.MANUAL:
        return replace(state, mode=mode)
    return replace(acknowledge(state), mode=mode)


def acknowledge(state: Handshake) -> Handshake:
    """The operator has seen the shed: the latch and its reason go."""
    return replace(state, latched=False, shed_reason="")


def shed(state: Handshake, reason: str) -> Handshake:
    """Take control away for `reason`; without control, only the request goes."""
    released = _without_request(state)
    if not state.active:
        return released
    return replace(
        released,
        active=False,
        permit=False,
        latched=True,
        shed_reason=reason,
        mode=ApcMode.MANUAL,
        impaired_since_s=None,
    )


def take_lease(
    state: Handshake, session: str, owner: str, ttl_s: float, now_s: float
) -> tuple[Handshake, bool]:
    """Give `session` the lease for `ttl_s` wall seconds, or renew it; False if another has it."""
    if state.lease is not None and state.lease.session != session and state.lease.until_s > now_s:
        return state, False
    if state.lease is not None and state.lease.session != session:
        state = _lose_lease(state)
    lease = Lease(session=session, owner=owner, ttl_s=ttl_s, until_s=now_s + ttl_s)
    return replace(state, lease=lease), True


def release_lease(state: Handshake, session: str) -> Handshake:
    """End the lease of `session` (also when that session closes); no effect on another's lease."""
    if state.lease is None or state.lease.session != session:
        return state
    return _lose_lease(state)


def settle(state: Handshake, conditions: Conditions, now_s: float) -> Handshake:
    """Bring permit and active to what the instant demands: shed first, then permit, then entry."""
    if state.lease is not None and state.lease.until_s <= now_s:
        state = _lose_lease(state)
    state = _track_impairment(state, conditions)
    if state.active and (cause := _shed_cause(state, conditions, now_s)):
        state = shed(state, cause)
    permit = (
        not conditions.tripped
        and not conditions.override
        and conditions.cv_good
        and not state.latched
    )
    state = replace(state, permit=permit)
    if not state.active and _may_enter(state, now_s):
        return replace(state, active=True, shed_reason="")
    return state


def with_timeout(state: Handshake, timeout_s: float) -> Handshake:
    """The engineer sets the age at which a heartbeat is stale [s]."""
    return replace(state, heartbeat_timeout_s=timeout_s)


def with_shed_option(state: Handshake, option: ShedOption) -> Handshake:
    """The engineer chooses what a shed does; raises ValueError for HOLD."""
    if option is ShedOption.HOLD:
        raise ValueError("ShedOption HOLD: refused, the time to no return is finite")
    return replace(state, shed_option=option)


def reset(state: Handshake) -> Handshake:
    """A new episode: the DCS has control; lease, heartbeat and the engineer's settings stay."""
    return Handshake(
        shed_option=state.shed_option,
        heartbeat=state.heartbeat,
        heartbeat_session=state.heartbeat_session,
        heartbeat_at_s=state.heartbeat_at_s,
        heartbeat_timeout_s=state.heartbeat_timeout_s,
        lease=state.lease,
    )


def _may_enter(state: Handshake, now_s: float) -> bool:
    return (
        state.mode is ApcMode.AUTO
        and state.permit
        and state.request
        and state.lease is not None
        and state.lease.session == state.request_session
        and fresh(state, now_s)
    )


def _shed_cause(state: Handshake, conditions: Conditions, now_s: float) -> str:
    """First cause that takes control away, or an empty string."""
    if conditions.tripped:
        return TRIP
    if not fresh(state, now_s):
        return HEARTBEAT_LOST
    since_s = state.impaired_since_s
    away = since_s is not None and state.sound_since_s is None
    if since_s is not None and away and conditions.plant_time_s - since_s >= IMPAIRED_LIMIT_S:
        return IMPAIRED
    return ""


def _track_impairment(state: Handshake, conditions: Conditions) -> Handshake:
    """Remember since when the permit has been away while Active.

    Only a permit that has been back for `SOUND_AGAIN_S` ends it: a signal that is good for an
    instant now and then is not a good signal.
    """
    now_s = conditions.plant_time_s
    if not state.active:
        clear = replace(state, impaired_since_s=None, sound_since_s=None)
        return state if clear == state else clear
    if conditions.override or not conditions.cv_good:
        since_s = now_s if state.impaired_since_s is None else state.impaired_since_s
        return replace(state, impaired_since_s=since_s, sound_since_s=None)
    if state.impaired_since_s is None:
        return state
    since_s = now_s if state.sound_since_s is None else state.sound_since_s
    if now_s - since_s >= SOUND_AGAIN_S:
        return replace(state, impaired_since_s=None, sound_since_s=None)
    return replace(state, sound_since_s=since_s)


def _lose_lease(state: Handshake) -> Handshake:
    return replace(shed(state, LEASE_LOST), lease=None)


def _without_request(state: Handshake) -> Handshake:
    return replace(state, request=False, request_session="")
