"""The controller's line to the DCS: a process image in, batched writes out, over OPC UA.

Every request has a timeout below the scan period, and every expected fault is a value: nothing
here raises into a scan.  A lost line is opened again with a bounded, doubling delay, and everything
is resolved anew; what to do about the loss is decided by the mode machine, not here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from controller.core.types import NotWritten, NotWrittenReason, Snapshot
from controller.logs import logger
from controller.opcua.connection import Connection
from controller.opcua.endpoint import ABANDON_S, CLOSE_S, FAULTS
from controller.opcua.image import HEARTBEAT, PLANT_TIME, ProcessImage
from controller.opcua.lease import NEVER
from controller.opcua.nodes import NodesRefusedError
from controller.opcua.outbound import Outbound
from controller.opcua.requests import NOT_CONNECTED, Failed, Requests
from controller.opcua.security import ServerRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography import x509

    from controller.configuration.binding import Binding
    from controller.core.types import Measurement, Move, Tick, WriteOutcome
    from controller.metrics import Metrics
    from controller.opcua.connection import Wanted
    from controller.opcua.endpoint import Endpoint
    from controller.opcua.lease import Ownership

FIRST_DELAY_S = 0.2
"""Pause before the second attempt to reconnect; it doubles up to the configured limit."""

LASTING_S = 5.0
"""A session that ends before this age has not ended the trouble: the pauses go on growing."""

UNHURRIED_S = 2.0
"""Time allowed to each request of an orderly end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """How the link behaves; times in wall seconds.

    request_timeout_s: for every request of a scan or a tick; below the scan period.
    """

    read_only: bool
    request_timeout_s: float
    reconnect_max_s: float
    ownership: Ownership


class Link:
    """One controller's connection to its DCS, for the life of the service."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        wanted: Wanted,
        binding: Binding,
        options: LinkOptions,
        metrics: Metrics,
    ) -> None:
        self._endpoint = endpoint
        self._wanted = wanted
        self._options = options
        self._metrics = metrics
        self._log = logger("link")
        self._image = ProcessImage()
        self._requests = Requests(
            timeout_s=options.request_timeout_s, metrics=metrics, on_lost=self._lose
        )
        self._outbound = Outbound(
            binding=binding,
            requests=self._requests,
            ownership=options.ownership,
            read_only=options.read_only,
        )
        self._connection: Connection | None = None
        self._lost = asyncio.Event()
        self._lost_reason = ""
        self._keeper: asyncio.Task[None] | None = None
        self._polled_s = NEVER
        self._sessions = 0
        self._beat_status = ""
        self._opened_s = NEVER
        self._pause_s = 0.0
        self._frozen: Mapping[str, Measurement] = {}
        if endpoint.security is not None:
            self._expires("own", endpoint.security.certificate)

    async def open(
        self,
        on_fault: Callable[[BaseException], None],
        admit: Callable[[Mapping[str, Measurement]], None] | None = None,
    ) -> Failed | None:
        """Connect once, and from then on keep the connection until `close`.

        Returns why the server could not be used; then nothing is kept.  on_fault is called when
        the keeping itself fails, which is a bug.  admit sees the first image before anything is
        written, and may raise to end it there.
        """
        try:
            failure = await self._connect(admit)
        except BaseException:
            await self._drop()
            raise
        if failure is not None:
            return failure
        self._keeper = asyncio.create_task(self._keep(), name="link-keeper")
        self._keeper.add_done_callback(lambda task: _report(task, on_fault))
        return None

    def unhurried(self) -> None:
        """Give requests more time: the scans have ended and none waits for an answer."""
        self._requests.timeout_s = max(self._requests.timeout_s, UNHURRIED_S)

    async def close(self) -> None:
        """Stop keeping the connection, give the lease back and close the session.

        What ended the keeping, if a fault did, was told to on_fault and is not raised again.
        """
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self.connected:
            await self._outbound.release_lease()
        await self._drop()

    @property
    def connected(self) -> bool:
        """True while a session is open and not known to be lost."""
        return self._connection is not None and not self._lost.is_set()

    @property
    def lease_held(self) -> bool:
        """True when this DCS has no lease, or this session holds it."""
        return self._outbound.lease_held

    @property
    def release_due(self) -> bool:
        """True while what an earlier session may have left in AUTO has not been let go."""
        return self._outbound.release_due

    @property
    def release_refusal(self) -> str:
        """What the DCS refused of that, and how, when it was last tried; "" where it did not."""
        return self._outbound.release_refusal

    @property
    def poll_age_s(self) -> float:
        """Seconds since the last complete poll; infinite before the first."""
        return monotonic() - self._polled_s

    async def _connect(
        self, admit: Callable[[Mapping[str, Measurement]], None] | None = None
    ) -> Failed | None:
        self._lost.clear()
        started = monotonic()
        try:
            connection = await Connection.open(
                self._endpoint, self._wanted, self._image, self._lose
            )
        except (NodesRefusedError, ServerRefusedError) as error:
            return self._requests.refused("connect", error.status, str(error))
        except FAULTS as error:
            return self._requests.failed("connect", error)
        self._requests.succeeded("connect", monotonic() - started)
        self._connection = connection
        self._sessions += 1
        self._opened_s = monotonic()
        self._metrics.connected.set(1)
        self._expires("server", connection.certificate)
        await self.poll()
        if admit is not None:
            admit(self._image.measurements())
        await self._outbound.attach(connection, self._image.measurements())
        return None

    def _expires(self, role: str, certificate: x509.Certificate | None) -> None:
        if certificate is not None:
            end_s = certificate.not_valid_after_utc.timestamp()
            self._metrics.certificate_expiry.labels(role).set(end_s)

    def image(self) -> Mapping[str, Measurement]:
        """Return the process image: logical tag key -> last delivered value."""
        return self._image.measurements()

    async def alarms(self) -> Mapping[tuple[str, str], int] | None:
        """(priority, state) -> how many alarms of the plant; None while that is not known.

        No part of connecting nor of a scan: it asks for what it lacks when it is called.
        """
        connection = self._connection
        return None if connection is None or not self.connected else await connection.alarms()

    async def _keep(self) -> None:
        while True:
            await self._lost.wait()
            self._log.warning("connection_lost", url=self._endpoint.url, reason=self._lost_reason)
            await self._drop(ABANDON_S)
            if monotonic() - self._opened_s >= LASTING_S:
                self._pause_s = 0.0
            await self._reconnect()

    async def _reconnect(self) -> None:
        attempt = 1
        while (failure := await self._attempt()) is not None:
            self._log.warning(
                "reconnect_failed",
                attempt=attempt,
                status=failure.status,
                reason=failure.detail,
                retry_in_s=self._pause_s,
            )
            attempt += 1
        self._metrics.reconnects.inc()
        self._log.info("reconnected", url=self._endpoint.url, attempts=attempt)

    async def _attempt(self) -> Failed | None:
        """Connect, after the pause that the attempts and short-lived sessions so far ask for."""
        await asyncio.sleep(self._pause_s)
        longer = max(FIRST_DELAY_S, 2.0 * self._pause_s)
        self._pause_s = min(longer, self._options.reconnect_max_s)
        return await self._connect()

    async def _drop(self, limit_s: float = CLOSE_S) -> None:
        connection, self._connection = self._connection, None
        self._outbound.detach()
        self._metrics.connected.set(0)
        if connection is not None:
            await connection.close(limit_s)

    def _lose(self, reason: str) -> None:
        if not self._lost.is_set():
            self._lost_reason = reason
            self._lost.set()

    async def poll(self) -> Failed | None:
        """Read the whole image in one request."""
        connection = self._connection
        if connection is None or not self.connected:
            return NOT_CONNECTED
        if connection.silent:
            self._lose("the subscription fell silent")
            return NOT_CONNECTED
        answer = await self._requests.ask("read", connection.read())
        if isinstance(answer, Failed):
            return answer
        self._polled_s = monotonic()
        return None

    def freeze(self, tick: Tick) -> Snapshot:
        """Return the image of this instant; waits for nothing."""
        now = monotonic()
        references = self._wanted.references
        self._frozen = self._image.measurements()
        return Snapshot(
            plant_time_s=self._image.plant_time_s(
                tick.started_s, has_clock=PLANT_TIME in references
            ),
            monotonic_s=now,
            utc=datetime.now(UTC),
            connected=self.connected,
            measurements=self._frozen,
            heartbeat_age_s=self._image.heartbeat_age_s(now) if HEARTBEAT in references else None,
            session=self._sessions,
            server_time=self._image.server_time(now),
        )

    async def write(self, move: Move) -> WriteOutcome:
        """Write the targets, then Request, in one request; see `Outbound.write`.

        The move was made from the snapshot that was frozen last.
        """
        if not self.connected:
            return NotWritten(reason=NotWrittenReason.DISCONNECTED)
        return await self._outbound.write(move, self._frozen)

    async def beat(self, diagnostics: Mapping[str, float], *, alive: bool) -> Failed | None:
        """Renew the lease when due; write heartbeat (if alive) and diagnostics.

        While a release is due it is tried again, and the heart stands still.
        """
        if not self.connected:
            return None
        lease = await self._outbound.keep_lease()
        owed = await self._outbound.settle(self._image.measurements())
        alive = alive and not self.release_due
        failure = await self._outbound.beat(diagnostics, alive=alive) or lease or owed
        status = "" if failure is None else f"{failure.service} {failure.status}"
        if status != self._beat_status:
            self._beat_status = status
            if failure is None:
                self._log.info("beat_succeeds_again")
            else:
                self._log.warning(
                    "beat_failed",
                    service=failure.service,
                    status=failure.status,
                    reason=failure.detail,
                )
        return failure

    async def shed(self, reason: str) -> Failed | None:
        """Hand the MVs back to the DCS; see `Outbound.shed`."""
        if not self.connected:
            return NOT_CONNECTED
        return await self._outbound.shed(reason, self._image.measurements())


def _report(task: asyncio.Task[None], on_fault: Callable[[BaseException], None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        on_fault(error)
