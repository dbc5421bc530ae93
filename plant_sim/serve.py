"""The process around the server: signals, ready file, systemd, clean end."""

import asyncio
import gc
import json
import os
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

import structlog

from plant_sim.announcer import Announcer
from plant_sim.compiled import compilation
from plant_sim.errors import ConfigurationError
from plant_sim.history import HistoryStore
from plant_sim.opcua.area import PlantArea
from plant_sim.opcua.history_recorder import HistoryRecorder
from plant_sim.opcua.pki import open_pki
from plant_sim.opcua.server import APPLICATION_URI, PlantServer
from plant_sim.opcua.standard_nodes import StandardNodes
from plant_sim.opcua.trend_recorder import TrendRecorder
from plant_sim.opcua.users import RoleUsers, load_users
from plant_sim.settings import UINT32_MAX, FileSettings, HistorySettings, PlantSettings
from plant_sim.trend import TrendFile, may_begin
from plant_sim.unit.handshake import Handshake, ShedOption
from plant_sim.unit.reactor_unit import ReactorUnit

WATCHDOG_PERIOD_S = 1.0
STUCK_S = 5.0
"""A clock that has not gone round for so long no longer feeds the watchdog [wall s]."""
LAST_PORT = 65535
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
    files = settings.files
    _refuse_shared_files(files, settings.units.count, settings.history.file)
    _refuse_ports_past_the_last(settings)
    users = _load_users(files.credentials)
    ready = Path(files.ready) if files.ready else None
    if ready is not None:
        _remove(ready)  # one left by a killed process must not be taken for ours
    with ExitStack() as closing:
        if ready is not None:
            closing.callback(_remove, ready)
        area = _make_area(settings, users, closing)
        await area.start()
        try:
            await _announce_and_wait(area, ready, stop)
        finally:
            await area.stop()
    _log.info("stopped")


def _refuse_shared_files(files: FileSettings, count: int = 1, history: str = "") -> None:
    """Raise ConfigurationError where two of the files are one: one would destroy the other."""
    named = [("files.credentials", files.credentials), ("files.ready", files.ready)]
    named += [("files.trend", name) for name in unit_names(files.trend, count)]
    named += [("history.file", name) for name in unit_names(history, count)]
    seen: dict[Path, str] = {}
    for key, name in named:
        if not name:
            continue
        other = seen.setdefault(Path(name).resolve(), key)
        if other != key:
            raise ConfigurationError(
                f"{key} = {name!r}: the same file as {other}; give each its own path"
            )


def unit_names(name: str, count: int) -> list[str]:
    """A file for each unit: `trend.csv` itself, of several `trend-1.csv`, `trend-2.csv`."""
    if not name or count == 1:
        return [name] * count
    path = Path(name)
    return [
        str(path.with_name(f"{path.stem}-{number}{path.suffix}")) for number in range(1, count + 1)
    ]


def _refuse_ports_past_the_last(settings: PlantSettings) -> None:
    port, count = settings.server.port, settings.units.count
    if port and port + count - 1 > LAST_PORT:
        raise ConfigurationError(
            f"server.port = {port}: {count} units need {count} ports from here on, and there is "
            f"none above {LAST_PORT}; choose a lower one, or 0 for free ones"
        )


def _load_users(name: str) -> RoleUsers:
    if not name:
        raise ConfigurationError(
            "files.credentials: missing; give the credentials file with --credentials FILE "
            "(it is made, mode 0600, with random passwords where it does not exist)"
        )
    return load_users(Path(name))


def _make_area(settings: PlantSettings, users: RoleUsers, closing: ExitStack) -> PlantArea:
    """Every unit behind a server of its own; `closing` closes their trends and histories."""
    count = settings.units.count
    several = count > 1
    standard = StandardNodes() if several else None
    security = settings.security
    pki = None if security.insecure else open_pki(Path(security.pki), APPLICATION_URI)
    servers = []
    trends = unit_names(settings.files.trend, count)
    histories = unit_names(settings.history.file, count)
    for index, (trend_name, history_name) in enumerate(zip(trends, histories, strict=True)):
        trend = _open_trend(trend_name)
        if trend is not None:
            closing.callback(trend.close)
        number = index + 1 if several else None
        history = _open_history(settings.history, history_name, number)
        closing.callback(history.close)
        server = PlantServer(
            _make_unit(settings, index, trend),
            users,
            host=settings.server.host,
            port=settings.server.port + index if settings.server.port else 0,
            pki=pki,
            history=history,
            trend=trend,
            standard=standard,
            number=number,
        )
        servers.append(server)
    return PlantArea(servers, tick_s=settings.server.tick_s)


def _make_unit(settings: PlantSettings, index: int, trend: TrendRecorder | None) -> ReactorUnit:
    simulation = settings.simulation
    return ReactorUnit(
        scenario=simulation.scenario,
        seed=(simulation.seed + index) % (UINT32_MAX + 1),
        options=simulation.options(),
        hand=Handshake(
            heartbeat_timeout_s=settings.handshake.heartbeat_timeout_s,
            shed_option=ShedOption[settings.handshake.shed_option],
        ),
        speed=simulation.speed,
        paused=simulation.paused,
        trend=trend,
    )


def _report_kernels() -> None:
    """Say what the compiled kernels cost this start, and warn where every start will pay again."""
    found = compilation()
    _log.info(
        "kernels",
        cached=found.cached,
        compiled=found.compiled,
        seconds=round(found.seconds, 3),
        cache=str(found.directory) if found.directory else None,
    )
    if found.directory is None:
        _log.warning(
            "no cache for the kernels: every start compiles them anew",
            do="set NUMBA_CACHE_DIR to a folder that this user may write",
        )


async def _announce_and_wait(area: PlantArea, ready: Path | None, stop: asyncio.Event) -> None:
    gc.freeze()  # a full collection over asyncua's nodes takes 10 ms: leave them out of it for good
    gc.enable()
    manager = Announcer()
    _report_kernels()
    endpoints = area.endpoints
    unit = area.servers[0].unit
    _log.info(
        "ready",
        endpoint=endpoints[0],
        **({"endpoints": endpoints} if len(endpoints) > 1 else {}),
        security=area.servers[0].security,
        speed=unit.speed,
        scenario=unit.plant.scenario.name,
    )
    if ready is not None:
        _write_ready(ready, *endpoints)
    clock = asyncio.create_task(area.wait())
    try:
        while not stop.is_set() and not clock.done():
            manager.say_news("READY")
            if area.ticked_ago_s < STUCK_S:
                manager.say("WATCHDOG")
            manager.say_news("STATUS", _status(area))
            await _either(stop, clock, WATCHDOG_PERIOD_S)
    finally:
        manager.say("STOPPING")
        clock.cancel()
    if clock.done() and not clock.cancelled():
        clock.result()


def _status(area: PlantArea) -> str:
    """A line for `systemctl status`: what is served, how fast, to how many."""
    first, sessions = area.servers[0], sum(server.sessions for server in area.servers)
    units = f"{len(area.servers)} units from " if len(area.servers) > 1 else ""
    pace = "paused" if first.unit.paused else f"speed {first.unit.speed:g}"
    return f"serving {units}{first.endpoint}, {pace}; sessions: {sessions}"


async def _either(stop: asyncio.Event, clock: "asyncio.Task[None]", timeout_s: float) -> None:
    """Wait for the signal, for the clock to end, or for the time."""
    signalled = asyncio.create_task(stop.wait())
    await asyncio.wait({signalled, clock}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()


def _open_trend(name: str) -> TrendRecorder | None:
    if not name:
        return None
    try:
        if not may_begin(Path(name)):
            raise ConfigurationError(
                f"files.trend = {name!r}: refused, what is there is not a trend file and would be "
                "lost; give another path, or remove it"
            )
        return TrendRecorder(TrendFile(Path(name)))
    except OSError as error:
        raise ConfigurationError(
            f"files.trend = {name!r}: cannot be written ({error.strerror}); "
            "give a path in a directory that exists and is yours"
        ) from None


def _open_history(settings: HistorySettings, name: str, number: int | None) -> HistoryRecorder:
    store = HistoryStore(
        Path(name) if name else None,
        retention_s=settings.retention_h * 3600.0,
        max_values=settings.max_values,
    )
    return HistoryRecorder(store, interval_s=settings.interval_s, number=number)


def _write_ready(path: Path, *endpoints: str) -> None:
    """Write the ready file whole or not at all, and never over a file of another kind.

    endpoints: of every unit; several are all listed beside the first.
    """
    _refuse_no_ready_file(path)
    several = {"endpoints": endpoints} if len(endpoints) > 1 else {}
    content = json.dumps({"endpoint": endpoints[0], **several, "pid": os.getpid()})
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
    return isinstance(content, dict) and set(content) - {"endpoints"} == {"endpoint", "pid"}
