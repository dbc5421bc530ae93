"""What every route needs, and who asks."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from controller.hmi.crowd import UNKNOWN, unmapped
from controller.hmi.errors import RefusedError, malformed, unknown
from controller.hmi.hub import encoded
from controller.hmi.query import table

if TYPE_CHECKING:
    from starlette.requests import Request

    from controller.hmi.history import History
    from controller.hmi.hub import Hub
    from controller.hmi.logins import Login, Logins
    from controller.hmi.questions import Questions
    from controller.hmi.settings import HmiSettings
    from controller.hmi.tallies import Tallies
    from controller.hmi.watch import Station, Watch

LONGEST_BODY = 16 * 1024
BODY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One HMI.

    cookie: the name of the cookie of its logins.  trends: questions to memory, journals:
    to disks, plants: to plants.  counted: scans counted by unit.
    """

    settings: HmiSettings
    hub: Hub
    station: Station
    logins: Logins
    cookie: str
    histories: dict[str, History]
    trends: Questions
    journals: Questions
    plants: Questions
    counted: dict[str, Tallies] = field(default_factory=dict)

    def watch(self, request: Request) -> Watch:
        """The unit that a path names.  Raises RefusedError."""
        name = request.path_params["unit"]
        found = self.station.watches.get(name)
        if found is None:
            raise unknown(f"there is no unit {name[:64]!r}")
        return found

    def cookie_of(self, request: Request) -> str:
        """The cookie that a browser sent, "" for none."""
        return request.cookies.get(self.cookie, "")

    def login(self, request: Request, *, use: bool = False) -> Login | None:
        """Who asks; None for somebody who is not logged in.  use: it counts as an act."""
        return self.logins.find(self.cookie_of(request), use=use)

    def set_cookie(self, response: Response, value: str) -> None:
        """Let the browser keep a cookie until it is closed."""
        response.set_cookie(
            self.cookie,
            value,
            path="/",
            secure=self.settings.web.secure_cookies,
            httponly=True,
            samesite="strict",
        )

    def visitor(self, request: Request) -> tuple[str, bool]:
        """(cookie, whether it is new) of a browser; one that has none gets a random one."""
        given = self.cookie_of(request)
        return (given, False) if 16 <= len(given) <= 128 else (secrets.token_urlsafe(32), True)


def cookie_name(port: int, *, secure: bool) -> str:
    """A name for each port: cookies do not tell ports of a host apart."""
    return f"{'__Host-' if secure else ''}trimtab-{port}"


def answer(document: Any, status: int = HTTPStatus.OK) -> Response:
    """A JSON document."""
    return Response(encoded(document), status, media_type="application/json")


def address_of(request: Request) -> str:
    """Where a request comes from, as a believed proxy says; "unknown" for what is no address."""
    text = request.client.host if request.client is not None else ""
    try:
        return unmapped(str(ip_address(text)))
    except ValueError:
        return UNKNOWN


def refuse_foreign(request: Request, context: Context) -> None:
    """Refuse a POST that no page of ours sent.  Raises RefusedError."""
    origin = request.headers.get("origin")
    if origin is not None and _site(origin) != request.headers.get("host"):
        raise RefusedError(HTTPStatus.FORBIDDEN, "the request comes from another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise RefusedError(HTTPStatus.FORBIDDEN, "the request comes from another site")
    given = request.headers.get("x-csrf-token", "")
    if not context.logins.right_csrf(context.cookie_of(request), given):
        raise RefusedError(
            HTTPStatus.FORBIDDEN, "the X-CSRF-Token is missing or wrong: load the page again"
        )


def _site(origin: str) -> str:
    """Host and port of an origin, "" for what is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def refuse_clear(request: Request, context: Context) -> None:
    """Refuse a password that came over a network in clear.  Raises RefusedError.

    Without TLS of its own this server is on loopback: what comes from elsewhere came by a proxy.
    """
    if context.settings.web.secure_cookies or request.url.scheme == "https":
        return
    try:
        local = ip_address(address_of(request)).is_loopback
    except ValueError:
        local = False
    if not local:
        raise RefusedError(HTTPStatus.FORBIDDEN, "log in over https, or on this machine")


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent, of at most 16 kB.  Raises RefusedError."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 12 or int(length) > LONGEST_BODY:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a body of at most 16 kB")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > LONGEST_BODY:
                    raise RefusedError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a body of at most 16 kB"
                    )
    except TimeoutError:
        raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time") from None
    except ClientDisconnect:
        raise malformed("the body did not come whole") from None
    if kind != "application/json":
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a body of application/json")
    return table(b"".join(parts))
