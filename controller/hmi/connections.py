"""Connections of browsers that may be slow, idle, or many: each has a bounded time and room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from controller.hmi.crowd import unmapped
from controller.logs import logger

if TYPE_CHECKING:
    import asyncio

REQUEST_S = 10.0
"""A request must have come whole after this time, header and body."""

UNREAD_S = 20.0
"""A browser that reads nothing of what waits for it is let go after this time."""

LONGEST_HEADER = 16 * 1024


class Connection(H11Protocol):
    """uvicorn's own, and the time limits that it has not."""

    arriving: asyncio.TimerHandle | None = None
    unread: asyncio.TimerHandle | None = None
    closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; its first request must come in time."""
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; the time for the whole of it runs from its first byte."""
        super().data_received(data)
        if self.conn.their_state in {h11.IDLE, h11.SEND_BODY}:
            self._await_request()
        else:
            self._stop_arriving()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._stop_arriving()
        self.resume_writing()
        if self.closing is not None:
            self.closing.cancel()
            self.closing = None
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """The browser says no more; what it has not read by then, it must read in time.

        asyncio closes the connection with this, but not before all is written.
        """
        super().eof_received()
        if self.transport.get_write_buffer_size() and self.closing is None:
            self.closing = self.loop.call_later(UNREAD_S, self._end, "reads nothing")

    def pause_writing(self) -> None:
        """The browser does not read."""
        super().pause_writing()
        if self.unread is None:
            self.unread = self.loop.call_later(UNREAD_S, self._end, "reads nothing")

    def resume_writing(self) -> None:
        """The browser has read."""
        if self.unread is not None:
            self.unread.cancel()
            self.unread = None
        super().resume_writing()

    def _await_request(self) -> None:
        if self.arriving is None:
            self.arriving = self.loop.call_later(REQUEST_S, self._late)

    def _late(self) -> None:
        self.arriving = None
        self._end("no whole request in time")

    def _stop_arriving(self) -> None:
        if self.arriving is not None:
            self.arriving.cancel()
            self.arriving = None

    def _end(self, reason: str) -> None:
        address: Any = unmapped(self.client[0]) if self.client else None
        logger("hmi.web").info("connection_ended", reason=reason, address=address)
        self.transport.abort()
