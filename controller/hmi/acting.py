"""What operators send: logins and actions.  Every request carries the token of a page of ours."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.routing import Route

from controller.hmi.actions import TOKEN_S, confirm, propose
from controller.hmi.context import (
    Context,
    address_of,
    answer,
    body_of,
    refuse_clear,
    refuse_foreign,
)
from controller.hmi.errors import RefusedError
from controller.hmi.logins import ENDED
from controller.hmi.query import filled, only, parameters, text_of
from controller.logs import logger

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from controller.hmi.logins import Login

LONGEST_USER, LONGEST_PASSWORD = 64, 1024


class Acting:
    """The routes of operators."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/api/session", self.session, methods=["GET"]),
            Route("/api/login", self.login, methods=["POST"]),
            Route("/api/logout", self.logout, methods=["POST"]),
            Route("/api/units/{unit}/actions", self.propose, methods=["POST"]),
            Route("/api/actions/{token}", self.confirm, methods=["POST"]),
        ]

    async def session(self, request: Request) -> Response:
        """Who is logged in, and the token for what pages send."""
        parameters(request)
        context = self._context
        cookie, new = context.visitor(request)
        response = self._told(context.login(request), cookie)
        if new:
            context.set_cookie(response, cookie)
        return response

    async def login(self, request: Request) -> Response:
        """Open sessions on the plants; the browser gets a new cookie."""
        context = self._context
        refuse_foreign(request, context)
        refuse_clear(request, context)
        body = await body_of(request)
        only(body, "user", "password", "unit")
        user = filled(body, "user", LONGEST_USER)
        password = filled(body, "password", LONGEST_PASSWORD, blank=True)
        unit = text_of(body, "unit", LONGEST_USER) if "unit" in body else None
        before = context.login(request)
        login = await context.logins.login(user, password, address_of(request), unit)
        if before is not None:
            await context.logins.logout(before, "another login")
        response = self._told(login, login.cookie)
        context.set_cookie(response, login.cookie)
        return response

    async def logout(self, request: Request) -> Response:
        """Close the sessions on the plants."""
        context = self._context
        refuse_foreign(request, context)
        login = context.login(request)
        if login is not None:
            await context.logins.logout(login)
        response = answer({"done": True})
        secure = context.settings.web.secure_cookies
        response.delete_cookie(context.cookie, path="/", secure=secure)
        return response

    async def propose(self, request: Request) -> Response:
        """The first step of an action: what would be done."""
        context = self._context
        refuse_foreign(request, context)
        watch = context.watch(request)
        login = self._operator(request)
        body = await body_of(request)
        try:
            token, pending = propose(watch, login, body)
        except RefusedError as error:
            logger("hmi.audit").warning(
                "action",
                outcome="not possible",
                user=login.user,
                address=login.address,
                unit=watch.unit.name,
                what=str(body.get("action"))[:40],
                reason=str(error),
            )
            raise
        return answer({"token": token, "text": pending.text, "expires_s": TOKEN_S})

    async def confirm(self, request: Request) -> Response:
        """The second step: do it."""
        refuse_foreign(request, self._context)
        login = self._operator(request)
        return answer({"done": True, "text": await confirm(login, request.path_params["token"])})

    def _operator(self, request: Request) -> Login:
        login = self._context.login(request, use=True)
        if login is None:
            known = bool(self._context.cookie_of(request))
            raise RefusedError(HTTPStatus.UNAUTHORIZED, ENDED if known else "log in first")
        return login

    def _told(self, login: Login | None, cookie: str) -> Response:
        logins = self._context.logins
        roles = set() if login is None else {may for all_ in login.permits.values() for may in all_}
        return answer(
            {
                "user": None if login is None else login.user,
                "roles": sorted(roles),
                "units": {} if login is None else login.permits,
                "refused": {} if login is None else login.refused,
                "expires_s": None if login is None else round(logins.expires_s(login)),
                "csrf": logins.csrf(cookie),
            }
        )
