"""What pages read: JSON and the stream of changes.  Nobody has to be logged in."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response
from starlette.routing import Route

from controller.hmi import records
from controller.hmi.context import Context, address_of
from controller.hmi.errors import RefusedError, malformed, unknown
from controller.hmi.history import HistoryError
from controller.hmi.query import instant, parameters, whole
from controller.hmi.questions import AT_ONCE
from controller.hmi.trend import POINTS

if TYPE_CHECKING:
    from collections.abc import Callable

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
        # Not the loop's own threads: a disk that hangs must not hold up the names of plants.
        self._disks = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="journals")

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

        async def work() -> Any:  # waits for nothing
            return watch.trend.since(float(seconds), points)

        return await self._context.trends.answer(
            watch.unit.name, (seconds, points), address_of(request), work
        )

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
        history = self._context.histories[watch.unit.name]
        try:
            return await self._context.plants.answer(
                watch.unit.name,
                (start, end, points),
                address_of(request),
                lambda: history.read(start, end, points),
            )
        except HistoryError as error:
            raise RefusedError(HTTPStatus.BAD_GATEWAY, str(error)) from None

    async def model(self, request: Request) -> Response:
        """The bundle that the unit's controller runs."""
        parameters(request)
        watch = self._context.watch(request)
        return await self._read(
            request, ("model",), lambda: records.model(watch.unit, watch.tail.tail.scan)
        )

    async def runs(self, request: Request) -> Response:
        """The runs in the journal."""
        parameters(request)
        watch = self._context.watch(request)
        counted = self._context.counted.setdefault(watch.unit.name, {})

        def work() -> dict[str, Any]:
            try:
                found = records.runs(watch.unit.journal, counted)
            except records.NoRecordError:
                if watch.unit.journal.exists():
                    raise
                found = []
            return {"runs": found, "journal_text": watch.tail.tail.problem}

        return await self._read(request, ("runs",), work)

    async def scans(self, request: Request) -> Response:
        """A page of the scans of a run."""
        watch, run = self._run(request)
        given = parameters(request, "before", "limit")
        limit = whole(given.get("limit"), "limit", low=1, high=MOST_SCANS, otherwise=SCANS)
        before = whole(given.get("before"), "before", low=0, high=LARGEST, otherwise=LARGEST)
        return await self._read(
            request,
            ("scans", run, before, limit),
            lambda: records.page(watch.unit.journal, run, before=before, limit=limit),
        )

    async def scan(self, request: Request) -> Response:
        """One scan, whole."""
        parameters(request)
        watch, run = self._run(request)
        number = _number(request.path_params["scan"], "scan")
        return await self._read(
            request, ("scan", run, number), lambda: records.scan(watch.unit.journal, run, number)
        )

    async def stream(self, request: Request) -> Response:
        """Changes as they come: "units", "alarms", and "unit" of the one that is asked for."""
        given = parameters(request, "unit")
        topics = ["units", "alarms"]
        name = given.get("unit")
        if name is not None:
            if name not in self._context.station.watches:
                raise unknown(f"there is no unit {name[:64]!r}")
            topics.insert(0, f"unit/{name}")
        hub, address = self._context.hub, address_of(request)
        if hub.full(address):
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many viewers", {"Retry-After": "30"}
            )
        return EventSourceResponse(
            hub.watch(topics, address),
            ping=PING_S,
            ping_message_factory=lambda: ServerSentEvent(comment=""),
        )

    async def _read(
        self, request: Request, key: tuple[Any, ...], work: Callable[[], Any]
    ) -> Response:
        """What `work` reads of a unit's files in a thread."""
        unit: str = request.path_params["unit"]
        loop = asyncio.get_running_loop()

        async def reading() -> Any:
            return await loop.run_in_executor(self._disks, work)

        return await self._context.journals.answer(unit, key, address_of(request), reading)

    def _run(self, request: Request) -> tuple[Watch, int]:
        return self._context.watch(request), _number(request.path_params["run"], "run")


def _number(text: str, name: str) -> int:
    return whole(text, name, low=0, high=LARGEST, otherwise=0)


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")
