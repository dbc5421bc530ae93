"""The listening socket and uvicorn on it: connections are counted from the first byte on.

uvicorn counts a connection only after its TLS hand-shake, and has no time limit for that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

import uvicorn

from controller.errors import ConfigError
from controller.hmi import connections
from controller.hmi.connections import Connection
from controller.hmi.crowd import Crowd, unmapped
from controller.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.hmi.settings import HmiSettings
    from controller.hmi.web_settings import WebSettings

HANDSHAKE_S = 5.0
"""A TLS hand-shake must be done after this time."""

SHUTDOWN_S = 3.0
"""How long a browser may take to answer TLS's goodbye."""

SPARE = 448
"""Connections in all, beside those of viewers."""

SPARE_EACH = 48
"""Connections from one address, beside those of its viewers; a browser opens six at a time."""


def connections_room(settings: HmiSettings) -> Crowd:
    """Room for connections; on loopback every browser has the address of this machine."""
    each = None if settings.web.on_loopback else SPARE_EACH + settings.viewers_per_address
    return Crowd(SPARE + settings.viewers, each)


TOLD_EVERY_S = 10.0


class _Accepted(socket.socket):
    """A connection that tells when it is closed."""

    gone: Callable[[], None] | None = None

    def close(self) -> None:
        super().close()
        gone, self.gone = self.gone, None
        if gone is not None:
            gone()


class Listening(socket.socket):
    """A listening socket that accepts while there is room, and ends what comes besides."""

    def __init__(self, family: int, room: Crowd, free: Callable[[str], bool]) -> None:
        """free: whether the connections of an address, such as a proxy's, count in all alone."""
        super().__init__(family, socket.SOCK_STREAM)
        self.room, self._free = room, free
        self._told_s = -TOLD_EVERY_S

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept one; raises ConnectionAbortedError for one that was ended at once."""
        accepted, where = super().accept()
        address = None if self._free(where[0]) else str(where[0])
        if not self.room.enter(address):
            accepted.close()
            self._tell(unmapped(str(where[0])))
            raise ConnectionAbortedError
        connection = _Accepted(fileno=accepted.detach())
        connection.gone = lambda: self.room.leave(address)
        _limit_unread(connection)
        return connection, where

    def _tell(self, address: str) -> None:
        """Log now and then: a flood must not fill the log."""
        if monotonic() - self._told_s >= TOLD_EVERY_S:
            self._told_s = monotonic()
            logger("hmi.web").warning("no_room", address=address, connections=self.room.count)


def _limit_unread(connection: socket.socket) -> None:
    """Let the system end a connection whose peer takes nothing of what waits, or answers nothing.

    asyncio tells of what waits only above 64 kB, and closes none before all of it is written; a
    peer that acknowledges the probes of a closed window is ended too.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        limit_ms = round(1e3 * connections.UNREAD_S)
        with contextlib.suppress(OSError):  # the peer is gone already: the first read tells so
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)


class Server(uvicorn.Server):
    """uvicorn's, whose signals are handled by `serve`, with a time limit for hand-shakes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve the given sockets."""
        await self.lifespan.startup()
        config = self.config

        def connection() -> Connection:
            return Connection(config, self.server_state, self.lifespan.state)

        limits: dict[str, Any] = {}
        if config.ssl is not None:
            limits = {"ssl_handshake_timeout": HANDSHAKE_S, "ssl_shutdown_timeout": SHUTDOWN_S}
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                connection, sock=listening, ssl=config.ssl, backlog=config.backlog, **limits
            )
            for listening in sockets or []
        ]
        self.started = True


def listen(web: WebSettings, room: Crowd) -> Listening:
    """The listening socket.  Raises ConfigError."""
    listening: Listening | None = None
    try:
        family, _, _, _, where = socket.getaddrinfo(
            web.host, web.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = Listening(family, room, web.is_proxy)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise ConfigError(
            file="settings", key="web.port", received=f"{web.host}, port {web.port}",
            allowed="an address of this machine and a free port, or 0 for any",
            action=f"choose another, or end the program that has it ({error.strerror})",
        ) from None  # fmt: skip
    listening.settimeout(0.0)
    return listening
