"""Slow, silent and greedy clients of a real server on a socket: each has its time and its room."""

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from controller.hmi import connections, context, gate
from controller.hmi.context import Context, cookie_name
from controller.hmi.crowd import Crowd
from controller.hmi.hub import Hub
from controller.hmi.logins import Logins
from controller.hmi.listening import Server, connections_room, listen
from controller.hmi.questions import Questions
from controller.hmi.server import _config
from controller.hmi.settings import HmiSettings, LoginSettings, UnitSettings
from controller.hmi.watch import Station
from controller.hmi.web_settings import WebSettings

HEAD, CLOSE = "Host: 127.0.0.1\r\n", "Connection: close\r\n"


class Running:
    """A server without units, in this process, so that its limits can be made short."""

    def __init__(self, hub: Hub, server: Server, port: int) -> None:
        self.hub, self.server, self.port = hub, server, port

    @asynccontextmanager
    async def connection(self, limit=2**16):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def ask(self, text: str) -> str:
        async with self.connection() as (reader, writer):
            writer.write(text.encode())
            return (await asyncio.wait_for(reader.read(), 10)).decode()

    @property
    def open(self) -> int:
        return len(self.server.server_state.connections)


@asynccontextmanager
async def serving(web=None, room=None, viewers=2, **settings):
    """A server on a free port.  room: for connections, in all and from one address."""
    web = web or WebSettings(port=0)
    whole = HmiSettings(
        web=web, viewers=viewers, units=[UnitSettings(config="unused.toml")], **settings
    )
    hub = Hub(viewers, whole.viewers_per_address if web.tells_apart else None)
    listening = listen(web, room or connections_room(whole))
    port = listening.getsockname()[1]
    made = Context(
        settings=whole,
        hub=hub,
        station=Station({}, hub),
        logins=Logins({}, LoginSettings()),
        cookie=cookie_name(port, secure=web.secure_cookies),
        histories={},
        journals=Questions(4, tells_apart=web.tells_apart),
        plants=Questions(4, tells_apart=web.tells_apart),
    )
    server = Server(_config(made, web))
    task = asyncio.create_task(server.serve([listening]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.01)
    try:
        yield Running(hub, server, port)
    finally:
        hub.close()
        server.should_exit = True
        await task


@pytest_asyncio.fixture
async def running(monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    monkeypatch.setattr(connections, "UNREAD_S", 0.3)
    monkeypatch.setattr(context, "BODY_S", 0.2)
    async with serving() as made:
        yield made


async def watching(running: Running, viewers: int) -> None:
    async with asyncio.timeout(5):
        while running.hub.viewers < viewers:  # noqa: ASYNC110 - a hub has no event
            await asyncio.sleep(0.01)


async def ended(running: Running) -> None:
    async with asyncio.timeout(5):
        while running.open:  # noqa: ASYNC110 - uvicorn's set has no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "said",
    ["", "GET / HT", f"GET / HTTP/1.1\r\n{HEAD}X-Slow: ", "POST /api/login HTTP/1.1\r\nContent-"],
)
async def test_a_header_that_never_comes_whole(running, said):
    async with running.connection() as (reader, writer):
        writer.write(said.encode())
        assert await asyncio.wait_for(reader.read(), 5) == b""
    await ended(running)


async def test_a_trickle_does_not_win_time(running):
    async with running.connection() as (reader, writer):
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"G")
                    await writer.drain()
                    await asyncio.sleep(0.02)
    await ended(running)


async def test_a_body_that_never_comes_whole(running):
    cookie = await running.ask(f"GET /api/session HTTP/1.1\r\n{HEAD}{CLOSE}\r\n")
    token = json.loads(cookie.split("\r\n\r\n")[1])["csrf"]
    name = cookie.split("set-cookie: ")[1].split(";")[0]
    head = (
        f"POST /api/login HTTP/1.1\r\n{HEAD}Cookie: {name}\r\nX-CSRF-Token: {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    async with running.connection() as (reader, writer):
        writer.write(f"{head}{{".encode())
        answer = await asyncio.wait_for(reader.read(), 5)
    assert b"408" in answer.split(b"\r\n")[0]
    await ended(running)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("nonsense\r\n\r\n", "400"),
        (f"GET / HTTP/1.1\r\n{HEAD}{HEAD}\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        (f"GET / HTTP/1.1\r\n{HEAD}{CLOSE}X: {'x' * 20_000}\r\n\r\n", "431"),
        (f"GET /{'x' * 20_000} HTTP/1.1\r\n{HEAD}{CLOSE}\r\n", "414"),
        (f"GET /api/units?{'a=1&' * 2000} HTTP/1.1\r\n{HEAD}{CLOSE}\r\n", "414"),
        (f"DELETE /api/units HTTP/1.1\r\n{HEAD}{CLOSE}\r\n", "405"),
        (f"TRACE / HTTP/1.1\r\n{HEAD}{CLOSE}\r\n", "405"),
    ],
)
async def test_malformed_requests(running, said, status):
    assert (await running.ask(said)).startswith(f"HTTP/1.1 {status}")


async def test_a_viewer_that_never_reads_is_let_go_and_others_are_not(running):
    """What waits for it stays bounded, and its place is free again."""
    async with (
        running.connection(limit=1024) as (_, silent),
        running.connection() as (reader, reading),
    ):
        for writer in (silent, reading):
            writer.write(f"GET /api/stream HTTP/1.1\r\n{HEAD}\r\n".encode())
        await watching(running, 2)
        silent.transport.pause_reading()
        got, number = 0, 0
        async with asyncio.timeout(20):
            while running.hub.viewers > 1:
                number += 1
                running.hub.publish("units", "units", [number, "x" * 1_000_000])
                got += len(await reader.read(2**20))
        assert got > 2_000_000
        for connection in running.server.server_state.connections:
            assert connection.transport.get_write_buffer_size() < 3_000_000


async def test_connections_are_limited():
    async with serving(room=Crowd(3)) as running:
        held = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(3)]
        async with running.connection() as (reader, _):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        for _, writer in held:
            writer.close()
        await ended(running)
        answer = await running.ask(f"GET /api/units HTTP/1.1\r\n{HEAD}{CLOSE}\r\n")
        assert answer.startswith("HTTP/1.1 200")


async def test_requests_at_once_are_limited(monkeypatch):
    monkeypatch.setattr(gate, "SPARE_REQUESTS", 0)
    async with serving(viewers=1) as running, running.connection() as (_, viewer):
        viewer.write(f"GET /api/stream HTTP/1.1\r\n{HEAD}\r\n".encode())
        await watching(running, 1)
        answer = await running.ask(f"GET /api/units HTTP/1.1\r\n{HEAD}{CLOSE}\r\n")
        assert answer.startswith("HTTP/1.1 503")
        assert '{"error":' in answer


async def test_a_fault_of_ours_is_no_secret_and_no_traceback(running, monkeypatch):
    def broken(_self, _topic):
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(Hub, "text", broken)
    answer = await running.ask(f"GET /api/units HTTP/1.1\r\n{HEAD}{CLOSE}\r\n")
    assert answer.startswith("HTTP/1.1 500")
    assert "secret" not in answer
    assert "default-src 'self'" in answer
