"""Where a server is and as whom to connect; and what asyncua raises when that does not work."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncua import ua
from asyncua.crypto import uacrypto
from cryptography.exceptions import InvalidSignature

from controller.opcua.bounded import bounded_client
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from asyncua import Client
    from cryptography import x509

    from controller.opcua.security import ClientSecurity

FAULTS = (
    OSError,
    TimeoutError,
    ua.UaError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    RecursionError,
    struct.error,
    InvalidSignature,
    uacrypto.InvalidSignature,
)
"""What a broken line, a refusing server or a malformed answer raises in asyncua."""

SESSION_TIMEOUT_S = 30.0
"""How long a server keeps a session that says nothing; short, so that a crash frees the lease."""

CLOSE_S = 2.0
ABANDON_S = 0.3
"""How long the goodbye may take, of a session that works and of one that has failed: the next
attempt to connect waits for it."""

PROBE_S = 1.0
"""How often asyncua reads the server's state to notice a dead line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect, as whom, and how long it may take.  password is never shown.

    security: certificates; None sends everything in clear.
    """

    url: str
    user: str | None
    password: str | None = field(repr=False)
    connect_timeout_s: float
    security: ClientSecurity | None = None

    def client(self) -> Client:
        """Return a client that is not connected yet.

        Raises ValueError for an empty user, as whom asyncua would connect anonymously.
        """
        if self.user == "":
            raise ValueError("user: a name, or None to connect anonymously")
        client = bounded_client(
            self.url, timeout_s=self.connect_timeout_s, watchdog_intervall=PROBE_S
        )
        client.name = client.description = "trimtab"
        client.application_uri = "urn:trimtab:controller"
        client.session_timeout = int(SESSION_TIMEOUT_S * 1000)
        if self.user is not None:
            client.set_user(self.user)
            client.set_password(self.password or "")
        return client

    async def connect(self, client: Client) -> x509.Certificate | None:
        """Connect a client of this endpoint; return the server's certificate, None in clear.

        Raises FAULTS, and ServerRefusedError for a server that is not trusted.
        """
        certificate = None if self.security is None else await self.security.secure(client)
        try:
            await client.connect()
        except AssertionError:  # how asyncua says that the answer opens no channel
            raise ConnectionError("the answer to OpenSecureChannel cannot be read") from None
        return certificate


async def hang_up(client: Client, limit_s: float = CLOSE_S) -> None:
    """Close session, channel and socket; never raises and never waits longer than `limit_s`."""
    try:
        async with time_limit(limit_s):
            await client.disconnect()
    except FAULTS:
        with contextlib.suppress(*FAULTS):
            client.disconnect_socket()
    await asyncio.sleep(0)
