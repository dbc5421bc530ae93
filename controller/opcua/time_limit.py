"""A time limit that always ends in TimeoutError."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Await `work` for at most so long; raises TimeoutError, and what `work` raises.

    When an answer arrives in the instant of the timeout, asyncua's own wait ends in a subclass of
    CancelledError, which `asyncio.timeout` does not take for its own: nobody has cancelled us, but
    the error would end the task that asked.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not limit.expired() or (task is not None and task.cancelling() > 0):
            raise
        raise TimeoutError from None
