"""What a request must call this server, on sockets of both kinds of address."""

import pytest
from structlog.testing import capture_logs

from controller.hmi.crowd import Crowd
from controller.hmi.gate import Gate


async def asked(host: str, server: str, client: str = "::ffff:192.0.2.9"):
    """(status, addresses in the log) of a request to a server named "::"."""
    sent = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", host.encode())],
        "server": (server, 8080),
        "client": (client, 50_000),
    }
    with capture_logs() as logs:
        await Gate(app, frozenset({"::", "localhost"}), Crowd(2))(scope, None, send)
    return sent[0]["status"], [line["address"] for line in logs]


@pytest.mark.parametrize(
    ("host", "server", "status"),
    [
        ("192.0.2.2:8080", "::ffff:192.0.2.2", 200),
        ("[::ffff:192.0.2.2]:8080", "::ffff:192.0.2.2", 200),
        ("192.0.2.2", "192.0.2.2", 200),
        ("[2001:db8::2]:8080", "2001:db8::2", 200),
        ("192.0.2.3:8080", "::ffff:192.0.2.2", 421),
        ("evil.example", "::ffff:192.0.2.2", 421),
    ],
)
async def test_a_server_on_every_address_knows_its_own(host, server, status):
    assert await asked(host, server) == (status, [] if status == 200 else ["192.0.2.9"])
