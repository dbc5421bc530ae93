"""Questions that cost a disk, a plant or a processor something: few at a time, none asked twice.

Who asks what is being asked already, or was a moment ago, is given that answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from controller.hmi.crowd import Crowd
from controller.hmi.errors import RefusedError
from controller.hmi.hub import encoded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

KEPT_S = 1.0
"""How long an answer is given again."""

MOST_KEPT = 32

JOURNAL_AT_ONCE, PLANTS_AT_ONCE = 4, 4
MOST_WAITING, MOST_WAITING_EACH = 48, 6
"""Questions in work or waiting: in all, and of one address."""


class Questions:
    """Questions of one kind."""

    def __init__(self, at_once: int, *, tells_apart: bool) -> None:
        """at_once: in work.  tells_apart: whether those who ask have addresses of their own."""
        self._at_once = asyncio.Semaphore(at_once)
        self._room = Crowd(MOST_WAITING, MOST_WAITING_EACH if tells_apart else None)
        self._asked: dict[Hashable, asyncio.Task[str]] = {}
        self._kept: OrderedDict[Hashable, tuple[float, str]] = OrderedDict()

    async def answer(
        self, key: Hashable, address: str, work: Callable[[], Awaitable[Any]]
    ) -> Response:
        """The document that `work` makes, as JSON.  Raises RefusedError, and what `work` raises.

        key: the same for the same question.
        """
        text = self._fresh(key)
        if text is None:
            task = self._asked.get(key)
            if task is None:
                if not self._room.enter(address):
                    raise RefusedError(
                        HTTPStatus.SERVICE_UNAVAILABLE,
                        "too many questions at once: try again",
                        {"Retry-After": "2"},
                    )
                task = asyncio.create_task(self._ask(key, address, work))
                task.add_done_callback(_looked_at)
                self._asked[key] = task
            text = await asyncio.shield(task)  # another may wait for it too
        return Response(text, media_type="application/json")

    async def _ask(self, key: Hashable, address: str, work: Callable[[], Awaitable[Any]]) -> str:
        try:
            async with self._at_once:
                text = encoded(await work())
            self._keep(key, text)
            return text
        finally:
            self._room.leave(address)
            del self._asked[key]

    def _fresh(self, key: Hashable) -> str | None:
        time_s, text = self._kept.get(key, (0.0, None))
        return text if text is not None and monotonic() - time_s <= KEPT_S else None

    def _keep(self, key: Hashable, text: str) -> None:
        now = monotonic()
        self._kept[key] = (now, text)
        self._kept.move_to_end(key)
        while self._kept:
            oldest = next(iter(self._kept))
            if len(self._kept) <= MOST_KEPT and now - self._kept[oldest][0] <= KEPT_S:
                break
            del self._kept[oldest]


def _looked_at(task: asyncio.Task[str]) -> None:
    """Everybody who asked may be gone when it fails: that is no fault to report."""
    if not task.cancelled():
        task.exception()
