"""The past of a unit by HistoryRead, thinned to what a chart can show.

Raw values are read in pages; a range with more of them than may be read is sampled instead, a
value a bucket, and the answer says so.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from asyncua import ua

from controller.hmi.series import axis, bucketed, listed
from controller.opcua.endpoint import FAULTS
from controller.opcua.requests import detail_of
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncua import Client

    from controller.configuration.units import Conversion
    from controller.hmi.fleet import Unit
    from controller.hmi.plant_line import PlantLine
    from controller.hmi.series import F64

PAGE = 1000
"""Values of a tag asked for at once: decoding them holds up the others for some 20 ms."""

MOST_VALUES = 20_000
"""Raw values read of one tag; a range with more is sampled."""

READ_S = 20.0
MOST_ASKING = 8
KEPT = 16
"""Answers kept for the next who asks the same."""

STEPS = ("sp", "applied")
"""Series that stand until they change."""


class HistoryError(Exception):
    """The plant has no history, or does not tell it now; the message says why."""


class History:
    """The past of one unit; one question at a time."""

    def __init__(self, unit: Unit, line: PlantLine) -> None:
        self._unit, self._line = unit, line
        self._busy = asyncio.Lock()
        self._asking = 0
        self._kept: OrderedDict[tuple[float, float, int], dict[str, Any]] = OrderedDict()

    async def read(self, start: datetime, end: datetime, points: int) -> dict[str, Any]:
        """{"time", "series", "sampled", "missing"} of a range.  Raises HistoryError."""
        key = (start.timestamp(), end.timestamp(), points)
        if self._asking >= MOST_ASKING:
            raise HistoryError("too many ask for the past at once: try again")
        self._asking += 1
        try:
            return await self._answer(key, start, end, points)
        finally:
            self._asking -= 1

    async def _answer(
        self, key: tuple[float, float, int], start: datetime, end: datetime, points: int
    ) -> dict[str, Any]:
        async with self._busy:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            client = self._line.client
            if client is None:
                raise HistoryError(f"no connection to the plant: {self._line.problem}")
            try:
                async with time_limit(READ_S):
                    answer = await self._read(client, start, end, points)
            except FAULTS as error:
                raise HistoryError(f"the plant does not tell: {detail_of(error)}") from None
            if end < datetime.now(UTC):
                self._kept[key] = answer
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return answer

    async def _read(
        self, client: Client, start: datetime, end: datetime, points: int
    ) -> dict[str, Any]:
        edges = np.linspace(start.timestamp(), end.timestamp(), points // 2 + 1)
        series: dict[str, Any] = {}
        missing, sampled = [], False
        for name, (node, way) in self._nodes().items():
            try:
                time_s, values, whole = await _raw(client, node, start, end)
                if not whole:
                    time_s, values = await _sampled(client, node, edges)
                    sampled = True
            except ua.UaStatusCodeError:
                missing.append(name)
                continue
            found = way.gain * values + way.offset
            hold = name.partition("/")[0] in STEPS
            columns = bucketed(time_s, found, edges, hold=hold)
            columns[axis(edges) > datetime.now(UTC).timestamp()] = np.nan
            series[name] = listed(columns)
        if not series:
            raise HistoryError("the plant keeps no history of these tags")
        times = [round(float(value), 3) for value in axis(edges)]
        return {"time": times, "series": series, "sampled": sampled, "missing": missing}

    def _nodes(self) -> Mapping[str, tuple[ua.NodeId, Conversion]]:
        """Series -> node and way into the model's unit, of the tags that the server has."""
        binding = self._unit.binding
        wanted = {
            **{f"pv/{cv.name}": (cv.pv.key, cv.pv.conversion) for cv in binding.cvs},
            **{f"sp/{cv.name}": (cv.sp.key, cv.sp.conversion) for cv in binding.cvs},
            **{f"actual/{mv.name}": (mv.actual.key, mv.conversion) for mv in binding.mvs},
            **{f"applied/{mv.name}": (mv.target_key, mv.conversion) for mv in binding.mvs},
        }
        nodes = {} if self._line.book is None else self._line.book.nodes
        return {name: (nodes[key], way) for name, (key, way) in wanted.items() if key in nodes}


async def _raw(
    client: Client, node: ua.NodeId, start: datetime, end: datetime
) -> tuple[F64, F64, bool]:
    """(times [s], values, whether that is all) of a tag, bad ones as NaN, and the one before."""
    found: list[ua.DataValue] = []
    point: bytes | None = None
    while True:
        result = await _page(client, node, _details(start, end, PAGE, bounds=True), point)
        found += result.values
        point = result.point
        if not point:
            break
        if len(found) >= MOST_VALUES:
            await _page(client, node, _details(start, end, PAGE, bounds=True), point, release=True)
            return np.array([]), np.array([]), False
    time_s, values = _columns(found)
    return time_s, values, True


async def _sampled(client: Client, node: ua.NodeId, edges: F64) -> tuple[F64, F64]:
    """The first value of every bucket."""
    found: list[ua.DataValue] = []
    for first, last in pairwise(edges):
        begin, end = (datetime.fromtimestamp(float(edge), UTC) for edge in (first, last))
        result = await _page(client, node, _details(begin, end, 1, bounds=False), None)
        found += result.values
        if result.point:
            details = _details(begin, end, 1, bounds=False)
            await _page(client, node, details, result.point, release=True)
    return _columns(found)


class _Result:
    """A page of a history.  point: where the next begins."""

    def __init__(self, values: list[ua.DataValue], point: bytes | None) -> None:
        self.values, self.point = values, point


async def _page(
    client: Client,
    node: ua.NodeId,
    details: ua.ReadRawModifiedDetails,
    point: bytes | None,
    *,
    release: bool = False,
) -> _Result:
    (result,) = await client.uaclient.session.history_read(
        ua.HistoryReadParameters(
            HistoryReadDetails=details,
            TimestampsToReturn=ua.TimestampsToReturn.Source,
            ReleaseContinuationPoints=release,
            NodesToRead=[ua.HistoryReadValueId(NodeId=node, ContinuationPoint=point)],
        )
    )
    result.StatusCode.check()
    data = result.HistoryData
    values = getattr(data, "DataValues", None) or []
    await asyncio.sleep(0)
    return _Result(list(values), result.ContinuationPoint or None)


def _details(
    start: datetime, end: datetime, count: int, *, bounds: bool
) -> ua.ReadRawModifiedDetails:
    return ua.ReadRawModifiedDetails(
        IsReadModified=False,
        StartTime=start,
        EndTime=end,
        NumValuesPerNode=count,
        ReturnBounds=bounds,
    )


def _columns(found: list[ua.DataValue]) -> tuple[F64, F64]:
    """(times [s], values) in order, NaN for what is bad; bounds that are not there left out."""
    rows: list[tuple[float, float]] = []
    for item in found:
        time, status = item.SourceTimestamp, item.StatusCode
        if time is None or (status is not None and status.name == "BadBoundNotFound"):
            continue
        value = None if item.Value is None else item.Value.Value
        good = (status is None or not status.is_bad()) and isinstance(value, int | float)
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        rows.append((aware.timestamp(), float(value) if good and value is not None else math.nan))
    rows.sort(key=lambda row: row[0])
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
