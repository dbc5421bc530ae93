"""The alarm limits of one session, read again and again: a decoration, which ends no session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.hmi.alarm_limits import find_limits, read_limits
from controller.opcua.endpoint import FAULTS
from controller.opcua.requests import detail_of
from controller.opcua.time_limit import time_limit
from controller.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import structlog
    from asyncua import Client, ua

    from controller.hmi.alarm_limits import AlarmLimit, LimitNode
    from controller.opcua.operation_limits import OperationLimits

ANSWER_S = 2.0
"""How long the search and the first reading, and each later reading, may take: meanwhile nothing
else is polled."""

LONGEST_REASON = 500


class LimitWatch:
    """The limits of these measurements (logical key -> node) on a connected server."""

    def __init__(
        self,
        client: Client,
        nodes: Mapping[str, ua.NodeId],
        limits: OperationLimits,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._client, self._nodes, self._limits = client, nodes, limits
        self._log = log
        self._told = False
        self._places: tuple[LimitNode, ...] | None = None

    async def read(self) -> dict[str, tuple[AlarmLimit, ...]]:
        """Key of a measurement -> its limits now; none when the server does not answer properly.

        A search that failed is made again the next time.  A line that is lost is noticed by others.
        """
        try:
            async with time_limit(ANSWER_S):
                if self._places is None:
                    self._places = await find_limits(self._client, self._nodes, self._limits)
                return await read_limits(self._client, self._places, self._limits.read)
        except FAULTS as error:
            if not self._told:
                self._told = True
                reason = printable(detail_of(error)[:LONGEST_REASON])
                self._log.info("no_alarm_limits", reason=reason)
            return {}
