"""The hub: the same bytes for all, nothing kept for the slow."""

import asyncio
import json
from contextlib import aclosing

import pytest

from controller.hmi import hub as module
from controller.hmi.context import answer
from controller.hmi.hub import Hub


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "SHORTEST_S", 0.0)


def test_a_document_is_told_once():
    hub = Hub(2)
    hub.publish("a", "unit", {"x": 1})
    hub.publish("a", "unit", {"x": 1})
    assert hub.text("a") == '{"x":1}'
    assert hub._topics["a"][0] == 1
    with pytest.raises(ValueError, match="not JSON compliant"):
        hub.publish("a", "unit", {"x": float("nan")})


async def test_everybody_gets_the_very_same_bytes():
    hub = Hub(2)
    hub.publish("a", "unit", {"text": "two\nlines"})
    async with aclosing(hub.watch(["a"])) as one, aclosing(hub.watch(["a"])) as other:
        first, second = await anext(one), await anext(other)
        assert first == second
        assert first.startswith(b"event: unit\r\ndata: ")
        assert json.loads(first.split(b"data: ")[1]) == {"text": "two\nlines"}
        assert hub.viewers == 2
        assert hub.full("")
    assert hub.viewers == 0


async def test_a_slow_viewer_is_told_the_newest_alone():
    hub = Hub(1)
    hub.publish("a", "unit", 0)
    async with aclosing(hub.watch(["a", "b"])) as stream:
        await anext(stream)
        for number in range(1, 1000):
            hub.publish("a", "unit", number)
        hub.publish("b", "units", "other")
        news = await anext(stream)
        assert news.count(b"event: ") == 2
        assert b"data: 999" in news
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        hub.publish("b", "units", "next")
        assert b"next" in await waiting


async def test_a_silence_is_broken_by_the_time(monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    hub = Hub(1)
    hub.publish("a", "unit", 0)
    async with aclosing(hub.watch(["a"])) as stream:
        assert (await anext(stream)).startswith(b"event: unit")
        for _ in range(2):
            beat = await anext(stream)
            assert beat.startswith(b"event: beat\r\ndata: ")
            assert set(json.loads(beat.split(b"data: ")[1])) == {"time"}
        hub.publish("a", "unit", 1)
        assert b"event: unit" in await anext(stream)


async def test_closing_ends_every_stream():
    hub = Hub(1)
    stream = hub.watch(["a"])
    waiting = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)
    hub.close()
    assert await waiting is None


async def test_words_that_utf_8_cannot_carry_are_told_all_the_same():
    hub = Hub(1)
    hub.publish("a", "unit", {"text": "bad \udce4 byte"})
    async with aclosing(hub.watch(["a"])) as stream:
        message = await anext(stream)
    assert json.loads(message.split(b"data: ")[1]) == {"text": "bad ? byte"}
    assert answer({"error": "\udce4"}).body == b'{"error":"?"}'
