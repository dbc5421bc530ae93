"""What a server says of the range of its setpoints (EURange, OPC 10000-8)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from asyncua import ua

from controller.hmi.alarm_limits import property_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncua import Client

    from controller.configuration.binding import Binding


async def ranges(
    client: Client, nodes: Mapping[str, ua.NodeId], binding: Binding
) -> dict[str, tuple[float, float]]:
    """Logical key of a setpoint -> (low, high) in the server's unit, of those that tell.

    Raises what asyncua raises when a request as a whole fails.
    """
    keys = [cv.sp.key for cv in binding.cvs if cv.sp.key in nodes]
    if not keys:
        return {}
    paths = [property_path(nodes[key], "EURange") for key in keys]
    found = await client.uaclient.session.translate_browsepaths_to_nodeids(paths)
    places = {
        key: result.Targets[0].TargetId
        for key, result in zip(keys, found, strict=True)
        if result.StatusCode.is_good() and result.Targets
    }
    if not places:
        return {}
    values = await client.uaclient.read_attributes(list(places.values()), ua.AttributeIds.Value)
    spans = {
        key: _span(None if value.Value is None else value.Value.Value)
        for key, value in zip(places, values, strict=True)
    }
    return {key: span for key, span in spans.items() if span is not None}


def _span(value: Any) -> tuple[float, float] | None:
    low, high = getattr(value, "Low", None), getattr(value, "High", None)
    if not (isinstance(low, float | int) and isinstance(high, float | int)):
        return None
    sound = math.isfinite(low) and math.isfinite(high) and low < high
    return (float(low), float(high)) if sound else None
