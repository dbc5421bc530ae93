"""The process around the server: signals, ready file, systemd, clean end."""

import asyncio
import gc
import json
import os
import signal
import tempfile
from pathlib import Path

import sdnotify
import structlog

from plant_sim.errors import ConfigurationError
from plant_sim.opcua.server import PlantServer
from plant_sim.opcua.users import load_users
from plant_sim.settings import PlantSettings
from plant_sim.trend import TrendFile
from plant_sim.unit.handshake import Handshake, ShedOption
from plant_sim.unit.reactor_unit import ReactorUnit

WATCHDOG_PERIOD_S = 1.0
_log = structlog.get_logger("plant_sim.serve")


async def serve(settings: PlantSettings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises ConfigurationError, or PlantRefusedError from the server, before anything is announced.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ready = Path(settings.files.ready) if settings.files.ready else None
    if ready is not None:
        _remove(ready)  # one left by a killed process must not be taken for ours
    trend = _open_trend(settings.files.trend)
    try:
        server = _make_server(settings, trend)
        await server.start()
        try:
            await _announce_and_wait(server, ready, stop)
        finally:
            await server.stop()
    finally:
        if trend is not None:
            trend.close()
        if ready is not None:
            _remove(ready)
    _log.info("stopped")


def _make_server(settings: PlantSettings, trend: TrendFile | None) -> PlantServer:
    if not settings.files.credentials:
        raise ConfigurationError(
            "files.credentials: missing; give the credentials file with --credentials FILE "
            "(it is made, mode 0600, with random passwords where it does not exist)"
        )
    users = load_users(Path(settings.files.credentials))
    simulation = settings.simulation
    unit = ReactorUnit(
        scenario=simulation.scenario,
        seed=simulation.seed,
        options=simulation.options(),
        hand=Handshake(
            heartbeat_timeout_s=settings.handshake.heartbeat_timeout_s,
            shed_option=ShedOption[settings.handshake.shed_option],
        ),
        speed=simulation.speed,
        paused=simulation.paused,
        trend=trend,
    )
    return PlantServer(
        unit,
        users,
        host=settings.server.host,
        port=settings.server.port,
        tick_s=settings.server.tick_s,
        trend=trend,
    )


async def _announce_and_wait(server: PlantServer, ready: Path | None, stop: asyncio.Event) -> None:
    gc.freeze()  # a full collection over asyncua's nodes takes 10 ms: leave them out of it for good
    gc.enable()
    notify = sdnotify.SystemdNotifier().notify if "NOTIFY_SOCKET" in os.environ else _nobody
    _log.info(
        "ready",
        endpoint=server.endpoint,
        security="policy None: nothing is encrypted, loopback only",
        speed=server.unit.speed,
        scenario=server.unit.plant.scenario.name,
    )
    if ready is not None:
        _write_ready(ready, server.endpoint)
    notify("READY=1")
    clock = asyncio.create_task(server.wait())
    try:
        while not stop.is_set() and not clock.done():
            notify("WATCHDOG=1")
            await _either(stop, clock, WATCHDOG_PERIOD_S)
    finally:
        notify("STOPPING=1")
        clock.cancel()
    if clock.done() and not clock.cancelled():
        clock.result()


def _nobody(state: str) -> None:
    """Not started by systemd: nobody listens."""


async def _either(stop: asyncio.Event, clock: "asyncio.Task[None]", timeout_s: float) -> None:
    """Wait for the signal, for the clock to end, or for the time."""
    signalled = asyncio.create_task(stop.wait())
    await asyncio.wait({signalled, clock}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()


def _open_trend(name: str) -> TrendFile | None:
    if not name:
        return None
    try:
        return TrendFile(Path(name))
    except OSError as error:
        raise ConfigurationError(
            f"files.trend = {name!r}: cannot be written ({error.strerror}); "
            "give a path in a directory that exists and is yours"
        ) from None


def _write_ready(path: Path, endpoint: str) -> None:
    """Write the ready file whole or not at all."""
    content = json.dumps({"endpoint": endpoint, "pid": os.getpid()})
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content + "\n")
        Path(name).replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"files.ready = {str(path)!r}: cannot be written ({error.strerror}); "
            "give a path in a directory that exists and is yours"
        ) from None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"files.ready = {str(path)!r}: cannot be replaced ({error.strerror}); give another path"
        ) from None
