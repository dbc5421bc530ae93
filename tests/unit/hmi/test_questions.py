"""Expensive questions: the same one once, few at a time, none of one address alone."""

import asyncio

import pytest

from controller.hmi import questions as module
from controller.hmi.errors import RefusedError
from controller.hmi.questions import MOST_WAITING, MOST_WAITING_EACH, Questions

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Slow:
    """Work that ends when it is let; asked: how often it was begun, most: at the same time."""

    def __init__(self) -> None:
        self.asked = self.running = self.most = 0
        self.go = asyncio.Event()
        self.fails = False

    async def __call__(self):
        self.asked += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go.wait()
        finally:
            self.running -= 1
        if self.fails:
            raise LookupError("nothing there")
        return {"asked": self.asked}


@pytest.fixture
async def slow():
    return Slow()


async def asked(questions, slow, keys, address=HERE):
    """Questions that are under way."""
    work = [asyncio.create_task(questions.answer(key, address, slow)) for key in keys]
    await asyncio.sleep(0.01)
    return work


async def test_the_same_question_is_asked_once_and_its_answer_kept_a_moment(slow, monkeypatch):
    questions = Questions(2, tells_apart=True)
    work = await asked(questions, slow, ["runs"] * 50)
    assert slow.asked == 1
    slow.go.set()
    assert {bytes(answer.body) for answer in await asyncio.gather(*work)} == {b'{"asked":1}'}
    await questions.answer("runs", THERE, slow)
    assert slow.asked == 1
    monkeypatch.setattr(module, "KEPT_S", -1.0)
    await questions.answer("runs", THERE, slow)
    await questions.answer("others", THERE, slow)
    assert slow.asked == 3


async def test_few_are_in_work_at_the_same_time(slow):
    questions = Questions(2, tells_apart=False)
    work = await asked(questions, slow, range(MOST_WAITING))
    assert slow.running == 2
    with pytest.raises(RefusedError, match="too many") as caught:
        await questions.answer("another", HERE, slow)
    assert (caught.value.status, "Retry-After" in caught.value.headers) == (503, True)
    slow.go.set()
    await asyncio.gather(*work)
    assert (slow.most, slow.asked) == (2, MOST_WAITING)
    await questions.answer("another", HERE, slow)


async def test_one_address_does_not_ask_for_all(slow):
    questions = Questions(2, tells_apart=True)
    work = await asked(questions, slow, range(MOST_WAITING_EACH))
    with pytest.raises(RefusedError, match="too many"):
        await questions.answer("another", HERE, slow)
    work += await asked(questions, slow, ["another"], THERE)
    slow.go.set()
    await asyncio.gather(*work)


async def test_an_error_is_told_to_all_and_not_kept(slow):
    questions = Questions(2, tells_apart=True)
    slow.fails = True
    slow.go.set()
    work = await asked(questions, slow, ["runs"] * 3)
    found = await asyncio.gather(*work, return_exceptions=True)
    assert [type(error) for error in found] == [LookupError] * 3
    slow.fails = False
    await questions.answer("runs", HERE, slow)
    assert slow.asked == 2


async def test_who_goes_away_takes_no_answer_from_the_others(slow):
    questions = Questions(2, tells_apart=True)
    first, second = await asked(questions, slow, ["runs"] * 2)
    first.cancel()
    slow.go.set()
    assert (await second).body == b'{"asked":1}'


async def test_kept_answers_are_bounded(slow, monkeypatch):
    monkeypatch.setattr(module, "KEPT_S", 1000.0)
    questions = Questions(2, tells_apart=True)
    slow.go.set()
    for number in range(2 * module.MOST_KEPT):
        await questions.answer(number, HERE, slow)
    assert len(questions._kept) == module.MOST_KEPT
