"""The HMI as a user starts it: three real processes, and browsers of httpx."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.controllers import Controller
from tests.support.processes import Process
from tests.support.soft_plant import Plant
from tests.support.waiting import until

PERIOD_S = 0.5
HEARTBEAT_S = 3.0
RUN = "from controller.cli import main; main()"
HMI = """
viewers = {viewers}
[web]
port = 0
{web}
[login]
attempts = {attempts}
idle_s = {idle_s}
window_s = 60.0
[[units]]
name = "R101"
title = "Reactor <R101>"
config = "controller.toml"
"""


class Browser:
    """One browser: its cookie, and the token of the page it has loaded."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.csrf = ""

    async def json(self, path: str, **query):
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    async def unit(self):
        return await self.json("/api/units/R101")

    async def load(self) -> dict:
        session = await self.json("/api/session")
        self.csrf = session["csrf"]
        return session

    async def post(self, path: str, body=None, **headers) -> httpx.Response:
        sent = {"X-CSRF-Token": self.csrf, **headers}
        return await self.client.post(path, json=body, headers=sent)

    async def login(self, user: str, password: str) -> httpx.Response:
        await self.load()
        answer = await self.post("/api/login", {"user": user, "password": password})
        if answer.status_code == 200:
            self.csrf = answer.json()["csrf"]
        return answer

    async def ask(self, **action) -> httpx.Response:
        return await self.post("/api/units/R101/actions", action)

    async def act(self, **action) -> str:
        """Both steps; what was done."""
        asked = await self.ask(**action)
        assert asked.status_code == 200, asked.text
        done = await self.post(f"/api/actions/{asked.json()['token']}")
        assert done.status_code == 200, done.text
        return done.json()["text"]

    @asynccontextmanager
    async def stream(self, **query):
        """Events as (name, document) of the stream."""
        async with self.client.stream("GET", "/api/stream", params=query, timeout=20) as answer:
            assert answer.status_code == 200, await answer.aread()
            yield events(answer)


async def events(answer):
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


class Hmi:
    """One `trimtab hmi`."""

    def __init__(self, folder: Path, plant: Plant) -> None:
        self.folder, self.plant = folder, plant
        self.log = folder / "hmi.log"
        self.ready = folder / "hmi.ready"
        self.process = None
        self.url = ""

    async def start(self, *, web="", more="", viewers=6, attempts=3, idle_s=600.0) -> None:
        settings = self.folder / "hmi.toml"
        known = {"web": web, "viewers": viewers, "attempts": attempts, "idle_s": idle_s}
        settings.write_text(HMI.format(**known) + more)
        os.environ["TRIMTAB_HMI_PASSWORD"] = self.plant.password("observer")
        try:
            argv = [sys.executable, "-c", RUN, "hmi", "--hmi", str(settings)]
            argv += ["--ready-file", str(self.ready)]
            self.process = Process(argv, self.log, self.folder)
        finally:
            del os.environ["TRIMTAB_HMI_PASSWORD"]
        found = await self.process.wait_for(r"trimtab hmi ready: (\S+)")
        self.url = found.group(1)

    async def stop(self) -> int:
        return await self.process.end(signal.SIGTERM)

    @asynccontextmanager
    async def browser(self, verify=True):  # noqa: FBT002 - httpx names it so
        async with httpx.AsyncClient(base_url=self.url, timeout=20, verify=verify) as client:
            yield Browser(client)

    def audit(self) -> list[dict]:
        """What the audit log says, oldest first."""
        lines = re.findall(r"^\{.*\}$", self.log.read_text(), re.MULTILINE)
        return [entry for entry in map(json.loads, lines) if entry.get("part") == "hmi.audit"]


class World:
    """A plant, its controller, and an HMI that shows them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plant = Plant(folder)
        self.controller = Controller(folder, period_s=PERIOD_S)
        self.hmi = Hmi(folder, self.plant)

    async def start_plant(self) -> None:
        """Start it and let it run slowly enough for a busy machine."""
        await self.plant.start()
        async with self.plant.login("engineer") as engineer:
            await engineer.put("Sim/Speed", 300.0 / PERIOD_S, ua.VariantType.Double)
            await engineer.put("APC/HeartbeatTimeout", HEARTBEAT_S, ua.VariantType.Double)

    async def start(self) -> None:
        await self.start_plant()
        self.controller.configure(self.plant.url, self.plant.password("apc"))
        await asyncio.gather(self.controller.start(), self.hmi.start())

    async def controlled(self) -> None:
        """Let the controller run, whatever another test did to it."""
        if self.controller.process.popen.poll() is not None:
            await self.controller.start()

    async def stop(self) -> None:
        for part in (self.hmi, self.controller, self.plant):
            if part.process is not None and part.process.popen.poll() is None:
                part.process.kill()

    async def shown(self, browser: Browser, condition, seconds=30.0, what=""):
        """The view of the unit, once it satisfies a condition."""

        async def found():
            view = await browser.unit()
            return view if condition(view) else None

        return await until(found, seconds, what or "the view of the unit")

    @asynccontextmanager
    async def logged_in(self, user: str = "operator"):
        async with self.hmi.browser() as browser:
            answer = await browser.login(user, self.plant.password(user))
            assert answer.status_code == 200, answer.text
            yield browser
            with contextlib.suppress(httpx.TransportError):  # its HMI may have ended
                await browser.post("/api/logout")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("hmi"))
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def browser(world):
    await world.controlled()
    async with world.hmi.browser() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def operator(world):
    await world.controlled()
    async with world.logged_in() as made:
        yield made


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """(certificate, key) of 127.0.0.1, two PEM files."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    from ipaddress import ip_address

    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "hmi.crt", folder / "hmi.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    paths[1].chmod(0o600)
    return paths
