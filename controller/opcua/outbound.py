"""What the controller sends to the DCS: targets and Request, heartbeat, lease, shed.

A read-only controller has none of this: `Outbound` then sends nothing whatever it is asked.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from controller.core.types import (
    NOTHING_WRITTEN,
    NotWritten,
    NotWrittenReason,
    Partial,
    WriteFailure,
    Written,
)
from controller.logs import logger
from controller.opcua.encoding import encode, wrapped
from controller.opcua.lease import Lease
from controller.opcua.release import REQUEST, Release
from controller.opcua.requests import NO_CONNECTION, NOT_CONNECTED, TIMEOUT, Failed
from controller.opcua.targets import Unfit, server_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.configuration.binding import Binding
    from controller.core.types import Measurement, Move, WriteOutcome
    from controller.opcua.connection import Connection
    from controller.opcua.lease import Ownership
    from controller.opcua.requests import Requests

HEARTBEAT_IN = "handshake.heartbeat_in"
WRITTEN_KEYS = (HEARTBEAT_IN, REQUEST)

NO_LEASE = Failed(service="call", status="lease", detail="lease not held")


class Outbound:
    """Sends over the connection it was last attached to; detached, it sends nothing."""

    def __init__(
        self, *, binding: Binding, requests: Requests, ownership: Ownership, read_only: bool
    ) -> None:
        self._binding = binding
        self._requests = requests
        self._read_only = read_only
        self._connection: Connection | None = None
        self._lease = Lease(requests, ownership)
        self._release = Release(binding, requests)
        self._log = logger("link")
        self._unfit: set[str] = set()
        self._beats = 0

    async def attach(self, connection: Connection, image: Mapping[str, Measurement]) -> None:
        """Use a new session: take the lease, let go of what an earlier session may have left.

        Without that a plant that has no lease would stay Active on the word of a controller that
        is no longer in AUTO.  Without the lease it may be another's: then, and while the DCS
        refuses and does not show that nothing is left, `release_due` stays true and `settle` tries
        again.  image: as polled by the new session.
        """
        self._connection = connection
        self._lease.forget()
        await self.keep_lease()
        if not self._read_only:
            self._release.owe()
        await self.settle(image)

    def detach(self) -> None:
        """Forget the session; it is lost or about to be closed."""
        self._connection = None
        self._lease.forget()

    def _session(self) -> Connection | None:
        return None if self._read_only else self._connection

    @property
    def lease_held(self) -> bool:
        """True when this DCS has no lease, or this session holds it."""
        return self._lease.held(self._connection)

    async def keep_lease(self) -> Failed | None:
        """Take the lease, and renew it in time."""
        connection = self._session()
        return None if connection is None else await self._lease.keep(connection)

    async def release_lease(self) -> None:
        """Give the lease back, where this session holds one."""
        connection = self._session()
        if connection is not None:
            await self._lease.release(connection)

    @property
    def release_due(self) -> bool:
        """True while what an earlier session may have left in AUTO has not been let go."""
        return self._release.due

    @property
    def release_refusal(self) -> str:
        """What was refused, and how, when that was last tried; "" where it was not."""
        return self._release.refusal

    async def settle(self, image: Mapping[str, Measurement]) -> Failed | None:
        """Let go of what an earlier session may have left, if that is still due.

        Without the lease nothing is sent, and it stays due.
        """
        connection = self._session()
        if connection is None or not self._release.due or not self.lease_held:
            return None
        return await self._release.settle(connection, image)

    async def shed(self, reason: str, image: Mapping[str, Measurement]) -> Failed | None:
        """Hand the MVs back; see `Release.shed`.

        Without the lease the call would take the MVs from the controller that holds it, so nothing
        is sent; the shed has failed nevertheless: the DCS may still follow this controller, whose
        lease may only have gone unrenewed.
        """
        connection = self._session()
        if connection is None:
            return None if self._read_only else NOT_CONNECTED
        if not self.lease_held:
            return NO_LEASE
        return await self._release.shed(connection, reason, image)

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
        if move.entering:
            self._release.taking(request=bool(values.get(REQUEST)))
        started = monotonic()
        answer = await self._requests.ask("write", connection.write(values))
        elapsed = monotonic() - started
        if isinstance(answer, Failed):
            return NotWritten(reason=_reason(answer), detail=answer.detail, elapsed_s=elapsed)
        outcome = self._outcome(answer, elapsed)
        refused = not move.request and not isinstance(outcome, Written)
        return (
            NOTHING_WRITTEN
            if refused and self._release.nothing_left(connection, image)
            else outcome
        )

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
        self._lease.doubt()  # refused by a DCS that may know another holder
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


_REASONS = {
    TIMEOUT: NotWrittenReason.TIMEOUT,
    NO_CONNECTION: NotWrittenReason.DISCONNECTED,
}


def _reason(failure: Failed) -> NotWrittenReason:
    return _REASONS.get(failure.status, NotWrittenReason.REJECTED)
