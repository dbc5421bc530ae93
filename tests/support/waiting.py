"""Waiting for what other tasks and processes come to, with a bound that a busy machine keeps."""

import asyncio
import contextlib
import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest


async def until(
    condition: Callable[[], Any], seconds: float = 15.0, what: str = "", *, every_s: float = 0.02
) -> Any:
    """Wait until a condition, a function or a coroutine function, holds; its last value."""
    try:
        async with asyncio.timeout(seconds):
            while not (value := await _value(condition)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(every_s)
            return value
    except TimeoutError:
        return pytest.fail(f"not within {seconds:g} s: {what or condition}")


async def _value(condition: Callable[[], Any]) -> Any:
    value = condition()
    return await value if inspect.isawaitable(value) else value


async def until_told(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until a function that asks another process is true; its last value.

    It runs in a thread, and a process that is not up, or stopped, is asked again.
    """

    def asked() -> Any:
        with contextlib.suppress(OSError):
            return condition()
        return None

    async def told() -> Any:
        return await asyncio.to_thread(asked)

    return await until(told, seconds, what, every_s=0.1)


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """`until` for a test without an event loop."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return value
