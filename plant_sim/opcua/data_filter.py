"""Which values a client may monitor, and which of their changes it asked for.

DataChangeFilter: OPC 10000-4, 7.22.2.

asyncua takes any filter and raises at every change of the value that it does not suit: a filter for
events, a deadband on a text, a value that a bad status has nulled. The client then hears nothing,
not even that the value is bad, and the log grows by a line a tick and item. It measures an absolute
deadband from the last sample, so that a slow drift is never told, and passes everything through a
percent deadband. So a filter is checked when it comes, and the deadband is judged here.
"""

from math import isfinite
from typing import Any

from asyncua import ua
from asyncua.ua.uaprotocol_auto import DataChangeFilter  # ua's own is a subclass, made to send

from plant_sim.opcua import limits

_DEADBANDS = (ua.DeadbandType.None_, ua.DeadbandType.Absolute)


def fault(given: Any, held: ua.DataValue) -> Any:
    """Status code (an int) of what cannot be monitored so; None where there is nothing wrong.

    given: the filter.  held: what the attribute holds now.
    """
    codes = ua.StatusCodes
    if limits.weight(held) > limits.HEAVY_BYTES:
        return codes.BadEncodingLimitsExceeded
    if not given:
        return None
    if not isinstance(given, DataChangeFilter) or given.DeadbandType not in _DEADBANDS:
        return codes.BadMonitoredItemFilterUnsupported
    if given.DeadbandType == ua.DeadbandType.None_:
        return None
    if not isfinite(given.DeadbandValue) or given.DeadbandValue < 0.0:
        return codes.BadDeadbandFilterInvalid
    content = _content(held)
    return None if content is None or _is_number(content) else codes.BadFilterNotAllowed


def exceeded(values: Any, wanted: DataChangeFilter) -> bool:
    """Whether a change goes beyond the deadband; one of status, from or to no number always does.

    values: asyncua's pair of the value before and the one now.  A change within the deadband leaves
    the one before as what the next change is measured from: it is what the client was told last.
    """
    if wanted.DeadbandType == ua.DeadbandType.None_:
        return True
    before, now = values.get_old_datavalue(), values.get_current_datavalue()
    if before is not None and before.StatusCode != now.StatusCode:
        return True
    old, new = _content(before), _content(now)
    if not (_is_number(old) and _is_number(new)):
        return True
    within = abs(new - old) <= wanted.DeadbandValue
    if within:
        values.current_dvalue = values.old_dvalue
    return not within


def _content(value: ua.DataValue | None) -> Any:
    return None if value is None or value.Value is None else value.Value.Value


def _is_number(content: Any) -> bool:
    return isinstance(content, int | float) and not isinstance(content, bool)
