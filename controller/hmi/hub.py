"""What changed, told to everybody who watches: each change is encoded once, for all.

A viewer that falls behind is told the newest of each topic; nothing is kept for it.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sse_starlette import ServerSentEvent

from controller.hmi.crowd import Crowd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SHORTEST_S = 0.25
"""Distance of two messages to one viewer: four a second."""

BEAT_S = 2.0
"""Longest silence: a page cannot tell a dead line from a plant where nothing changes."""


def encoded(document: Any) -> str:
    """Compact JSON that UTF-8 can carry; raises ValueError for NaN and infinities.

    A lone surrogate, as asyncua makes of a server's bytes that are no UTF-8, becomes "?".
    """
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode()


class Hub:
    """The newest message of each topic, and who waits for another."""

    def __init__(self, most: int, each: int | None = None) -> None:
        """most: viewers at the same time.  each: from one address, None = any number."""
        self._room = Crowd(most, each)
        self._topics: dict[str, tuple[int, bytes]] = {}
        self._texts: dict[str, str] = {}
        self._viewers: set[asyncio.Event] = set()
        self._closed = False

    def full(self, address: str) -> bool:
        """Whether there is no room for another viewer from this address."""
        return self._room.full(address)

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    def publish(self, topic: str, event: str, document: Any) -> None:
        """Tell a document under an event's name, unless the last one was the same."""
        text = encoded(document)
        if self._texts.get(topic) == text:
            return
        number, _ = self._topics.get(topic, (0, b""))
        self._texts[topic] = text
        self._topics[topic] = number + 1, ServerSentEvent(text, event=event).encode()
        for viewer in self._viewers:
            viewer.set()

    def text(self, topic: str) -> str | None:
        """The newest document of a topic as JSON."""
        return self._texts.get(topic)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        for viewer in self._viewers:
            viewer.set()

    async def watch(self, topics: Sequence[str], address: str = "") -> AsyncIterator[bytes]:
        """What changes in the topics: first all of them, then the newest of each that is another.

        Where nothing changes, a "beat" with the time.  Nothing at all where the hub is `full`: many
        may have asked at the same instant whether it is.
        """
        if not self._room.enter(address):
            return
        viewer, told = asyncio.Event(), dict.fromkeys(topics, 0)
        self._viewers.add(viewer)
        try:
            while not self._closed:
                viewer.clear()
                news = b""
                for topic in topics:
                    number, message = self._topics.get(topic, (0, b""))
                    if number > told[topic]:
                        told[topic], news = number, news + message
                if news:
                    yield news
                    await asyncio.sleep(SHORTEST_S)
                    continue
                try:
                    async with asyncio.timeout(BEAT_S):
                        await viewer.wait()
                except TimeoutError:
                    yield _beat()
        finally:
            self._viewers.discard(viewer)
            self._room.leave(address)


def _beat() -> bytes:
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return ServerSentEvent(encoded({"time": time}), event="beat").encode()
