"""Slow, silent and greedy clients of a real server on a socket: each has its time and its room."""

import asyncio
import contextlib
import json
import socket

import pytest
import pytest_asyncio

from controller.hmi import connections, context, gate
from controller.hmi.crowd import Crowd
from controller.hmi.hub import Hub
from tests.integration.hmi.serving import CLOSE, HEAD, serving


@pytest_asyncio.fixture
async def running(monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    monkeypatch.setattr(connections, "UNREAD_S", 0.3)
    monkeypatch.setattr(context, "BODY_S", 0.2)
    async with serving() as made:
        yield made


@pytest.mark.parametrize(
    "said",
    ["", "GET / HT", f"GET / HTTP/1.1\r\n{HEAD}X-Slow: ", "POST /api/login HTTP/1.1\r\nContent-"],
)
async def test_a_header_that_never_comes_whole(running, said):
    async with running.connection() as (reader, writer):
        writer.write(said.encode())
        assert await asyncio.wait_for(reader.read(), 5) == b""
    await running.ended()


async def test_a_trickle_does_not_win_time(running):
    async with running.connection() as (reader, writer):
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"G")
                    await writer.drain()
                    await asyncio.sleep(0.02)
    await running.ended()


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
    await running.ended()


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
        await running.watched(2)
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
        await running.ended()
        answer = await running.ask(f"GET /api/units HTTP/1.1\r\n{HEAD}{CLOSE}\r\n")
        assert answer.startswith("HTTP/1.1 200")


async def test_requests_at_once_are_limited(monkeypatch):
    monkeypatch.setattr(gate, "SPARE_REQUESTS", 0)
    async with serving(viewers=1) as running, running.connection() as (_, viewer):
        viewer.write(f"GET /api/stream HTTP/1.1\r\n{HEAD}\r\n".encode())
        await running.watched(1)
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


@pytest.mark.parametrize(
    ("headers", "half", "of_the_system"),
    [("", True, True), ("", True, False), ("", False, True), (CLOSE, False, True)],
)
async def test_who_reads_nothing_is_ended_though_little_waits(
    running, monkeypatch, headers, half, of_the_system
):
    """Too little for asyncio to tell of; the client's system acknowledges probes all the while."""
    if not of_the_system:
        monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
    running.hub.publish("units", "units", ["x" * 40_000])
    for listening in running.server.servers[0].sockets:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.connect(("127.0.0.1", running.port))
        client.sendall(f"GET /api/units HTTP/1.1\r\n{HEAD}{headers}\r\n".encode())
        async with asyncio.timeout(5):
            while not waiting(running):  # noqa: ASYNC110 - a transport has no event
                await asyncio.sleep(0.005)
        assert waiting(running) < 64_000
        if half:
            client.shutdown(socket.SHUT_WR)
        await running.ended()
        await running.empty()


def waiting(running) -> int:
    """Bytes of answers that no system has taken yet."""
    connections = running.server.server_state.connections
    return sum(connection.transport.get_write_buffer_size() for connection in connections)
