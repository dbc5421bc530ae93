"""HistoryRead of raw values (OPC 10000-11, 6.5.3): what is asked for, page by page.

The time domain includes its start and excludes its end; with ReturnBounds it reaches out to the
nearest samples around both, and says BadBoundNotFound where there is none. Backwards where the end
is the earlier one or the only one. Other reads (modified, processed, at times, events) are not
supported.
"""

import sqlite3
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from asyncua import ua
from asyncua.common.utils import ServiceError

from plant_sim.history import HistoryStore, Sample
from plant_sim.opcua import limits
from plant_sim.opcua.continuation import ContinuationPoints
from plant_sim.opcua.history_recorder import EPOCH, HistoryRecorder, microseconds
from plant_sim.unit.tags import Tag

_LAST_US = 2**62
_NOT_SPECIFIED = datetime(1601, 1, 1, tzinfo=UTC)
_ENCODINGS = (None, "", "Default Binary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What of a tag is asked for.

    origin_us, far_us: where reading begins and where it ends, None: where values end.  count:
    values in an answer, or, without an end, altogether; 0: no maximum.
    """

    tag: int
    origin_us: int
    far_us: int | None
    forward: bool
    count: int
    bounds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What of a tag is still to be read.

    first_us, last_us: both included, backwards where the last is the earlier one; first_us None:
    nothing.  lead_us, trail_us: instants of bounds that were asked for and are not there.  left:
    values still to give, None: all there are.  page: values in an answer, None: as many as fit.
    """

    tag: int
    first_us: int | None
    last_us: int
    lead_us: int | None = None
    trail_us: int | None = None
    left: int | None = None
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Samples, those of missing bounds included, and what is left."""

    samples: list[Sample]
    rest: Span | None


def span_of(store: HistoryStore, asked: Domain) -> Span:
    """Where reading begins and ends in what is stored now."""
    origin, far, forward = asked.origin_us, asked.far_us, asked.forward
    first, lead = origin, None
    if asked.bounds:
        found = store.neighbour(asked.tag, origin, later=not forward)
        first, lead = (origin, origin) if found is None else (found, None)
    span = Span(
        tag=asked.tag, first_us=first, last_us=_LAST_US if forward else -_LAST_US, lead_us=lead
    )
    if far is None:
        return replace(span, left=asked.count)
    span = replace(span, page=asked.count or None)
    if asked.bounds:
        found = store.neighbour(asked.tag, far, later=forward)
        last, trail = (far, far) if found is None else (found, None)
        return replace(span, last_us=last, trail_us=trail)
    step = 0 if far == origin else 1 if forward else -1
    return replace(span, last_us=far - step)


def read_page(store: HistoryStore, span: Span, room: int) -> Answer:
    """At most `room` values of what is left, one at least."""
    most = min(size for size in (room, span.left, span.page) if size is not None)
    samples = [] if span.lead_us is None else [_missing(span.tag, span.lead_us)]
    fitting = most - len(samples)
    found = (
        []
        if span.first_us is None
        else store.read(span.tag, span.first_us, span.last_us, fitting + 1)
    )
    samples += found[:fitting]
    first = found[fitting].time_us if len(found) > fitting else None
    trail = span.trail_us
    if first is None and trail is not None and len(samples) < most:
        samples.append(_missing(span.tag, trail))
        trail = None
    left = None if span.left is None else span.left - len(samples)
    if (first is None and trail is None) or left == 0:
        return Answer(samples, None)
    rest = replace(span, first_us=first, lead_us=None, trail_us=trail, left=left)
    return Answer(samples, rest)


async def read_history(
    params: ua.HistoryReadParameters,
    tags: Mapping[ua.NodeId, Tag],
    known: Container[ua.NodeId],
    recorder: HistoryRecorder,
    points: ContinuationPoints[Span],
) -> list[ua.HistoryReadResult]:
    """Answer a HistoryRead request item by item.

    tags: those of the plant.  known: every node of the server.  points: of the session.  Raises
    ServiceError for a request that is wrong as a whole.
    """
    limits.refuse_too_many(params.NodesToRead)
    if not params.NodesToRead:
        raise ServiceError(ua.StatusCodes.BadNothingToDo)
    points.begin_request()
    judged = [_judge(item, params, tags, known, points) for item in params.NodesToRead]
    asked = [one for one in judged if isinstance(one, Span | Domain)]
    room = max(1, limits.MAX_HISTORY_VALUES // max(1, len(asked)))

    def work(store: HistoryStore) -> list[Answer]:
        spans = [span_of(store, one) if isinstance(one, Domain) else one for one in asked]
        return [read_page(store, span, room) for span in spans]

    try:
        answers = iter(await recorder.read(work) if asked else [])
    except sqlite3.Error:
        return [_bare(ua.StatusCodes.BadDataUnavailable) for _ in judged]
    return [
        _bare(one) if isinstance(one, int) else _result(next(answers), points) for one in judged
    ]


def _judge(
    item: ua.HistoryReadValueId,
    params: ua.HistoryReadParameters,
    tags: Mapping[ua.NodeId, Tag],
    known: Container[ua.NodeId],
    points: ContinuationPoints[Span],
) -> Domain | Span | int:
    """What an item asks for, or the status code that is its answer."""
    codes = ua.StatusCodes
    tag = tags.get(item.NodeId)
    if tag is None or not tag.history:
        unknown = item.NodeId not in known
        return int(codes.BadNodeIdUnknown if unknown else codes.BadHistoryOperationUnsupported)
    if item.ContinuationPoint:
        rest = points.take(item.ContinuationPoint)
        if rest is None or rest.tag != tag.number:
            return int(codes.BadContinuationPointInvalid)
        return int(codes.Good) if params.ReleaseContinuationPoints else rest
    fault = _fault(item, params)
    return _domain(tag, params.HistoryReadDetails) if fault is None else fault


def _fault(item: ua.HistoryReadValueId, params: ua.HistoryReadParameters) -> int | None:
    """Status code of a read that is not one of raw values with the time of their source."""
    codes, stamps = ua.StatusCodes, ua.TimestampsToReturn
    details, encoding = params.HistoryReadDetails, item.DataEncoding
    raw = isinstance(details, ua.ReadRawModifiedDetails) and not details.IsReadModified
    checks = (
        (not raw, codes.BadHistoryOperationUnsupported),
        (params.TimestampsToReturn is stamps.Neither, codes.BadTimestampsToReturnInvalid),
        (params.TimestampsToReturn is stamps.Server, codes.BadTimestampNotSupported),
        (bool(item.IndexRange), codes.BadIndexRangeNoData),
        (
            encoding is not None and encoding.Name not in _ENCODINGS,
            codes.BadDataEncodingUnsupported,
        ),
    )
    return next((int(code) for wrong, code in checks if wrong), None)


def _domain(tag: Tag, details: ua.ReadRawModifiedDetails) -> Domain | int:
    start, end = (_instant(time) for time in (details.StartTime, details.EndTime))
    count = int(details.NumValuesPerNode)
    if (start is not None) + (end is not None) + (count > 0) < 2:
        return int(ua.StatusCodes.BadHistoryOperationInvalid)
    origin, far = (end, None) if start is None else (start, end)
    return Domain(
        tag=tag.number,
        origin_us=origin or 0,
        far_us=far,
        forward=start is not None and (end is None or end >= start),
        count=count,
        bounds=bool(details.ReturnBounds),
    )


def _instant(time: datetime | None) -> int | None:
    if time is None:
        return None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return None if aware <= _NOT_SPECIFIED else microseconds(aware)


def _result(answer: Answer, points: ContinuationPoints[Span]) -> ua.HistoryReadResult:
    point = None
    if answer.rest is not None:
        point = points.keep(answer.rest)
        if point is None:
            return _bare(ua.StatusCodes.BadNoContinuationPoints)
    empty = point is None and all(_is_missing(sample) for sample in answer.samples)
    return ua.HistoryReadResult(
        StatusCode=_status(ua.StatusCodes.GoodNoData if empty else ua.StatusCodes.Good),
        ContinuationPoint=point,
        HistoryData=ua.HistoryData(DataValues=_data_values(answer.samples)),
    )


def _data_values(samples: Sequence[Sample]) -> list[ua.DataValue]:
    return [
        ua.DataValue(
            Value=ua.Variant()
            if sample.value is None
            else ua.Variant(sample.value, ua.VariantType.Double),
            StatusCode=_status(sample.status),
            SourceTimestamp=EPOCH + timedelta(microseconds=sample.time_us),
        )
        for sample in samples
    ]


def _missing(tag: int, time_us: int) -> Sample:
    return Sample(tag, time_us, None, int(ua.StatusCodes.BadBoundNotFound))


def _is_missing(sample: Sample) -> bool:
    return sample.status == int(ua.StatusCodes.BadBoundNotFound)


@cache
def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(code)


def _bare(code: int) -> ua.HistoryReadResult:
    return ua.HistoryReadResult(StatusCode=_status(code))
