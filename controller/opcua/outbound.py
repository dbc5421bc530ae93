"""What the controller sends to the DCS: targets and Request, heartbeat, lease, shed.

A read-only controller has none of this: `Outbound` then sends nothing whatever it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from asyncua import ua

from controller.configuration.choices import among
from controller.core.types import (
    NOTHING_WRITTEN,
    NotWritten,
    NotWrittenReason,
    Partial,
    Quality,
    WriteFailure,
    Written,
)
from controller.logs import logger
from controller.opcua.encoding import encode, wrapped
from controller.opcua.requests import NO_CONNECTION, NOT_CONNECTED, TIMEOUT, Failed
from controller.opcua.targets import Unfit, server_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.configuration.binding import Binding
    from controller.configuration.choices import Choice
    from controller.core.types import Measurement, Move, WriteOutcome
    from controller.opcua.connection import Connection
    from controller.opcua.requests import Requests

HEARTBEAT_IN = "handshake.heartbeat_in"
REQUEST = "handshake.request"
SELECTOR = "handshake.mode"
TAKE_LEASE = "handshake.take_lease"
RELEASE_LEASE = "handshake.release_lease"
SHED = "handshake.shed"
WRITTEN_KEYS = (HEARTBEAT_IN, REQUEST)

UNANSWERED = frozenset({TIMEOUT, NO_CONNECTION})
"""Statuses after which another request would fare no better."""

NEVER = float("-inf")

SETTLED_S = 2.0
"""A Request that reads false counts when it was received this long after we last raised it: what a
subscription brings is older than it looks."""

TOLD_NOTHING = "it has no shed, no request and no mode_on_shed: its last target stands"

NOT_TOLD = Failed(service="call", status="untold", detail=TOLD_NOTHING)

NO_LEASE = Failed(service="call", status="lease", detail="lease not held")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who this controller says it is, and for how long it asks for the lease [wall seconds]."""

    owner: str
    lease_ttl_s: float


class Outbound:
    """Sends over the connection it was last attached to; detached, it sends nothing."""

    def __init__(
        self, *, binding: Binding, requests: Requests, ownership: Ownership, read_only: bool
    ) -> None:
        self._binding = binding
        self._requests = requests
        self._ownership = ownership
        self._read_only = read_only
        self._connection: Connection | None = None
        self._log = logger("link")
        self._unfit: set[str] = set()
        self._beats = 0
        self._release_due = False
        self._release_refusal = ""
        self._untold = False
        self._raised_s = NEVER
        self._leased_until_s = NEVER
        self._lease_due_s = NEVER

    async def attach(self, connection: Connection, image: Mapping[str, Measurement]) -> None:
        """Use a new session: take the lease, let go of what an earlier session may have left.

        Without that a plant that has no lease would stay Active on the word of a controller that
        is no longer in AUTO.  Without the lease it may be another's: then, and while the DCS
        refuses and does not show that nothing is left, `release_due` stays true and `settle` tries
        again.  image: as polled by the new session.
        """
        self._connection = connection
        self._leased_until_s = self._lease_due_s = NEVER
        await self.keep_lease()
        self._release_due = not self._read_only
        self._release_refusal = ""
        await self.settle(image)

    @property
    def release_due(self) -> bool:
        """True while what an earlier session may have left in AUTO has not been let go."""
        return self._release_due

    @property
    def release_refusal(self) -> str:
        """What was refused, and how, when that was last tried; "" where it was not."""
        return self._release_refusal

    async def settle(self, image: Mapping[str, Measurement]) -> Failed | None:
        """Let go of what an earlier session may have left, if that is still due.

        Without the lease nothing is sent, and it stays due.  So it does when the DCS refuses: then
        its Request may stand, and would have it follow a stale target as soon as Auto is selected.
        A DCS that takes a Request only in Auto shows that none stands, which is as good.
        """
        connection = self._session()
        if connection is None or not self._release_due or not self.lease_held:
            return None
        failure = await self._let_go(connection, image)
        self._release_due = failure is not None
        self._tell(failure)
        return failure

    def _nothing_left(self, image: Mapping[str, Measurement]) -> bool:
        """True when the selector is off auto and Request, where there is one, reads false."""
        if not self._off_auto(image):
            return False
        held = image.get(REQUEST)
        if held is None:
            return self._connection is None or not self._connection.has(REQUEST)
        shown = held.quality is not Quality.BAD and held.received_s > self._raised_s + SETTLED_S
        return shown and held.value == 0

    def _tell(self, failure: Failed | None) -> None:
        """Log a refusal to be let go when it is new, and its end."""
        refusal = "" if failure is None else failure.words
        if refusal == self._release_refusal:
            return
        self._release_refusal = refusal
        if failure is None:
            self._log.info("let_go_succeeded")
            return
        self._log.warning(
            "let_go_failed",
            status=failure.status,
            reason=failure.detail,
            again="every tick",
            until_then="AUTO is barred and the heartbeat stands still",
        )

    def detach(self) -> None:
        """Forget the session; it is lost or about to be closed."""
        self._connection = None
        self._leased_until_s = NEVER

    def _session(self) -> Connection | None:
        return None if self._read_only else self._connection

    @property
    def lease_held(self) -> bool:
        """True when this DCS has no lease, or this session holds it."""
        connection = self._connection
        if connection is not None and not connection.offers(TAKE_LEASE):
            return True
        return monotonic() < self._leased_until_s

    async def write(self, move: Move, image: Mapping[str, Measurement]) -> WriteOutcome:
        """Write the targets, then Request, in one request.

        image: the snapshot that the move was made from.  Targets go out as `server_target` makes
        them; one that cannot be written as certified is a bug, and then nothing is written.
        Request is written on entry and on release only: a Request that the DCS has withdrawn must
        not be raised again by a move that was on its way.  A release that the DCS refuses, while it
        shows that nothing is left, has nothing to write.
        """
        connection = self._connection
        if self._read_only:
            return NotWritten(reason=NotWrittenReason.GUARD, detail="this link is read-only")
        if connection is None or not self.lease_held:
            lost = NotWrittenReason.DISCONNECTED if connection is None else NotWrittenReason.LEASE
            return NotWritten(reason=lost)
        values = self._values(move, connection, image)
        if isinstance(values, Unfit):
            return NotWritten(reason=NotWrittenReason.GUARD, detail=values.detail)
        if not values:
            return NOTHING_WRITTEN
        self._untold = self._untold and not move.entering
        started = monotonic()
        if values.get(REQUEST):
            self._raised_s = started
        answer = await self._requests.ask("write", connection.write(values))
        elapsed = monotonic() - started
        if isinstance(answer, Failed):
            return NotWritten(reason=_reason(answer), detail=answer.detail, elapsed_s=elapsed)
        outcome = self._outcome(answer, elapsed)
        refused = not move.request and not isinstance(outcome, Written)
        return NOTHING_WRITTEN if refused and self._nothing_left(image) else outcome

    def _values(
        self, move: Move, connection: Connection, image: Mapping[str, Measurement]
    ) -> dict[str, float] | Unfit:
        values: dict[str, float] = {}
        for mv, target, wanted in zip(self._binding.mvs, move.targets, move.write, strict=True):
            if wanted:
                kind = connection.kind(mv.target_key)
                value = server_target(mv, float(target), kind, image)
                if isinstance(value, Unfit):
                    return value
                values[mv.target_key] = value
        if connection.has(REQUEST) and (move.entering or not move.request):
            values[REQUEST] = move.request
        return values

    def _outcome(self, answer: Mapping[str, str | None], elapsed_s: float) -> WriteOutcome:
        failures = tuple(
            WriteFailure(tag=key, status=status)
            for key, status in answer.items()
            if status is not None
        )
        for failure in failures:
            self._requests.refused("write", failure.status, failure.tag)
        if not failures:
            return Written(elapsed_s=elapsed_s)
        if len(failures) < len(answer):
            return Partial(failures=failures, elapsed_s=elapsed_s)
        return NotWritten(
            reason=NotWrittenReason.REJECTED,
            detail=", ".join(f"{failure.tag}: {failure.status}" for failure in failures),
            failures=failures,
            elapsed_s=elapsed_s,
        )

    async def beat(self, diagnostics: Mapping[str, float], *, alive: bool) -> Failed | None:
        """Write the next heartbeat, if alive, and the diagnostics that this DCS has.

        Without the lease neither: they would stand beside the figures of the one that holds it.
        A diagnostic that does not fit its node is left out: it must not stop the heart.  The
        heartbeat goes first, so that neither does one that ends a write of several requests.
        """
        connection = self._session()
        if connection is None or not self.lease_held:
            return None
        values: dict[str, float] = {}
        if alive and connection.has(HEARTBEAT_IN):
            values[HEARTBEAT_IN] = wrapped(self._beats + 1, connection.kind(HEARTBEAT_IN))
        values |= {key: value for key, value in diagnostics.items() if self._fits(key, value)}
        if not values:
            return None
        answer = await self._requests.ask("heartbeat", connection.write(values))
        if isinstance(answer, Failed):
            return answer
        status = answer.get(HEARTBEAT_IN)
        if status is None:
            self._beats += HEARTBEAT_IN in answer
            return None
        self._lease_due_s = NEVER  # refused by a DCS that knows another holder: ask at once
        return self._requests.refused("heartbeat", status, HEARTBEAT_IN)

    def _fits(self, key: str, value: float) -> bool:
        """True when this DCS has the tag and its node can hold the value; logs the first misfit."""
        connection = self._connection
        if connection is None or not connection.has(key):
            return False
        try:
            encode(value, connection.kind(key))
        except ValueError as error:
            if key not in self._unfit:
                self._unfit.add(key)
                self._log.warning("diagnostic_dropped", tag=key, reason=str(error))
            return False
        return True

    async def keep_lease(self) -> Failed | None:
        """Take the lease, and renew it whenever a third of it has passed."""
        connection, now = self._session(), monotonic()
        if connection is None or not connection.offers(TAKE_LEASE) or now < self._lease_due_s:
            return None
        ttl = self._ownership.lease_ttl_s
        self._lease_due_s = now + ttl / 3.0
        answer = await self._requests.ask(
            "lease",
            connection.call(
                TAKE_LEASE,
                ua.Variant(self._ownership.owner, ua.VariantType.String),
                ua.Variant(ttl, ua.VariantType.Double),
            ),
        )
        if isinstance(answer, Failed):
            return answer
        if answer == [True]:
            self._leased_until_s = now + ttl
            return None
        self._leased_until_s = NEVER
        return self._requests.refused("lease", "refused", "another session holds the lease")

    async def release_lease(self) -> None:
        """Give the lease back, where this session holds one."""
        connection = self._session()
        if connection is not None and connection.offers(RELEASE_LEASE) and self.lease_held:
            await self._requests.ask("lease", connection.call(RELEASE_LEASE))
            self._leased_until_s = NEVER

    async def shed(self, reason: str, image: Mapping[str, Measurement]) -> Failed | None:
        """Hand the MVs back: APC.Shed where the DCS has it, else, or if refused, `_let_go`.

        Without the lease the call would take the MVs from the controller that holds it, so nothing
        is sent; the shed has failed nevertheless: the DCS may still follow this controller, whose
        lease may only have gone unrenewed.  So it has where there is no way to tell the DCS, until
        the operator has its selector off auto.
        """
        connection = self._session()
        if connection is None:
            return None if self._read_only else NOT_CONNECTED
        if not self.lease_held:
            return NO_LEASE
        failure: Failed | None = None
        if connection.offers(SHED):
            argument = ua.Variant(reason, ua.VariantType.String)
            called = await self._requests.ask("call", connection.call(SHED, argument))
            failure = called if isinstance(called, Failed) else None
            if failure is None or failure.status in UNANSWERED:
                return failure
        if not (connection.has(REQUEST) or self._binding.mode_on_shed is not None):
            return failure if connection.offers(SHED) else self._cannot_tell(reason, image)
        return await self._let_go(connection, image)

    def _cannot_tell(self, reason: str, image: Mapping[str, Measurement]) -> Failed | None:
        """None once the operator has let go in our place, else a failure, logged once a shed."""
        if self._off_auto(image):
            return None
        if not self._untold:
            self._untold = True
            self._log.warning("dcs_not_told", shed=reason, reason=TOLD_NOTHING)
        return NOT_TOLD

    def _off_auto(self, image: Mapping[str, Measurement]) -> bool:
        """True when the operator's selector can be read and is off auto."""
        held = image.get(SELECTOR)
        off = [choice for choice, mode in self._binding.mode_values.items() if mode != "auto"]
        return held is not None and held.quality is not Quality.BAD and among(held.value, off)

    async def _let_go(
        self, connection: Connection, image: Mapping[str, Measurement]
    ) -> Failed | None:
        """Withdraw Request, and put the selector off auto where tags.toml says so.

        A selector that the operator has moved off auto stays where it is: it has let go already.
        A refusal is none where the DCS shows that nothing is left.
        """
        values: dict[str, Choice] = {REQUEST: False} if connection.has(REQUEST) else {}
        chosen = self._binding.mode_on_shed
        if chosen is not None and connection.has(SELECTOR) and not self._off_auto(image):
            values[SELECTOR] = chosen
        if not values:
            return None
        answer = await self._requests.ask("write", connection.write(values))
        if isinstance(answer, Failed):
            return answer
        for key, status in answer.items():
            if status is not None:
                refused = self._requests.refused("write", status, key)
                return None if self._nothing_left(image) else refused
        return None


_REASONS = {
    TIMEOUT: NotWrittenReason.TIMEOUT,
    NO_CONNECTION: NotWrittenReason.DISCONNECTED,
}


def _reason(failure: Failed) -> NotWrittenReason:
    return _REASONS.get(failure.status, NotWrittenReason.REJECTED)
