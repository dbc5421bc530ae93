"""Room for everybody: by address, over TLS, and behind a proxy, on a real server."""

import asyncio
import json
import ssl

import pytest

from controller.errors import ConfigError
from controller.hmi import listening
from controller.hmi.crowd import Crowd
from controller.hmi.listening import connections_room
from controller.hmi.server import check_tls
from controller.hmi.settings import HmiSettings, UnitSettings
from controller.hmi.web_settings import WebSettings
from tests.integration.hmi.serving import HEAD, serving, trusting

PROXIED = {"proxies": ("127.0.0.1",), "behind_tls": True}
ANNA, BERT = "X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-For: 192.0.2.2\r\n"


def over_tls(tls):
    return {"tls_certificate": tls[0], "tls_key": tls[1]}


async def test_a_handshake_that_says_nothing_ends_and_is_counted_until_then(tls, monkeypatch):
    monkeypatch.setattr(listening, "HANDSHAKE_S", 1.0)
    async with serving(room=Crowd(1), **over_tls(tls)) as running:
        async with running.connection() as (silent, _):
            async with running.connection() as (refused, _):
                assert await asyncio.wait_for(refused.read(), 5) == b""
            assert running.room.count == 1
            assert await asyncio.wait_for(silent.read(), 10) == b""
        await running.empty()
        assert "200 OK" in await running.get("/api/units", ssl=trusting(tls[0]))


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_handshake_that_fails_gives_its_room_back(tls, monkeypatch, said):
    monkeypatch.setattr(listening, "HANDSHAKE_S", 0.5)
    async with serving(**over_tls(tls)) as running:
        async with running.connection() as (reader, writer):
            writer.write(said)
            await asyncio.wait_for(reader.read(), 10)
        with pytest.raises(ssl.SSLError):
            async with running.connection(ssl=ssl.create_default_context()):
                pass
        await running.empty()


async def test_one_address_does_not_take_all_connections():
    async with serving(room=Crowd(10, 2)) as running:
        for _ in range(2):  # twice: what has ended makes room again
            async with running.connection(), running.connection():
                async with running.connection() as (reader, _):
                    assert await asyncio.wait_for(reader.read(), 5) == b""
                answer = await running.get("/api/units", local_addr=("127.0.0.2", 0))
                assert answer.startswith("HTTP/1.1 200")
            await running.empty()


async def test_connections_of_a_proxy_count_in_all_alone():
    async with (
        serving(room=Crowd(3, 1), **PROXIED) as running,
        running.connection(),
        running.connection(),
        running.connection(),
    ):
        async with running.connection() as (reader, _):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        assert running.room.count == 3


def test_addresses_count_where_they_tell_browsers_apart(tls):
    def rooms(**web):
        settings = HmiSettings(web=WebSettings(**web), units=[UnitSettings(config="unused")])
        return connections_room(settings)._each, settings.web.tells_apart

    assert rooms() == (None, False)
    assert rooms(proxies=("127.0.0.1",)) == (None, True)
    assert rooms(host="0.0.0.0", **over_tls(tls)) == (64, True)  # noqa: S104 - nothing is served


async def test_viewers_of_one_address_leave_room_for_others():
    async with serving(viewers=3, viewers_per_address=1, **PROXIED) as running:
        async with running.viewer(ANNA) as first:
            assert "200" in first
            await running.watched(1)
            async with running.viewer(ANNA) as second, running.viewer(BERT) as other:
                assert ("503" in second, "200" in other) == (True, True)
        await running.watched(0)
        async with running.viewer(ANNA) as again:
            assert "200" in again


async def test_who_asks_at_the_same_instant_is_counted_too():
    async with serving(viewers=1) as running:
        topics = [running.hub.watch(["units"]) for _ in range(3)]
        running.hub.publish("units", "units", [])
        assert [len([news async for news in topic]) async for topic in _started(topics)] == [0, 0]


async def _started(topics):
    """All but the first, which watches meanwhile."""
    await anext(topics[0])
    for topic in topics[1:]:
        yield topic
    await topics[0].aclose()


async def test_nobody_but_a_proxy_says_where_a_request_comes_from():
    for proxies, expected in (((), "200"), (("10.0.0.0/8",), "503"), (("127.0.0.1",), "200")):
        async with (
            serving(viewers=9, viewers_per_address=1, proxies=proxies) as running,
            running.viewer(ANNA),
        ):
            await running.watched(1)
            async with running.viewer(BERT) as second:
                assert expected in second, proxies


async def logging_in(running, headers: str) -> tuple[int, str]:
    """Status and words of a login that no plant takes, since there is none."""
    session = await running.get("/api/session", headers)
    head, _, body = session.partition("\r\n\r\n")
    cookie = next(line for line in head.splitlines() if line.startswith("set-cookie"))
    name = cookie.removeprefix("set-cookie: ").partition(";")[0]
    sent = json.dumps({"user": "anna", "password": "x"})
    answer = await running.ask(
        f"POST /api/login HTTP/1.1\r\n{HEAD}Connection: close\r\n{headers}Cookie: {name}\r\n"
        f"X-CSRF-Token: {json.loads(body)['csrf']}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(sent)}\r\n\r\n{sent}"
    )
    return int(answer.split()[1]), cookie


@pytest.mark.parametrize(
    ("web", "headers", "status", "secure"),
    [
        ({}, "", 502, False),
        ({"behind_tls": True}, "", 502, True),
        ({"proxies": ("127.0.0.1",)}, ANNA, 403, False),  # over the network in clear
        ({"proxies": ("127.0.0.1",)}, f"{ANNA}X-Forwarded-Proto: https\r\n", 502, False),
        (PROXIED, ANNA, 502, True),
    ],
)
async def test_cookies_and_logins_behind_a_proxy(web, headers, status, secure):
    async with serving(**web) as running:
        found, cookie = await logging_in(running, headers)
        assert found == status
        assert ("Secure" in cookie, "__Host-" in cookie) == (secure, secure)


def test_a_key_that_others_can_read_is_refused(tls, tmp_path):
    key = tmp_path / "hmi.key"
    key.write_bytes(tls[1].read_bytes())
    for mode, wrong in ((0o600, False), (0o400, False), (0o640, True), (0o604, True)):
        key.chmod(mode)
        web = WebSettings(tls_certificate=tls[0], tls_key=key)
        if wrong:
            with pytest.raises(ConfigError, match="chmod 600"):
                check_tls(web)
        else:
            check_tls(web)


def test_a_credential_of_systemd_may_be_its_groups(tls, tmp_path, monkeypatch):
    key = tmp_path / "hmi_key"
    key.write_bytes(tls[1].read_bytes())
    key.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    check_tls(WebSettings(tls_certificate=tls[0], tls_key=key))
