"""Which filters of data changes a client may have: none with a deadband.

asyncua measures an absolute deadband from the last sample instead of from the last value sent, so
that a slow drift is never told; it fails on what is no number, so that a value that turns Bad is
not told either; and of a percent deadband it passes everything. A client that asks for one hears
that it is not supported, and filters for itself.
"""

from typing import Any

from asyncua import ua
from asyncua.ua.uaprotocol_auto import DataChangeFilter


def fault(given: Any) -> Any:
    """Status code (an int) of a filter that cannot be had; None for a good one and for none."""
    if not given:
        return None
    # ua.DataChangeFilter is a subclass of what comes off the wire
    if isinstance(given, DataChangeFilter) and given.DeadbandType == ua.DeadbandType.None_:
        return None
    return ua.StatusCodes.BadMonitoredItemFilterUnsupported
