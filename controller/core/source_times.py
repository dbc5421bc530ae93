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
    """What ages are counted from: the newest source time, or the server's own clock before it.

    One source ahead of the server's clock makes no other one stale, and several ahead of it make no
    late one fresh: where sources are on both sides of that clock, it is the clock itself.  Sources
    that are all ahead are held against each other.
    """
    times = [item.source_time for item in delivered if item.source_time is not None]
    newest, oldest = max(times, default=None), min(times, default=None)
    if newest is None or oldest is None or server is None:
        return newest
    both_sides = ahead_s(newest, server) > AHEAD_S >= ahead_s(oldest, server)
    return server if both_sides else newest
