"""Hands the MVs back to the DCS: on a shed, and on a new session what an earlier one left."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from asyncua import ua

from controller.configuration.choices import among
from controller.core.types import Quality
from controller.logs import logger
from controller.opcua.lease import NEVER
from controller.opcua.requests import NO_CONNECTION, TIMEOUT, Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.configuration.binding import Binding
    from controller.configuration.choices import Choice
    from controller.core.types import Measurement
    from controller.opcua.connection import Connection
    from controller.opcua.requests import Requests

REQUEST = "handshake.request"
SELECTOR = "handshake.mode"
SHED = "handshake.shed"

UNANSWERED = frozenset({TIMEOUT, NO_CONNECTION})
"""Statuses after which another request would fare no better."""

SETTLED_S = 2.0
"""A Request that reads false counts when it was received this long after we last raised it: what a
subscription brings is older than it looks."""

TOLD_NOTHING = "it has no shed, no request and no mode_on_shed: its last target stands"

NOT_TOLD = Failed(service="call", status="untold", detail=TOLD_NOTHING)


class Release:
    """What of the MVs may still be ours in the DCS's eyes, and how to let it go.

    due: what an earlier session may have left in AUTO has not been let go.  refusal: what was
    refused, and how, when that was last tried; "" where it was not.
    """

    def __init__(self, binding: Binding, requests: Requests) -> None:
        self._binding = binding
        self._requests = requests
        self._log = logger("link")
        self._untold = False
        self._raised_s = NEVER
        self.due = False
        self.refusal = ""

    def owe(self) -> None:
        """Begin on a new session: an earlier one may have left something."""
        self.due, self.refusal = True, ""

    def taking(self, *, request: bool) -> None:
        """The MVs are being taken; request: by raising Request now."""
        self._untold = False
        if request:
            self._raised_s = monotonic()

    async def settle(
        self, connection: Connection, image: Mapping[str, Measurement]
    ) -> Failed | None:
        """Let go of what an earlier session may have left; the lease must be held.

        It stays due when the DCS refuses: then its Request may stand, and would have it follow a
        stale target as soon as Auto is selected.  A DCS that takes a Request only in Auto shows
        that none stands, which is as good.
        """
        failure = await self._let_go(connection, image)
        self.due = failure is not None
        self._tell(failure)
        return failure

    async def shed(
        self, connection: Connection, reason: str, image: Mapping[str, Measurement]
    ) -> Failed | None:
        """Hand the MVs back: APC.Shed where the DCS has it, else, or if refused, `_let_go`.

        The lease must be held.  Where there is no way to tell the DCS, the shed has failed until
        the operator has its selector off auto.
        """
        failure: Failed | None = None
        if connection.offers(SHED):
            argument = ua.Variant(reason, ua.VariantType.String)
            called = await self._requests.ask("call", connection.call(SHED, argument))
            failure = called if isinstance(called, Failed) else None
            if failure is None or failure.status in UNANSWERED:
                return failure
        if not (connection.has(REQUEST) or self._binding.mode_on_shed is not None):
            return failure if connection.offers(SHED) else self._cannot_tell(reason, image)
        return await self._let_go(connection, image)

    def nothing_left(self, connection: Connection, image: Mapping[str, Measurement]) -> bool:
        """True when the selector is off auto and Request, where there is one, reads false."""
        if not self._off_auto(image):
            return False
        held = image.get(REQUEST)
        if held is None:
            return not connection.has(REQUEST)
        shown = held.quality is not Quality.BAD and held.received_s > self._raised_s + SETTLED_S
        return shown and held.value == 0

    def _tell(self, failure: Failed | None) -> None:
        """Log a refusal to be let go when it is new, and its end."""
        refusal = "" if failure is None else failure.words
        if refusal == self.refusal:
            return
        self.refusal = refusal
        if failure is None:
            self._log.info("let_go_succeeded")
            return
        self._log.warning(
            "let_go_failed",
            status=failure.status,
            reason=failure.detail,
            again="every tick",
            until_then="AUTO is barred and the heartbeat stands still",
        )

    def _cannot_tell(self, reason: str, image: Mapping[str, Measurement]) -> Failed | None:
        """None once the operator has let go in our place, else a failure, logged once a shed."""
        if self._off_auto(image):
            return None
        if not self._untold:
            self._untold = True
            self._log.warning("dcs_not_told", shed=reason, reason=TOLD_NOTHING)
        return NOT_TOLD

    def _off_auto(self, image: Mapping[str, Measurement]) -> bool:
        """True when the operator's selector can be read and is off auto."""
        held = image.get(SELECTOR)
        off = [choice for choice, mode in self._binding.mode_values.items() if mode != "auto"]
        return held is not None and held.quality is not Quality.BAD and among(held.value, off)

    async def _let_go(
        self, connection: Connection, image: Mapping[str, Measurement]
    ) -> Failed | None:
        """Withdraw Request, and put the selector off auto where tags.toml says so.

        A selector that the operator has moved off auto stays where it is: it has let go already.
        A refusal is none where the DCS shows that nothing is left.
        """
        values: dict[str, Choice] = {REQUEST: False} if connection.has(REQUEST) else {}
        chosen = self._binding.mode_on_shed
        if chosen is not None and connection.has(SELECTOR) and not self._off_auto(image):
            values[SELECTOR] = chosen
        if not values:
            return None
        answer = await self._requests.ask("write", connection.write(values))
        if isinstance(answer, Failed):
            return answer
        for key, status in answer.items():
            if status is not None:
                refused = self._requests.refused("write", status, key)
                return None if self.nothing_left(connection, image) else refused
        return None
