"""The lease: the right to command, which a DCS may give to one session at a time."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from asyncua import ua

from controller.opcua.requests import Failed

if TYPE_CHECKING:
    from controller.opcua.connection import Connection
    from controller.opcua.requests import Requests

TAKE_LEASE = "handshake.take_lease"
RELEASE_LEASE = "handshake.release_lease"

NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who this controller says it is, and for how long it asks for the lease [wall seconds]."""

    owner: str
    lease_ttl_s: float


class Lease:
    """Whether the session of a connection holds the lease, and until when."""

    def __init__(self, requests: Requests, ownership: Ownership) -> None:
        self._requests = requests
        self._ownership = ownership
        self._until_s = NEVER
        self._due_s = NEVER

    def forget(self) -> None:
        """The session that may have held it is gone."""
        self._until_s = self._due_s = NEVER

    def doubt(self) -> None:
        """Ask at once: the DCS has refused what the holder may do."""
        self._due_s = NEVER

    def held(self, connection: Connection | None) -> bool:
        """True when this DCS has no lease, or this session holds it."""
        if connection is not None and not connection.offers(TAKE_LEASE):
            return True
        return monotonic() < self._until_s

    async def keep(self, connection: Connection) -> Failed | None:
        """Take the lease, and renew it whenever a third of it has passed."""
        now = monotonic()
        if not connection.offers(TAKE_LEASE) or now < self._due_s:
            return None
        ttl = self._ownership.lease_ttl_s
        self._due_s = now + ttl / 3.0
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
            self._until_s = now + ttl
            return None
        self._until_s = NEVER
        return self._requests.refused("lease", "refused", "another session holds the lease")

    async def release(self, connection: Connection) -> None:
        """Give the lease back, where this session holds one."""
        if connection.offers(RELEASE_LEASE) and self.held(connection):
            await self._requests.ask("lease", connection.call(RELEASE_LEASE))
            self._until_s = NEVER
