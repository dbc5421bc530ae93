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
from plant_sim.opcua.pki import open_pki
from plant_sim.opcua.server import APPLICATION_URI, PlantServer
from plant_sim.opcua.users import RoleUsers, load_users
from plant_sim.settings import FileSettings, PlantSettings
from plant_sim.trend import TrendFile, may_begin
from plant_sim.unit.handshake import Handshake, ShedOption
from plant_sim.unit.reactor_unit import ReactorUnit

WATCHDOG_PERIOD_S = 1.0
READY_BYTES = 10_000
"""A longer file is no ready file."""
_log = structlog.get_logger("plant_sim.serve")


async def serve(settings: PlantSettings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises ConfigurationError, or PlantRefusedError from the server, before anything is announced.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    _refuse_shared_files(settings.files)
    users = _load_users(settings.files.credentials)
    ready = Path(settings.files.ready) if settings.files.ready else None
    if ready is not None:
        _remove(ready)  # one left by a killed process must not be taken for ours
    trend = _open_trend(settings.files.trend)
    try:
        server = _make_server(settings, users, trend)
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


def _refuse_shared_files(files: FileSettings) -> None:
    """Raise ConfigurationError where two of the files are one: one would destroy the other."""
    seen: dict[Path, str] = {}
    for key, name in files.model_dump().items():
        if not name:
            continue
        other = seen.setdefault(Path(name).resolve(), key)
        if other != key:
            raise ConfigurationError(
                f"files.{key} = {name!r}: the same file as files.{other}; give each its own path"
            )


def _load_users(name: str) -> RoleUsers:
    if not name:
        raise ConfigurationError(
            "files.credentials: missing; give the credentials file with --credentials FILE "
            "(it is made, mode 0600, with random passwords where it does not exist)"
        )
    return load_users(Path(name))


def _make_server(settings: PlantSettings, users: RoleUsers, trend: TrendFile | None) -> PlantServer:
    simulation, security = settings.simulation, settings.security
    pki = None if security.insecure else open_pki(Path(security.pki), APPLICATION_URI)
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
        pki=pki,
        trend=trend,
    )


async def _announce_and_wait(server: PlantServer, ready: Path | None, stop: asyncio.Event) -> None:
    gc.freeze()  # a full collection over asyncua's nodes takes 10 ms: leave them out of it for good
    gc.enable()
    notify = sdnotify.SystemdNotifier().notify if "NOTIFY_SOCKET" in os.environ else _nobody
    _log.info(
        "ready",
        endpoint=server.endpoint,
        security=server.security,
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
        if not may_begin(Path(name)):
            raise ConfigurationError(
                f"files.trend = {name!r}: refused, what is there is not a trend file and would be "
                "lost; give another path, or remove it"
            )
        return TrendFile(Path(name))
    except OSError as error:
        raise ConfigurationError(
            f"files.trend = {name!r}: cannot be written ({error.strerror}); "
            "give a path in a directory that exists and is yours"
        ) from None


def _write_ready(path: Path, endpoint: str) -> None:
    """Write the ready file whole or not at all, and never over a file of another kind."""
    _refuse_no_ready_file(path)
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
    """Remove a ready file; raises ConfigurationError for any other."""
    _refuse_no_ready_file(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"files.ready = {str(path)!r}: cannot be replaced ({error.strerror}); give another path"
        ) from None


def _refuse_no_ready_file(path: Path) -> None:
    """Raise ConfigurationError where something else than a ready file stands."""
    if path.exists() and not _is_ready_file(path):
        raise ConfigurationError(
            f"files.ready = {str(path)!r}: refused, what is there is not a ready file and would be "
            "lost; give another path, or remove it"
        )


def _is_ready_file(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > READY_BYTES:
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and set(content) == {"endpoint", "pid"}
