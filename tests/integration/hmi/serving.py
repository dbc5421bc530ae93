"""A server of pages without units, in this process, so that its limits can be made short."""

import asyncio
import ssl
from contextlib import asynccontextmanager

from controller.hmi.context import Context, cookie_name
from controller.hmi.hub import Hub
from controller.hmi.listening import Server, connections_room, listen
from controller.hmi.logins import Logins
from controller.hmi.questions import Questions
from controller.hmi.server import _config
from controller.hmi.settings import HmiSettings, LoginSettings, UnitSettings
from controller.hmi.watch import Station
from controller.hmi.web_settings import WebSettings

HEAD, CLOSE = "Host: 127.0.0.1\r\n", "Connection: close\r\n"


class Running:
    """What runs.  room: of its connections."""

    def __init__(self, hub, server, port, room) -> None:
        self.hub, self.server, self.port, self.room = hub, server, port, room

    @asynccontextmanager
    async def connection(self, limit=2**16, **options):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=limit, **options
        )
        try:
            yield reader, writer
        finally:
            writer.close()

    async def ask(self, text: str, **options) -> str:
        async with self.connection(**options) as (reader, writer):
            writer.write(text.encode())
            return (await asyncio.wait_for(reader.read(), 10)).decode()

    async def get(self, path: str, headers: str = "", **options) -> str:
        return await self.ask(f"GET {path} HTTP/1.1\r\n{HEAD}{CLOSE}{headers}\r\n", **options)

    @asynccontextmanager
    async def viewer(self, headers: str = ""):
        """A viewer; the first line of the answer."""
        async with self.connection() as (reader, writer):
            writer.write(f"GET /api/stream HTTP/1.1\r\n{HEAD}{headers}\r\n".encode())
            yield (await asyncio.wait_for(reader.readline(), 5)).decode()

    @property
    def open(self) -> int:
        return len(self.server.server_state.connections)

    async def ended(self) -> None:
        async with asyncio.timeout(5):
            while self.open:  # noqa: ASYNC110 - uvicorn's set has no event
                await asyncio.sleep(0.02)

    async def empty(self) -> None:
        async with asyncio.timeout(5):
            while self.room.count:  # noqa: ASYNC110 - a room has no event
                await asyncio.sleep(0.02)

    async def watched(self, viewers: int) -> None:
        async with asyncio.timeout(5):
            while self.hub.viewers != viewers:  # noqa: ASYNC110 - a hub has no event
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(room=None, viewers=2, viewers_per_address=16, **web):
    """A server on a free port.  room: for connections.  web: of [web]."""
    settings = HmiSettings(
        web=WebSettings(port=0, **web),
        viewers=viewers,
        viewers_per_address=viewers_per_address,
        units=[UnitSettings(config="unused.toml")],
    )
    web = settings.web
    hub = Hub(viewers, viewers_per_address if web.tells_apart else None)
    room = connections_room(settings) if room is None else room
    listening = listen(web, room)
    port = listening.getsockname()[1]
    made = Context(
        settings=settings,
        hub=hub,
        station=Station({}, hub),
        logins=Logins({}, LoginSettings()),
        cookie=cookie_name(port, secure=web.secure_cookies),
        histories={},
        trends=Questions(1, tells_apart=web.tells_apart),
        journals=Questions(2, tells_apart=web.tells_apart),
        plants=Questions(1, tells_apart=web.tells_apart),
    )
    server = Server(_config(made, web))
    task = asyncio.create_task(server.serve([listening]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.01)
    try:
        yield Running(hub, server, port, room)
    finally:
        hub.close()
        server.should_exit = True
        await task


def trusting(certificate) -> ssl.SSLContext:
    """What a browser needs to trust a server's own certificate."""
    return ssl.create_default_context(cafile=str(certificate))
