"""Expensive questions: the same one once, few at a time, none of one address alone."""

import asyncio

import pytest

from controller.hmi import questions as module
from controller.hmi.errors import RefusedError
from controller.hmi.questions import (
    MOST_OF_UNIT,
    MOST_OF_UNIT_EACH,
    MOST_WAITING,
    MOST_WAITING_EACH,
    Questions,
)

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


async def asked(questions, slow, keys, address=HERE, unit="R101"):
    """Questions that are under way."""
    work = [asyncio.create_task(questions.answer(unit, key, address, slow)) for key in keys]
    await asyncio.sleep(0.01)
    return work


async def test_the_same_question_is_asked_once_and_its_answer_kept_a_moment(slow, monkeypatch):
    questions = Questions(2, tells_apart=True)
    work = await asked(questions, slow, ["runs"] * 50)
    assert slow.asked == 1
    slow.go.set()
    assert {bytes(answer.body) for answer in await asyncio.gather(*work)} == {b'{"asked":1}'}
    await questions.answer("R101", "runs", THERE, slow)
    assert slow.asked == 1
    monkeypatch.setattr(module, "KEPT_S", -1.0)
    await questions.answer("R101", "runs", THERE, slow)
    await questions.answer("R101", "others", THERE, slow)
    assert slow.asked == 3


async def test_few_are_in_work_at_the_same_time(slow):
    questions = Questions(3, tells_apart=False, at_once=2)
    units = [f"R{number}" for number in range(-(-MOST_WAITING // MOST_OF_UNIT))]
    work = []
    for unit in units:
        room = min(MOST_OF_UNIT, MOST_WAITING - len(work))
        work += await asked(questions, slow, range(room), unit=unit)
    assert slow.running == 2
    with pytest.raises(RefusedError, match="too many") as caught:
        await questions.answer("another", "another", HERE, slow)
    assert (caught.value.status, "Retry-After" in caught.value.headers) == (503, True)
    slow.go.set()
    await asyncio.gather(*work)
    assert (slow.most, slow.asked) == (2, MOST_WAITING)
    await questions.answer("another", "another", HERE, slow)


async def test_a_unit_that_does_not_answer_keeps_none_of_the_others_waiting(slow):
    questions = Questions(1, tells_apart=False, at_once=3)
    dead = [await asked(questions, slow, range(MOST_OF_UNIT), unit=f"R{n}") for n in range(2)]
    assert slow.running == 2
    with pytest.raises(RefusedError, match="too many"):
        await questions.answer("R0", "another", HERE, slow)

    async def well():
        return "well"

    for number in range(10):
        async with asyncio.timeout(5):
            assert (await questions.answer("R2", number, HERE, well)).body == b'"well"'
    slow.go.set()
    await asyncio.gather(*(task for tasks in dead for task in tasks))
    assert questions._room.count == 0


async def test_one_address_does_not_ask_for_all(slow):
    questions = Questions(2, tells_apart=True)
    work = await asked(questions, slow, range(MOST_OF_UNIT_EACH))
    with pytest.raises(RefusedError, match="too many"):
        await questions.answer("R101", "another", HERE, slow)
    work += await asked(questions, slow, ["another"], THERE)
    for number in range(1, MOST_WAITING_EACH // MOST_OF_UNIT_EACH):
        work += await asked(questions, slow, range(MOST_OF_UNIT_EACH), unit=f"R{number}")
    with pytest.raises(RefusedError, match="too many"):
        await questions.answer("R9", "another", HERE, slow)
    work += await asked(questions, slow, ["another"], THERE, "R9")
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
    await questions.answer("R101", "runs", HERE, slow)
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
        await questions.answer("R101", number, HERE, slow)
    assert len(questions._kept) == module.MOST_KEPT
