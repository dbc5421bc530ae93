"""What every request passes: the right host, room, and headers that let no foreign script in."""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from controller.hmi.crowd import Crowd, unmapped
from controller.hmi.hub import encoded
from controller.logs import logger

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from controller.hmi.settings import HmiSettings
    from controller.hmi.web_settings import WebSettings

SPARE_REQUESTS, SPARE_REQUESTS_EACH = 192, 24
"""Requests in work at the same time, beside the streams of viewers: in all, and of one address."""

LONGEST_LOGGED, LONGEST_CLIENT = 200, 64
LONGEST_ADDRESS = 4096
LONGEST_HEADERS = 16 * 1024

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def host_names(web: WebSettings) -> frozenset[str]:
    """Names under which this server is itself: a page elsewhere cannot pass its own off as ours."""
    names = set(web.names) | {web.host.lower()}
    if web.on_loopback:
        names |= LOOPBACK
    else:
        names |= LOOPBACK | {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def requests_room(settings: HmiSettings) -> Crowd:
    """Room for requests, streams included."""
    each = SPARE_REQUESTS_EACH + settings.viewers_per_address
    return Crowd(SPARE_REQUESTS + settings.viewers, each if settings.web.tells_apart else None)


def host_of(header: str) -> str:
    """The name in a Host header or an origin, without port and brackets."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


class Gate:
    """The outermost part of the application."""

    def __init__(self, app: ASGIApp, names: frozenset[str], room: Crowd) -> None:
        self._app, self._names, self._room = app, names, room
        self._log = logger("hmi.web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        said = self._sending(scope, send)
        refusal = self._refusal(scope)
        if refusal is not None:
            status, words = refusal
            body = encoded({"error": words})
            response = Response(body, status, media_type="application/json")
            await response(scope, receive, said)
            return
        address = _address(scope)
        self._room.enter(address)
        try:
            await self._app(scope, receive, said)
        finally:
            self._room.leave(address)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        if self._room.full(_address(scope)):
            return HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once: try again"
        headers = Headers(scope=scope)
        host = unmapped(host_of(headers.get("host", "")))
        own = unmapped(str((scope.get("server") or ("", 0))[0]))
        if host not in self._names and host != own:
            return (
                HTTPStatus.MISDIRECTED_REQUEST,
                "this server is not called so: type its address, or add the name to [web] names",
            )
        if len(scope["path"]) + len(scope["query_string"]) > LONGEST_ADDRESS:
            return HTTPStatus.REQUEST_URI_TOO_LONG, "the address is too long"
        if sum(len(name) + len(value) for name, value in headers.raw) > LONGEST_HEADERS:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long"
        if len(headers.getlist("host")) != 1:
            return HTTPStatus.BAD_REQUEST, "one Host header, please"
        return None

    def _sending(self, scope: Scope, send: Send) -> Send:
        """Add the headers to whatever is answered; log what was refused."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                if message["status"] >= HTTPStatus.BAD_REQUEST:
                    self._log.info(
                        "refused",
                        status=message["status"],
                        method=scope["method"],
                        path=scope["raw_path"].decode("ascii", "replace")[:LONGEST_LOGGED],
                        address=_address(scope)[:LONGEST_CLIENT],
                    )
            await send(message)

        return sending


def _address(scope: Scope) -> str:
    """Where a request comes from, as far as is known."""
    return unmapped(str((scope.get("client") or ("", 0))[0]))
