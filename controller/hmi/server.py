"""`trimtab hmi`: the web server, from its socket to an orderly end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from controller.announcer import Announcer
from controller.configuration.file_mode import refuse_open
from controller.errors import ConfigError
from controller.hmi.app import build
from controller.hmi.connections import LONGEST_HEADER, Connection
from controller.hmi.context import Context, cookie_name
from controller.hmi.history import History
from controller.hmi.hub import Hub
from controller.hmi.listening import Server, connections_room, listen
from controller.hmi.logins import Logins
from controller.hmi.questions import JOURNAL_AT_ONCE, PLANT_AT_ONCE, Questions
from controller.hmi.watch import Station
from controller.logs import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.hmi.fleet import Unit
    from controller.hmi.settings import HmiSettings
    from controller.hmi.web_settings import WebSettings

ALIVE_S = 1.0
GRACE_S = 3
EXIT_FAULT = 1


async def serve(settings: HmiSettings, units: Mapping[str, Unit], ready: Path | None) -> int:
    """Serve until SIGINT or SIGTERM; the exit code.  Raises ConfigError."""
    web = settings.web
    listening = listen(web, connections_room(settings))
    port = listening.getsockname()[1]
    hub = Hub(settings.viewers, settings.viewers_per_address if web.tells_apart else None)
    station = Station(dict(units), hub)
    logins = Logins(units, settings.login)
    context = Context(
        settings=settings,
        hub=hub,
        station=station,
        logins=logins,
        cookie=cookie_name(port, secure=web.secure_cookies),
        histories={name: History(w.unit, w.line) for name, w in station.watches.items()},
        trends=Questions(1, tells_apart=web.tells_apart),
        journals=Questions(JOURNAL_AT_ONCE, tells_apart=web.tells_apart),
        plants=Questions(PLANT_AT_ONCE, tells_apart=web.tells_apart),
    )
    server = Server(_config(context, web))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    work = [
        asyncio.create_task(station.run(), name="station"),
        asyncio.create_task(logins.sweep(), name="logins"),
        asyncio.create_task(server.serve([listening]), name="web"),
    ]
    url = _url(web, port)
    try:
        await _until_started(server, work)
        return await _announce_and_wait(url, ready, stop, work)
    finally:
        hub.close()
        server.should_exit = True
        await asyncio.wait([work[2]], timeout=GRACE_S + 2.0)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        _withdraw(ready)


async def _until_started(server: Server, work: list[asyncio.Task[Any]]) -> None:
    while not server.started and not any(task.done() for task in work):  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.02)


async def _announce_and_wait(
    url: str, ready: Path | None, stop: asyncio.Event, work: list[asyncio.Task[Any]]
) -> int:
    """Say that it serves, feed the watchdog, and wait for the end."""
    log, announcer = logger("hmi"), Announcer()
    log.info("serving", url=url)
    if ready is not None:
        write_ready(ready, url)
    announcer.ready()
    sys.stdout.write(f"trimtab hmi ready: {url}\n")
    sys.stdout.flush()
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set() and not any(task.done() for task in work):
            announcer.alive()
            await asyncio.wait(
                {stopping, *work}, timeout=ALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
    finally:
        announcer.stopping()
        announcer.close()
        stopping.cancel()
    for task in work:
        if task.done() and not stop.is_set():
            error = task.exception()
            log.error("fault", task=task.get_name(), exc_info=error)
            return EXIT_FAULT
    log.info("stopped")
    return 0


def _config(context: Context, web: WebSettings) -> uvicorn.Config:
    return uvicorn.Config(
        build(context),
        http=Connection,
        ws="none",
        lifespan="off",
        loop="asyncio",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=LONGEST_HEADER,
        ssl_certfile=web.tls_certificate,
        ssl_keyfile=web.tls_key,
    )


def check_tls(web: WebSettings) -> None:
    """Read certificate and key once, before anything is opened.  Raises ConfigError."""
    if web.tls_certificate is None or web.tls_key is None:
        return
    try:
        mode = stat.S_IMODE(web.tls_key.stat().st_mode)
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            web.tls_certificate, web.tls_key
        )
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            file=web.tls_certificate, key="web.tls_certificate", received=str(error),
            allowed="a certificate and its key, two PEM files, the key without a passphrase",
            action="correct the two paths",
        ) from None  # fmt: skip
    refuse_open(web.tls_key, mode, key="web.tls_key")


def _url(web: WebSettings, port: int) -> str:
    host = f"[{web.host}]" if ":" in web.host else web.host
    return f"{'https' if web.encrypted else 'http'}://{host}:{port}"


def _withdraw(ready: Path | None) -> None:
    """Remove the ready file: nobody serves any more."""
    if ready is not None:
        ready.unlink(missing_ok=True)


def write_ready(path: Path, url: str) -> None:
    """Write {"url", "pid"} whole or not at all.  Raises ConfigError."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
        Path(name).replace(path)
    except OSError as error:
        raise ConfigError(
            file=path, key="--ready-file", received=error.strerror or str(error),
            allowed="a path in a folder that exists and is yours", action="give another path",
        ) from None  # fmt: skip
