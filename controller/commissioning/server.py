"""What the server as a whole does that a controller must live with: clock, times, limits.

None of it is wrong by itself, so all findings are notes; each says what is done about it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from asyncua import ua

from controller.commissioning.comparison import Finding, Verdict
from controller.core.source_times import AHEAD_S, ahead_s, clock_keys, measured, newest_source
from controller.opcua.image import SERVER_TIME, ProcessImage, measurement
from controller.opcua.nodes import CURRENT_TIME
from controller.opcua.operation_limits import UNLIMITED, read_attribute, requests
from controller.opcua.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from asyncua import Client

    from controller.configuration.binding import Binding, BoundTag
    from controller.core.types import Measurement
    from controller.opcua.connection import Wanted
    from controller.opcua.operation_limits import OperationLimits
    from controller.opcua.subscription import Granted

CLOCK_OFF_S = 5.0
"""Clocks that are further apart are told of."""

SLOWER = 1.5
"""A publishing interval this many times the one asked for is told of."""


async def server_findings(
    client: Client,
    *,
    wanted: Wanted,
    binding: Binding,
    nodes: Mapping[str, ua.NodeId],
    limits: OperationLimits,
) -> list[Finding]:
    """Everything that is to be said of this server.

    nodes: of the keys that it has.  Opens a subscription, which ends with the session.  Raises what
    asyncua raises when a request as a whole fails.
    """
    read = {key: nodes[key] for key in wanted.read if key in nodes}
    delivered = await _delivered(client, read, binding, limits.read)
    image = ProcessImage()
    subscription = Subscription(list(read), image)
    await subscription.open(
        client,
        list(read.values()),
        publishing_s=wanted.publishing_s,
        items_per_call=limits.monitor,
    )
    server, offset_s = await _clock(client)
    return [
        *compare_clock(offset_s),
        *compare_times(list(measured(binding)), delivered, server),
        *compare_limits(limits, tags=len(read), written=len(wanted.written)),
        *compare_subscription(subscription.granted, wanted.publishing_s),
    ]


async def _delivered(
    client: Client, nodes: Mapping[str, ua.NodeId], binding: Binding, most: int
) -> dict[str, Measurement]:
    """The tags whose source times tell the server's clock."""
    keys = [key for key in clock_keys(binding) if key in nodes]
    ids = [nodes[key] for key in keys]
    answers = await read_attribute(client, ids, ua.AttributeIds.Value, most)
    now = monotonic()
    return {key: measurement(key, answer, now) for key, answer in zip(keys, answers, strict=True)}


async def _clock(client: Client) -> tuple[datetime | None, float]:
    """The server's own clock, and how far it is ahead of ours [s]; None where it tells none."""
    asked = datetime.now(UTC)
    (answer,) = await client.uaclient.read_attributes([CURRENT_TIME], ua.AttributeIds.Value)
    middle = asked + (datetime.now(UTC) - asked) / 2
    told = measurement(SERVER_TIME, answer, 0.0).value
    if not isinstance(told, float):
        return None, 0.0
    time = datetime.fromtimestamp(told, UTC)
    return time, (time - middle).total_seconds()


def compare_clock(offset_s: float) -> Iterator[Finding]:
    """offset_s: how far the server's clock is ahead of ours."""
    if abs(offset_s) > CLOCK_OFF_S:
        way = "ahead of" if offset_s > 0.0 else "behind"
        yield _note(
            "server.clock",
            f"{abs(offset_s):.0f} s {way} this machine's",
            "ages are judged by the server's own clock; the journal has this machine's: set one "
            "of the two",
        )


def compare_times(
    tags: Sequence[BoundTag], delivered: Mapping[str, Measurement], server: datetime | None
) -> Iterator[Finding]:
    """Source times by which an age cannot be judged, or is judged too old.

    server: its own clock.
    """
    newest = newest_source(delivered.values(), server)
    for tag in tags:
        held, allowed_s = delivered.get(tag.key), tag.stale_after_s
        if held is None or allowed_s is None:
            continue
        if held.source_time is None or newest is None:
            yield _note(
                tag.key,
                "no SourceTimestamp",
                "stale_after_s judges the delivery alone: a stuck source is found by "
                "frozen_after_scans only",
            )
        elif (ahead := ahead_s(held.source_time, server)) > AHEAD_S:
            yield _note(
                tag.key,
                f"SourceTimestamp {ahead:.0f} s ahead of the server's clock",
                "its age is judged by when it was last stamped anew; have its source's clock set",
            )
        elif (behind_s := (newest - held.source_time).total_seconds()) > allowed_s:
            yield _note(
                tag.key,
                f"SourceTimestamp {behind_s:.0f} s behind the newest of this server: stale for "
                f"stale_after_s = {allowed_s:g}",
                "AUTO waits; have its source's clock set, or leave stale_after_s out where the "
                "server stamps a value only when it changes",
            )


def compare_limits(limits: OperationLimits, *, tags: int, written: int) -> Iterator[Finding]:
    """Requests that have to be split.  tags: that are read, and the server's clock with them."""
    for operations, limit, name, what in (
        (tags + 1, limits.read, "MaxNodesPerRead", "the image is read"),
        (written, limits.write, "MaxNodesPerWrite", "at most, a write goes out"),
        (tags, limits.monitor, "MaxMonitoredItemsPerCall", "the tags are subscribed"),
    ):
        if limit < UNLIMITED and requests(operations, limit) > 1:
            count = requests(operations, limit)
            yield _note(
                "server.limits",
                f"{name} {limit}: {what} in {count} requests",
                "nothing, unless the line is slow: each takes a turn of it",
            )


def compare_subscription(granted: Granted, asked_s: float) -> Iterator[Finding]:
    """A subscription that is slower than asked for, lacks items, or is none."""
    polled = "values come from the polls of scans and ticks"
    if granted.refused:
        yield _note("server.subscription", f"none: {granted.refused}", polled)
        return
    if granted.publishing_s > SLOWER * asked_s:
        found = f"published every {granted.publishing_s:g} s, asked for {asked_s:g} s"
        yield _note("server.subscription", found, f"in between {polled}")
    if granted.missing:
        yield _note("server.subscription", f"{granted.missing} tags are not sampled", polled)


def _note(key: str, found: str, action: str) -> Finding:
    return Finding(key=key, verdict=Verdict.NOTE, found=found, action=action)
