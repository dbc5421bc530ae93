"""What pages read: JSON and the stream of changes.  Nobody has to be logged in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response
from starlette.routing import Route

from controller.hmi import records
from controller.hmi.context import Context, answer
from controller.hmi.errors import RefusedError, malformed, unknown
from controller.hmi.history import HistoryError
from controller.hmi.query import instant, parameters, whole
from controller.hmi.trend import POINTS

if TYPE_CHECKING:
    from starlette.requests import Request

    from controller.hmi.watch import Watch

PING_S = 10
LONGEST_TREND_S = 7 * 24 * 3600
LONGEST_HISTORY = timedelta(days=400)
SHORTEST_HISTORY = timedelta(seconds=1)
FEWEST_POINTS, MOST_POINTS = 10, 2000
MOST_SCANS, SCANS = 500, 50
LARGEST = 10**15 - 1


class Reading:
    """The routes that read."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[Route]:
        """Where they are."""
        unit = "/api/units/{unit}"
        found = {
            "/api/units": self.units,
            "/api/alarms": self.alarms,
            "/api/stream": self.stream,
            unit: self.unit,
            f"{unit}/trend": self.trend,
            f"{unit}/history": self.history,
            f"{unit}/model": self.model,
            f"{unit}/runs": self.runs,
            f"{unit}/runs/{{run}}/scans": self.scans,
            f"{unit}/runs/{{run}}/scans/{{scan}}": self.scan,
        }
        return [Route(path, work, methods=["GET"]) for path, work in found.items()]

    async def units(self, request: Request) -> Response:
        """Every unit in short."""
        parameters(request)
        units = self._context.hub.text("units") or "[]"
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        return _json(f'{{"time":"{time}","units":{units}}}')

    async def alarms(self, request: Request) -> Response:
        """The alarms of all units."""
        parameters(request)
        return _json(f'{{"alarms":{self._context.hub.text("alarms") or "[]"}}}')

    async def unit(self, request: Request) -> Response:
        """One unit, whole."""
        parameters(request)
        watch = self._context.watch(request)
        return _json(self._context.hub.text(f"unit/{watch.unit.name}") or "null")

    async def trend(self, request: Request) -> Response:
        """The last seconds of a unit."""
        watch = self._context.watch(request)
        given = parameters(request, "seconds", "points")
        seconds = whole(
            given.get("seconds"), "seconds", low=1, high=LONGEST_TREND_S, otherwise=3600
        )
        points = whole(given.get("points"), "points", low=FEWEST_POINTS, high=POINTS, otherwise=600)
        return answer(watch.trend.since(float(seconds), points))

    async def history(self, request: Request) -> Response:
        """A range of the past, as the plant tells it."""
        watch = self._context.watch(request)
        given = parameters(request, "from", "to", "points")
        start, end = instant(given.get("from"), "from"), instant(given.get("to"), "to")
        if not SHORTEST_HISTORY <= end - start <= LONGEST_HISTORY:
            raise malformed("from before to, by a second to 400 days")
        points = whole(
            given.get("points"), "points", low=FEWEST_POINTS, high=MOST_POINTS, otherwise=600
        )
        try:
            history = self._context.histories[watch.unit.name]
            return answer(await history.read(start, end, points))
        except HistoryError as error:
            raise RefusedError(HTTPStatus.BAD_GATEWAY, str(error)) from None

    async def model(self, request: Request) -> Response:
        """The bundle that the unit's controller runs."""
        parameters(request)
        watch = self._context.watch(request)
        found = await asyncio.to_thread(records.model, watch.unit, watch.tail.tail.scan)
        return answer(found)

    async def runs(self, request: Request) -> Response:
        """The runs in the journal."""
        parameters(request)
        watch = self._context.watch(request)
        counted = self._context.counted.setdefault(watch.unit.name, {})
        try:
            found = await asyncio.to_thread(records.runs, watch.unit.journal, counted)
        except records.NoRecordError:
            if watch.unit.journal.exists():
                raise
            found = []
        return answer({"runs": found, "journal_text": watch.tail.tail.problem})

    async def scans(self, request: Request) -> Response:
        """A page of the scans of a run."""
        watch, run = self._run(request)
        given = parameters(request, "before", "limit")
        limit = whole(given.get("limit"), "limit", low=1, high=MOST_SCANS, otherwise=SCANS)
        before = whole(given.get("before"), "before", low=0, high=LARGEST, otherwise=LARGEST)
        return answer(
            await asyncio.to_thread(
                records.page, watch.unit.journal, run, before=before, limit=limit
            )
        )

    async def scan(self, request: Request) -> Response:
        """One scan, whole."""
        parameters(request)
        watch, run = self._run(request)
        number = _number(request.path_params["scan"], "scan")
        return answer(await asyncio.to_thread(records.scan, watch.unit.journal, run, number))

    async def stream(self, request: Request) -> Response:
        """Changes as they come: "units", "alarms", and "unit" of the one that is asked for."""
        given = parameters(request, "unit")
        topics = ["units", "alarms"]
        name = given.get("unit")
        if name is not None:
            if name not in self._context.station.watches:
                raise unknown(f"there is no unit {name[:64]!r}")
            topics.insert(0, f"unit/{name}")
        hub = self._context.hub
        if hub.full:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many viewers", {"Retry-After": "30"}
            )
        return EventSourceResponse(
            hub.watch(topics), ping=PING_S, ping_message_factory=lambda: ServerSentEvent(comment="")
        )

    def _run(self, request: Request) -> tuple[Watch, int]:
        return self._context.watch(request), _number(request.path_params["run"], "run")


def _number(text: str, name: str) -> int:
    return whole(text, name, low=0, high=LARGEST, otherwise=0)


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")
