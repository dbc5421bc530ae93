"""Questions that cost a disk, a plant or a processor something: few at a time, none asked twice.

Who asks what is being asked already, or was a moment ago, is given that answer.  Each unit has
places of its own, so that a plant or a disk that does not answer keeps none of the others waiting.
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

AT_ONCE, JOURNAL_AT_ONCE, PLANT_AT_ONCE = 16, 2, 1
"""Questions of a kind in work: in all, to one journal, to one plant."""

MOST_WAITING, MOST_WAITING_EACH = 128, 24
"""Questions in work or waiting: in all, and of one address."""

MOST_OF_UNIT, MOST_OF_UNIT_EACH = 12, 6
"""The same of one unit: less, so that waiting for one leaves room to ask for others."""


class _Places:
    """Those of one unit."""

    def __init__(self, at_once: int, room: Crowd) -> None:
        self.turn, self.room = asyncio.Semaphore(at_once), room


class Questions:
    """Questions of one kind."""

    def __init__(self, of_unit: int, *, tells_apart: bool, at_once: int = AT_ONCE) -> None:
        """of_unit, at_once: in work, of one unit and in all.

        tells_apart: whether those who ask have addresses of their own.
        """
        self._of_unit, self._tells_apart = of_unit, tells_apart
        self._at_once = asyncio.Semaphore(at_once)
        self._room = self._crowd(MOST_WAITING, MOST_WAITING_EACH)
        self._places: dict[str, _Places] = {}
        self._asked: dict[Hashable, asyncio.Task[str]] = {}
        self._kept: OrderedDict[Hashable, tuple[float, str]] = OrderedDict()

    async def answer(
        self, unit: str, key: Hashable, address: str, work: Callable[[], Awaitable[Any]]
    ) -> Response:
        """The document that `work` makes, as JSON.  Raises RefusedError, and what `work` raises.

        unit: one that there is.  key: the same for the same question of the unit.
        """
        key = (unit, key)
        text = self._fresh(key)
        if text is None:
            task = self._asked.get(key)
            if task is None:
                places = self._enter(unit, address)
                if places is None:
                    raise RefusedError(
                        HTTPStatus.SERVICE_UNAVAILABLE,
                        "too many questions at once: try again",
                        {"Retry-After": "2"},
                    )
                task = asyncio.create_task(self._ask(key, places, address, work))
                task.add_done_callback(_looked_at)
                self._asked[key] = task
            text = await asyncio.shield(task)  # another may wait for it too
        return Response(text, media_type="application/json")

    def _crowd(self, most: int, each: int) -> Crowd:
        return Crowd(most, each if self._tells_apart else None)

    def _enter(self, unit: str, address: str) -> _Places | None:
        """Room to wait, in all and of the unit; None where there is none."""
        places = self._places.get(unit)
        if places is None:
            room = self._crowd(MOST_OF_UNIT, MOST_OF_UNIT_EACH)
            places = self._places[unit] = _Places(self._of_unit, room)
        if self._room.full(address) or not places.room.enter(address):
            return None
        self._room.enter(address)
        return places

    async def _ask(
        self, key: Hashable, places: _Places, address: str, work: Callable[[], Awaitable[Any]]
    ) -> str:
        try:
            async with places.turn, self._at_once:  # the unit's first: who waits for it takes none
                text = encoded(await work())
            self._keep(key, text)
            return text
        finally:
            self._room.leave(address)
            places.room.leave(address)
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
