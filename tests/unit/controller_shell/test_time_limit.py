"""A request that ends in the instant of its timeout has timed out; nobody was cancelled."""

import asyncio

import pytest
from wait_for2 import CancelledWithResultError

from controller.opcua.time_limit import time_limit


async def within(seconds, work):
    async with time_limit(seconds):
        return await work


async def answered_too_late():
    """What asyncua raises where the answer comes together with the timeout."""
    try:
        await asyncio.sleep(10.0)
    except asyncio.CancelledError:
        raise CancelledWithResultError("answer", False) from None  # noqa: FBT003  (its own signature)


async def test_an_answer_in_the_instant_of_the_timeout_is_a_timeout():
    with pytest.raises(TimeoutError):
        await within(0.01, answered_too_late())
    await asyncio.sleep(0)  # and the task goes on: no cancellation is left over


async def test_a_real_cancellation_stays_one():
    task = asyncio.create_task(within(10.0, answered_too_late()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_answers_and_faults_pass():
    async def answer():
        return 3

    async def fault():
        raise OSError("gone")

    assert await within(1.0, answer()) == 3
    with pytest.raises(OSError, match="gone"):
        await within(1.0, fault())
