"""The server's clock, as its source times tell it.

A server may be minutes off this machine's clock, so source times are held against each other, never
against ours.  Behind a gateway one source may be off all others: one that is ahead of the server's
own clock tells nothing about the others' age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from controller.configuration.binding import Binding, BoundTag
    from controller.core.types import Measurement

AHEAD_S = 2.0
"""So far ahead of the server's clock a source still counts as in step with it; some servers move
that clock on once a second."""

_MOVING = ("handshake.heartbeat_out", "clock.plant_time")


def measured(binding: Binding) -> Iterator[BoundTag]:
    """The tags whose sources are judged."""
    yield from (cv.pv for cv in binding.cvs)
    yield from (dv.pv for dv in binding.dvs)


def clock_keys(binding: Binding) -> Iterator[str]:
    """Tags whose source times keep moving while all is well."""
    yield from (tag.key for tag in measured(binding))
    yield from _MOVING


def ahead_s(source: datetime, server: datetime | None) -> float:
    """How far a source is ahead of the server's own clock [s]; 0 where that is not known."""
    return 0.0 if server is None else (source - server).total_seconds()


def newest_source(delivered: Iterable[Measurement], server: datetime | None) -> datetime | None:
    """The newest source time, of those in step with the server's own clock where there are any."""
    times = [item.source_time for item in delivered if item.source_time is not None]
    in_step = [time for time in times if ahead_s(time, server) <= AHEAD_S]
    return max(in_step or times, default=None)
