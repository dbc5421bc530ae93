"""The pages: a shell each, which a script fills from JSON."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from controller.hmi.errors import unknown
from controller.hmi.query import DIGITS
from controller.hmi.stores import choices, preset

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import Scope

    from controller.hmi.context import Context

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
ICON = "favicon.svg"
YEAR_S = 365 * 24 * 3600


class Static(StaticFiles):
    """Files that a browser keeps for a year where the address has their hash, else asks about."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file."""
        response = await super().get_response(path, scope)
        named = scope["query_string"] == f"v={digest(path)}".encode()
        kept = f"public, max-age={YEAR_S}, immutable" if named else "no-cache"
        response.headers["Cache-Control"] = kept
        return response


@cache
def digest(name: str) -> str:
    """The beginning of a static file's sha256, "" where there is no such file."""
    path = STATIC / name
    if not (path.is_file() and path.resolve().is_relative_to(STATIC.resolve())):
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def address(name: str) -> str:
    """Where a page finds a static file."""
    return f"/static/{name}?v={digest(name)}"


class Pages:
    """The routes of pages."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )
        self._templates.globals["static"] = address

    def routes(self) -> list[BaseRoute]:
        """Where they are."""
        found = {
            "/": "overview",
            "/alarms": "alarms",
            "/login": "login",
            "/units/{unit}": "unit",
            "/units/{unit}/model": "model",
            "/units/{unit}/history": "history",
            "/units/{unit}/runs": "runs",
            "/units/{unit}/runs/{run}": "run",
            "/units/{unit}/runs/{run}/scans/{scan}": "scan",
        }
        return [
            *(Route(path, self._page, methods=["GET"], name=name) for path, name in found.items()),
            Route("/favicon.ico", self._icon, methods=["GET"]),
            Mount("/static", Static(directory=STATIC), name="static"),
        ]

    def error(self, request: Request, status: int, words: str) -> Response:
        """A page that says what is wrong."""
        return self._render(request, "error", {"status": status, "error": words}, status)

    async def _page(self, request: Request) -> Response:
        context = self._context
        given = request.path_params
        watch = context.watch(request) if "unit" in given else None
        numbers: dict[str, Any] = {
            name: _number(given[name], name) for name in ("run", "scan") if name in given
        }
        context.login(request, use=True)
        found: dict[str, Any] = {"unit": None, "run": None, "scan": None, **numbers}
        if request.scope["route"].name == "login":
            units = {name: one.unit for name, one in context.station.watches.items()}
            found["choices"] = choices(units)
            found["preset"] = preset(units, request.query_params.get("next", ""))
        if watch is not None:
            found["unit"] = {"name": watch.unit.name, "title": watch.unit.title}
        return self._render(request, request.scope["route"].name, found)

    def _render(
        self, request: Request, name: str, found: dict[str, Any], status: int = 200
    ) -> Response:
        login = self._context.login(request)
        units = [
            {"name": watch.unit.name, "title": watch.unit.title}
            for watch in self._context.station.watches.values()
        ]
        text = self._templates.get_template(f"{name}.html").render(
            {
                "page": name,
                "unit": None,
                "run": None,
                "scan": None,
                **found,
                "units": units,
                "user": None if login is None else login.user,
                "version": version("trimtab"),
            }
        )
        return HTMLResponse(text, status)

    async def _icon(self, request: Request) -> Response:  # noqa: ARG002 - of every route
        return FileResponse(
            STATIC / ICON,
            media_type="image/svg+xml",
            headers={"Cache-Control": "public, max-age=86400"},
        )


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS):
        raise unknown(f"there is no such {name}")
    return int(text)
