"""Who is logged in: a browser's cookie stands for sessions of that user on the plants.

Passwords are used once and kept nowhere; what is kept is the open session.  A login ends by
itself: idle, too old, or with the last of its sessions on a plant.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING

from controller.hmi.attempts import Attempts, who
from controller.hmi.errors import RefusedError
from controller.hmi.operator_line import WRONG_LOGIN, OperatorLine, PlantSaysNoError
from controller.hmi.stores import chosen
from controller.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from controller.hmi.attempts import Who
    from controller.hmi.fleet import Unit
    from controller.hmi.pending import Pending
    from controller.hmi.settings import LoginSettings

MOST_LOGINS, MOST_OF_ONE = 64, 8
"""Logins in all, and of one user: of one more, the one that was not used for longest ends."""

AT_ONCE = 4
"""Sessions on plants that are opened at the same time."""

SWEPT_S = 2.0
ENDED = "your login has ended: log in again"


@dataclass(slots=True, kw_only=True, eq=False)
class Login:
    """One user in one browser.  used_s: of the last action or page, on the monotonic clock.

    who: the user as failures count, whatever the case and blanks that were typed.  refused:
    unit -> why it has no session there.
    """

    cookie: str = field(repr=False)
    user: str
    who: Who
    address: str
    opened_s: float
    used_s: float
    lines: dict[str, OperatorLine]
    refused: dict[str, str]
    pending: OrderedDict[str, Pending] = field(default_factory=OrderedDict)

    @property
    def alive(self) -> bool:
        """Whether any plant still knows this user."""
        return any(not line.lost for line in self.lines.values())

    @property
    def permits(self) -> dict[str, list[str]]:
        """Unit -> what its plant permits this user, of the units with a session."""
        return {name: line.permits for name, line in self.lines.items() if not line.lost}


class Logins:
    """All logins of one HMI."""

    def __init__(
        self,
        units: Mapping[str, Unit],
        settings: LoginSettings,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._units, self._settings, self._clock = units, settings, clock
        self._logins: dict[str, Login] = {}
        self._key = secrets.token_bytes(32)
        self._attempts = Attempts(settings.attempts, settings.window_s, clock)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._log = logger("hmi.audit")

    def csrf(self, cookie: str) -> str:
        """What a page must send back beside this cookie."""
        return hmac.new(self._key, cookie.encode(), hashlib.sha256).hexdigest()

    def right_csrf(self, cookie: str, given: str) -> bool:
        """Whether a page of ours sent this."""
        return bool(cookie) and hmac.compare_digest(
            self.csrf(cookie).encode(), given.encode("utf-8", "replace")
        )

    def find(self, cookie: str, *, use: bool = False) -> Login | None:
        """Who has this cookie; None for nobody, or a login that has ended."""
        login = self._logins.get(cookie)
        if login is None or self._over(login) is not None:
            return None
        if use:
            login.used_s = self._clock()
        return login

    def expires_s(self, login: Login) -> float:
        """Seconds until a login ends unless it is used."""
        now = self._clock()
        idle = self._settings.idle_s - (now - login.used_s)
        return max(0.0, min(idle, self._settings.lifetime_s - (now - login.opened_s)))

    async def login(self, user: str, password: str, address: str, unit: str | None = None) -> Login:
        """Log in on the plants that know the users of this unit's.  Raises RefusedError.

        unit: may be absent where all plants know the same users.
        """
        units = chosen(self._units, unit)
        one = who(user, address, units[0].users if units else "")
        wait_s = self._attempts.wait_s(one)
        if wait_s > 0.0:
            self._log.warning("login_limited", user=user, address=address)
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many failed logins: wait {wait_s / 60.0:.0f} min",
                {"Retry-After": f"{wait_s:.0f}"},
            )
        if len(self._logins) >= MOST_LOGINS:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many users are logged in")
        self._attempts.failed(one)  # until it is known better, so that none slips in meanwhile
        lines, refused = await self._open(units, user, password)
        if not lines:
            self._log.warning(
                "login_refused",
                user=user,
                address=address,
                reasons={name: str(no) for name, no in refused.items()},
            )
            raise _refusal(refused, self._attempts, one)
        self._attempts.succeeded(one)
        login = Login(
            cookie=secrets.token_urlsafe(32),
            user=user,
            who=one,
            address=address,
            opened_s=self._clock(),
            used_s=self._clock(),
            lines=lines,
            refused={name: str(error) for name, error in refused.items()},
        )
        self._logins[login.cookie] = login
        self._log.info("login", user=user, address=address, permits=login.permits)
        await self._make_room(login)
        return login

    async def _make_room(self, login: Login) -> None:
        """End what a user has too many of: one account must not take the room of all."""
        same = [item for item in self._logins.values() if item.who.user == login.who.user]
        others = sorted((item for item in same if item is not login), key=lambda item: item.used_s)
        for item in others[: max(0, len(same) - MOST_OF_ONE)]:
            await self.logout(item, "too many logins of this user")

    async def _open(
        self, units: Sequence[Unit], user: str, password: str
    ) -> tuple[dict[str, OperatorLine], dict[str, PlantSaysNoError]]:
        async def one(unit: Unit) -> OperatorLine | PlantSaysNoError:
            async with self._room:
                try:
                    return await OperatorLine.open(unit, user, password)
                except PlantSaysNoError as error:
                    return error

        found = await asyncio.gather(*(one(unit) for unit in units))
        named = dict(zip((unit.name for unit in units), found, strict=True))
        return (
            {name: line for name, line in named.items() if isinstance(line, OperatorLine)},
            {name: no for name, no in named.items() if isinstance(no, PlantSaysNoError)},
        )

    async def logout(self, login: Login, reason: str = "logout") -> None:
        """End a login and its sessions on the plants."""
        if self._logins.pop(login.cookie, None) is None:
            return
        login.pending.clear()
        self._log.info("logout", user=login.user, address=login.address, reason=reason)
        await asyncio.gather(*(line.close() for line in login.lines.values()))

    async def sweep(self) -> None:
        """End what is over, until cancelled; then end all."""
        try:
            while True:
                await asyncio.sleep(SWEPT_S)
                for login in list(self._logins.values()):
                    reason = self._over(login)
                    if reason is not None:
                        await self.logout(login, reason)
        finally:
            for login in list(self._logins.values()):
                await self.logout(login, "the HMI ends")

    def _over(self, login: Login) -> str | None:
        now = self._clock()
        if now - login.used_s > self._settings.idle_s:
            return "idle"
        if now - login.opened_s > self._settings.lifetime_s:
            return "too old"
        return None if login.alive else "the plant ended the session"


def _refusal(refused: Mapping[str, PlantSaysNoError], attempts: Attempts, one: Who) -> RefusedError:
    """Why nobody took the login: a wrong one, or plants that do not answer.

    One plant that calls it wrong is enough for a failure, whatever keeps the others from answering.
    """
    if any(error.status in WRONG_LOGIN for error in refused.values()):
        return RefusedError(HTTPStatus.UNAUTHORIZED, "wrong name or password")
    attempts.forgive(one)
    reasons = "; ".join(f"{name}: {error}" for name, error in list(refused.items())[:3])
    return RefusedError(HTTPStatus.BAD_GATEWAY, f"no plant can be asked now: {reasons}")
