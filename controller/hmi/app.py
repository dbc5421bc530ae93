"""The application: routes, what every request passes, and how errors are told."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from controller.hmi.acting import Acting
from controller.hmi.api import Reading
from controller.hmi.context import Context, answer
from controller.hmi.errors import RefusedError
from controller.hmi.gate import Gate, host_names, requests_room
from controller.hmi.pages import Pages
from controller.hmi.records import NoRecordError
from controller.logs import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

COMPRESSED_FROM = 600
"""Bytes from which on an answer is compressed."""


def build(context: Context) -> ASGIApp:
    """The application of one HMI."""
    pages = Pages(context)

    def told(
        request: Request, status: int, words: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        """An error, as JSON or as a page."""
        data = request.url.path.startswith(("/api/", "/static/"))
        response = answer({"error": words}, status) if data else pages.error(request, status, words)
        response.headers.update(headers or {})
        return response

    async def refused(request: Request, error: Any) -> Response:
        return told(request, error.status, str(error), error.headers)

    async def absent(request: Request, error: Any) -> Response:
        return told(request, HTTPStatus.NOT_FOUND, str(error))

    async def http(request: Request, error: Any) -> Response:
        words = {404: "there is no such page", 405: "this is not how to ask"}
        said = words.get(error.status_code, str(error.detail))
        return told(request, error.status_code, said, error.headers)

    async def fault(request: Request, error: Exception) -> Response:
        logger("hmi.web").error("fault", path=request.url.path[:200], exc_info=error)
        return answer({"error": "a fault in the HMI: its log says more"}, 500)

    application = Starlette(
        routes=[*Reading(context).routes(), *Acting(context).routes(), *pages.routes()],
        middleware=[Middleware(GZipMiddleware, minimum_size=COMPRESSED_FROM, compresslevel=6)],
        exception_handlers={
            RefusedError: refused,
            NoRecordError: absent,
            HTTPException: http,
            Exception: fault,
        },
    )
    application.router.redirect_slashes = False
    web = context.settings.web
    gate = Gate(application, host_names(web), requests_room(context.settings))
    if not web.proxies:
        return gate
    # A believed proxy's client takes its place before anything else looks at it.
    return ProxyHeadersMiddleware(gate, list(web.trusted_proxies))  # type: ignore[arg-type, return-value]
