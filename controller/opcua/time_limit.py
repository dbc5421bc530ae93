"""A time limit around requests of asyncua that always ends in TimeoutError."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """Let the block take at most so long; raises TimeoutError, and what the block raises.

    When an answer arrives in the instant of the timeout, asyncua's own wait ends in a subclass of
    CancelledError, which `asyncio.timeout` does not take for its own: nobody has cancelled us, but
    the error would end the task that asked.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not limit.expired() or (task is not None and task.cancelling() > 0):
            raise
        raise TimeoutError from None
