"""One unit as an OPC UA server: publishing, methods, start and stop.

Everything runs in one event loop: a tick moves the plant (about a millisecond), reads the
instruments, settles the hand-shake and publishes what changed. Writes and calls settle and publish
at once. The clock is in `area.py`.
"""

import asyncio
import contextlib
import ipaddress
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import structlog
from asyncua import ua

from plant_sim.errors import ConfigurationError, PlantRefusedError
from plant_sim.opcua.address_space import AddressSpace
from plant_sim.opcua.conditions import Conditions
from plant_sim.opcua.diagnostics import Diagnostics
from plant_sim.opcua.history_recorder import HistoryRecorder
from plant_sim.opcua.internal_server import PlantInternalServer
from plant_sim.opcua.limits import publish_limits
from plant_sim.opcua.pki import Pki
from plant_sim.opcua.sessions import Outcome
from plant_sim.opcua.standard_nodes import StandardNodes
from plant_sim.opcua.transport import PlantUaServer
from plant_sim.opcua.trend_recorder import TrendRecorder
from plant_sim.opcua.users import RoleUsers
from plant_sim.unit import handshake
from plant_sim.unit.faults import Reading
from plant_sim.unit.reactor_unit import ReactorUnit, Refusal
from plant_sim.unit.tag_image import tag_image
from plant_sim.unit.tags import Method, Role, Tag
from plant_sim.unit.writes import Value, apply_write

APPLICATION_URI = "urn:trimtab:softplant:server"
SERVER_NAME = "trimtab soft plant"
PRODUCT_URI = "urn:trimtab:softplant:product"
UINT32 = 2**32
FLUSH_PERIOD_S = 1.0

SECURE = [
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
]

_log = structlog.get_logger("plant_sim.opcua.server")


def loopback(host: str) -> str:
    """The address to bind in clear; raises ConfigurationError unless it is a loopback one."""
    if host == "localhost":
        return "127.0.0.1"
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return host
    raise ConfigurationError(
        f"server.host = {host!r}: refused with --insecure, passwords and setpoints would cross the "
        "network in clear; allowed: 127.0.0.0/8, ::1, localhost; leave --insecure out to be "
        "served encrypted"
    )


class PlantServer:
    """One unit behind one OPC UA endpoint."""

    def __init__(
        self,
        unit: ReactorUnit,
        users: RoleUsers,
        *,
        host: str,
        port: int,
        pki: Pki | None = None,
        history: HistoryRecorder,
        trend: TrendRecorder | None = None,
        standard: StandardNodes | None = None,
        number: int | None = None,
    ) -> None:
        """Take the parts together.

        pki: certificates; None: nothing is encrypted, and ConfigurationError is raised for a host
        that is not loopback.  history, trend: of this unit; the caller closes them.  standard: the
        nodes that servers of one process share.  number: of this unit, where there are several; it
        is in every line logged here.
        """
        self.unit = unit
        self.nodes: AddressSpace
        self.conditions: Conditions
        self.history = history
        self.endpoint = ""
        self._host = loopback(host) if pki is None else host
        self._port = port
        self._trend = trend
        self._log = _log if number is None else _log.bind(unit=number)
        self._heartbeat = 0
        self._flushed_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen = unit.hand
        self._core = PlantInternalServer(users, pki, standard)
        self._core.desk = self
        self._diagnostics = Diagnostics(self._core)
        self._server = PlantUaServer(
            iserver=self._core, name=SERVER_NAME, admit=None if pki is None else pki.admit
        )

    @property
    def security(self) -> str:
        """What protects the line, in words for the log."""
        if not self._core.encrypted:
            return "policy None: nothing is encrypted, loopback only"
        return "sign and encrypt: Aes256Sha256RsaPss, Basic256Sha256"

    async def start(self) -> None:
        """Build the nodes and listen; raises PlantRefusedError where the port cannot be had.

        The plant then belongs to the thread of this event loop.
        """
        self._loop = asyncio.get_running_loop()
        server = self._server
        host = f"[{self._host}]" if ":" in self._host else self._host
        server.set_endpoint(f"opc.tcp://{host}:{self._port}")
        server.product_uri = PRODUCT_URI
        clear = [ua.SecurityPolicyType.NoSecurity]
        server.set_security_policy(SECURE if self._core.encrypted else clear)
        await server.init()
        await publish_limits(server)
        await server.set_application_uri(APPLICATION_URI)
        release = version("trimtab")
        await server.set_build_info(
            PRODUCT_URI, "trimtab", SERVER_NAME, release, release, datetime.now(UTC)
        )
        self.nodes = await AddressSpace.build(server)
        self.conditions = await Conditions.build(server, self.unit, self.nodes.index, self._log)
        await self.show()
        await self._show_health()
        try:
            await server.start()
        except OSError as error:
            raise PlantRefusedError(
                f"cannot listen on {self._host}:{self._port} ({error.strerror or error}); "
                "stop the other program, or choose another port with --port (0 picks a free one)"
            ) from None
        self.endpoint = self._announce(host)

    async def stop(self) -> None:
        """Close the port, then every session and connection.

        In this order: a controller whose session ends is back at once, and its new connection would
        keep the server from ending.
        """
        self._server.stop_listening()
        await self._core.close_sessions()
        await self._stop_server_clock()
        await self._server.stop()

    def write(self, tag: Tag, value: Value, session: str) -> Refusal | None:
        """Let a checked value take effect; raises RuntimeError in another thread."""
        self._refuse_other_threads()
        return apply_write(self.unit, tag.path, value, session, time.monotonic())

    def call(self, method: Method, arguments: Sequence[Value], session: str, role: Role) -> Outcome:
        """Run a method with checked arguments; raises RuntimeError in another thread."""
        self._refuse_other_threads()
        given: Any = arguments
        match method.path:
            case "APC/TakeLease":
                return self._take_lease(session, *given)
            case "APC/ReleaseLease":
                if not handshake.owns(self.unit.hand, session):
                    return Refusal.ACCESS_DENIED
                self.unit.hand = handshake.release_lease(self.unit.hand, session)
            case "APC/Shed":
                if role is Role.APC and not handshake.owns(self.unit.hand, session):
                    return Refusal.ACCESS_DENIED
                self.unit.hand = handshake.shed(self.unit.hand, f"{role}: {given[0]}")
            case "APC/Acknowledge":
                self.unit.hand = handshake.acknowledge(self.unit.hand)
            case _:
                return self._call_simulation(method, given)
        return ()

    def session_closed(self, session: str) -> None:
        """End the lease of a session that is gone; the next tick publishes it."""
        self.unit.hand = handshake.release_lease(self.unit.hand, session)

    async def show(self) -> None:
        """Settle the unit and publish what changed; raises RuntimeError in another thread."""
        self._refuse_other_threads()
        now_s = time.monotonic()
        utc = datetime.now(UTC)
        self.unit.settle(now_s)
        self._log_transitions()
        image = tag_image(self.unit, self._heartbeat, now_s, utc)
        await self.nodes.publish(image, utc, self.history)
        await self.conditions.publish(utc)

    def _refuse_other_threads(self) -> None:
        """Raise RuntimeError: asyncua would take a write of theirs and mix up what it sends."""
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "the plant was touched from another thread than the one that serves it; hand the "
                "work over with asyncio.run_coroutine_threadsafe"
            )

    def _take_lease(self, session: str, owner: str, ttl_s: float) -> Outcome:
        if not owner.strip():
            return Refusal.OUT_OF_RANGE  # nobody could tell who drives the plant
        now_s = time.monotonic()
        self.unit.hand, granted = handshake.take_lease(self.unit.hand, session, owner, ttl_s, now_s)
        return (ua.Variant(granted, ua.VariantType.Boolean),)

    def _call_simulation(self, method: Method, given: Any) -> Outcome:
        match method.path:
            case "Sim/Reset":
                return self._reset(*given)
            case "Sim/Step":
                if not self.unit.paused or self.unit.failure:
                    return Refusal.INVALID_STATE
                self.unit.advance(given[0], time.monotonic())
            case "Sim/InjectFault":
                refusal = self.unit.inject(*given)
                if refusal is not None:
                    return refusal
                self._log.info("fault injected", tag=given[0], kind=given[1], duration_s=given[3])
            case "Sim/Snapshot":
                return (ua.Variant(self._snapshot(), ua.VariantType.String),)
        return ()

    def _reset(self, scenario: str, seed: int) -> Outcome:
        try:
            self.unit.reset(scenario, seed)
        except ValueError:
            return Refusal.OUT_OF_RANGE
        self._flush_trend()
        self._log.info("reset", episode=self.unit.episode, scenario=scenario, seed=seed)
        return ()

    def _snapshot(self) -> str:
        utc = datetime.now(UTC)
        image = tag_image(self.unit, self._heartbeat, time.monotonic(), utc)
        plain = {
            path: asdict(shown) if isinstance(shown, Reading) else shown
            for path, shown in image.items()
        }
        document = {"utc": utc, "episode": self.unit.episode, "tags": plain}
        return json.dumps(document, default=str)

    async def tick(self, seconds: float) -> None:
        """Move plant time on by `seconds`, publish, and keep house."""
        unit = self.unit
        now_s = time.monotonic()
        if not unit.paused:
            unit.advance(seconds, now_s)
            if unit.failure:
                self._log.error("simulation stopped; Sim.Reset starts it again", error=unit.failure)
        self._heartbeat = (self._heartbeat + 1) % UINT32
        await self.show()
        if self._server.bserver is not None:
            await self._core.close_waiting(now_s, self._server.bserver.clients)
        if now_s - self._flushed_s >= FLUSH_PERIOD_S:
            self._flushed_s = now_s
            self._flush_trend()
            self.history.flush()
            await self._show_health()

    async def _show_health(self) -> None:
        failed, degraded = bool(self.unit.failure), bool(self.history.failure)
        await self._diagnostics.publish(failed=failed, degraded=degraded)

    def _flush_trend(self) -> None:
        if self._trend is None:
            return
        self._trend.flush()
        if self._trend.failure:
            self._log.error(
                "trend file given up", path=str(self._trend.path), error=self._trend.failure
            )
            self._trend = None

    def _log_transitions(self) -> None:
        before, after = self._seen, self.unit.hand
        self._seen = after
        if after.latched and not before.latched:
            self._log.warning("shed", reason=after.shed_reason, plant_time_s=self.unit.plant.time_s)
        elif after.active != before.active:
            self._log.info("apc active" if after.active else "apc released")
        if after.mode is not before.mode:
            self._log.info("apc mode", mode=after.mode.name)
        if (after.lease is None) != (before.lease is None):
            self._log.info("lease", owner=after.lease.owner if after.lease else None)

    def _announce(self, host: str) -> str:
        """Put the port that was really bound into the endpoint descriptions."""
        bound = self._server.bserver
        port = bound.port if bound is not None else self._port
        if self._host in ("0.0.0.0", "::"):  # noqa: S104  (every interface is no name to call)
            host = socket.gethostname()
        url = f"opc.tcp://{host}:{port}"
        self._server.set_endpoint(url)
        for endpoint in self._core.endpoints:
            endpoint.EndpointUrl = url
            endpoint.Server.DiscoveryUrls = [url]
        return url

    async def _stop_server_clock(self) -> None:
        """End asyncua's one-second clock now; its own stop waits for the second to pass."""
        task, self._core.time_task = self._core.time_task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
