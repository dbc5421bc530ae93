"""The controller and the soft plant as two real processes, and an operator between them.

Every controller here runs with torch made unimportable.
"""

import asyncio
import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
import pytest_asyncio
from asyncua import Client, ua
from prometheus_client.parser import text_string_to_metric_families

from controller.configuration.settings import default_config_dir
from controller.journal.reader import Reader
from controller.opcua.security import ClientSecurity

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from controller.cli import main; main()"
NAMESPACE = "urn:trimtab:softplant"
SPEED = 3000.0
PERIOD_S = 0.1
START_S = 60.0
HEARTBEAT_TIMEOUT_S = 1.0
CONTROLLER = """
[server]
url = {url}
user = "apc"
password_file = "apc.password"
reconnect_max_s = 1.0
lease_ttl_s = 2.0
[security]
{security}
[scan]
period_s = {period}
[tags]
path = {tags}
[journal]
path = {journal}
[metrics]
port = 0
"""
IN_CLEAR = 'policy = "None"\ninsecure = true'
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


async def until(condition, seconds: float = 10.0, what: str = ""):
    """Wait for an async condition; its last value."""
    try:
        async with asyncio.timeout(seconds):
            while not (value := await condition()):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.02)
            return value
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what or condition}")


class Process:
    """A child process with its output in a file."""

    def __init__(self, argv: list[str], log: Path, cwd: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.popen = subprocess.Popen(
                argv,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **ONE_THREAD, "COLUMNS": "200"},
            )

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def wait_for(self, pattern: str, seconds: float = START_S) -> re.Match:
        async def found():
            if self.popen.poll() is not None:
                pytest.fail(f"ended with {self.popen.returncode}:\n{self.text()}")
            return re.search(pattern, self.text())

        return await until(found, seconds, f"{pattern} in\n{self.text()}")

    async def end(self, number: signal.Signals = signal.SIGINT, seconds: float = 20.0) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        try:
            return await asyncio.to_thread(self.popen.wait, seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            pytest.fail(f"did not end within {seconds} s of {number.name}:\n{self.text()}")

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()


class Plant:
    """One `trimtab-plant serve`; can be ended and started again at the same address."""

    def __init__(
        self,
        folder: Path,
        *,
        secure: bool = False,
        speed: float = SPEED,
        heartbeat_timeout_s: float = HEARTBEAT_TIMEOUT_S,
    ) -> None:
        self.folder = folder
        self.secure = secure
        self.speed = speed
        self.heartbeat_timeout_s = heartbeat_timeout_s
        self.pki = folder / "pki"
        self.trend = folder / "trend.csv"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"opc.tcp://127.0.0.1:{self.port}"
        self.process = None

    async def start(self) -> None:
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        arguments = [
            "serve",
            "--insecure",
            "--port",
            str(self.port),
            "--speed",
            f"{self.speed:g}",
            "--noise",
        ]
        arguments += ["--heartbeat-timeout", str(self.heartbeat_timeout_s)]
        arguments += ["--secure"] if self.secure else []
        arguments += ["--pki", str(self.pki)]
        arguments += ["--credentials", str(self.folder / "users.toml")]
        arguments += ["--trend", str(self.trend), "--ready-file", str(ready)]
        argv = [sys.executable, "-m", "plant_sim.cli", *arguments]
        self.process = Process(argv, self.folder / "plant.log", self.folder)

        async def up():
            if self.process.popen.poll() is not None:
                pytest.fail(self.process.text())
            return ready.is_file()

        await until(up, START_S, "the plant is ready")
        self.url = json.loads(ready.read_text(encoding="utf-8"))["endpoint"]

    async def stop(self) -> None:
        if self.process is not None and self.process.popen.poll() is None:
            await self.process.end(signal.SIGINT)

    def last_episode(self) -> list[dict[str, float]]:
        """The trend since the last reset."""
        with self.trend.open(encoding="utf-8", newline="") as file:
            rows = [
                {key: float(value) for key, value in row.items() if key != "scenario"}
                for row in csv.DictReader(file)
            ]
        return [row for row in rows if row["episode"] == rows[-1]["episode"]]

    def password(self, user: str) -> str:
        users = tomllib.loads((self.folder / "users.toml").read_text(encoding="utf-8"))
        return users["users"][user]["password"]

    @contextlib.asynccontextmanager
    async def login(self, user: str, security: ClientSecurity | None = None):
        """A session; security: certificates, where the plant encrypts."""
        client = Client(self.url)
        client.set_user(user)
        client.set_password(self.password(user))
        if security is not None:
            await security.secure(client)
        async with client:
            yield Session(client, await client.get_namespace_index(NAMESPACE))


class Session:
    """A logged-in user; tags by browse path."""

    def __init__(self, client: Client, index: int) -> None:
        self._client = client
        self._index = index

    async def _node(self, path: str):
        names = [f"{self._index}:{name}" for name in path.split("/")]
        return await self._client.nodes.objects.get_child(names)

    async def get(self, path: str):
        return await (await self._node(path)).read_value()

    async def put(self, path: str, value, kind: ua.VariantType) -> None:
        node = await self._node(path)
        await node.write_value(ua.DataValue(ua.Variant(value, kind)))

    async def select(self, mode: int) -> None:
        await self.put("APC/Mode", mode, ua.VariantType.Int32)

    async def call(self, path: str, *values):
        *folder, method = path.split("/")
        parent = await self._node("/".join(folder))
        return await parent.call_method(f"{self._index}:{method}", *values)

    async def wait(self, path: str, value, seconds: float = 10.0) -> None:
        async def same():
            return (await self.get(path)) == value

        await until(same, seconds, f"{path} == {value!r}")

    async def auto(self) -> None:
        """Select Auto and wait until the controller has the MVs."""
        await self.select(2)
        await self.wait("APC/Active", value=True)


class Controller:
    """One `trimtab run` or `shadow`, torch not importable."""

    def __init__(self, folder: Path, *, period_s: float = PERIOD_S) -> None:
        self.folder = folder
        self.config = folder / "controller.toml"
        self.journal = folder / "journal.db"
        self.period_s = period_s
        self.process = None
        self.metrics_url = ""

    def configure(self, url: str, password: str, security: str = IN_CLEAR) -> None:
        secret = self.folder / "apc.password"
        secret.touch(mode=0o600)
        secret.write_text(password, encoding="utf-8")
        self.config.write_text(
            CONTROLLER.format(
                url=json.dumps(url),
                period=self.period_s,
                security=security,
                tags=json.dumps(str(default_config_dir() / "tags.toml")),
                journal=json.dumps(str(self.journal)),
            ),
            encoding="utf-8",
        )

    def launch(self, command: str = "run", *more: str) -> None:
        argv = [sys.executable, "-c", WITHOUT_TORCH, command, "--config", str(self.config), *more]
        self.process = Process(argv, self.folder / "controller.log", self.folder)

    async def start(self, command: str = "run", *more: str) -> None:
        self.launch(command, *more)
        found = await self.process.wait_for(r"metrics at (http://\S+)")
        self.metrics_url = found.group(1)

    async def metrics(self) -> dict:
        """Every sample: (name, labels) -> value."""

        def scrape() -> str:
            with urllib.request.urlopen(self.metrics_url, timeout=5) as answer:  # noqa: S310 - http
                return answer.read().decode()

        text = await asyncio.to_thread(scrape)
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def mode(self) -> str:
        samples = await self.metrics()
        return next(
            dict(labels)["trimtab_mode"]
            for (name, labels), value in samples.items()
            if name == "trimtab_mode" and value == 1.0
        )

    def rows(self) -> list[dict]:
        with Reader.open(self.journal) as reader:
            return list(reader.scans())

    def events(self, kind: str) -> list[dict]:
        with Reader.open(self.journal) as reader:
            return [event["detail"] for event in reader.events() if event["kind"] == kind]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant_process(tmp_path_factory):
    """One soft plant a module: starting one takes seconds."""
    plant = Plant(tmp_path_factory.mktemp("plant"))
    await plant.start()
    yield plant
    await plant.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def soft_plant(plant_process):
    """The soft plant at the start of a new episode, and nobody's lease on it."""
    if plant_process.process.popen.poll() is not None:
        await plant_process.start()
    async with plant_process.login("engineer") as engineer:
        await engineer.wait("APC/LeaseOwner", "", seconds=10.0)
        await engineer.call(
            "Sim/Reset",
            ua.Variant("startup", ua.VariantType.String),
            ua.Variant(0, ua.VariantType.UInt32),
        )
    return plant_process


@pytest_asyncio.fixture(loop_scope="module")
async def controller(tmp_path, soft_plant):
    """A running controller of the soft plant."""
    running = Controller(tmp_path)
    running.configure(soft_plant.url, soft_plant.password("apc"))
    await running.start()
    yield running
    if running.process.popen.poll() is None:
        await running.process.end()


@pytest_asyncio.fixture(loop_scope="module")
async def operator(soft_plant):
    """The operator, logged in."""
    async with soft_plant.login("operator") as session:
        yield session


@pytest.fixture
def make_controller(tmp_path):
    """Controllers that are not started yet; killed at the end if they still run."""
    made: list[Controller] = []

    def make(folder: Path = tmp_path, **changes) -> Controller:
        made.append(Controller(folder, **changes))
        return made[-1]

    yield make
    for item in made:
        if item.process is not None and item.process.popen.poll() is None:
            item.process.kill()


@pytest.fixture(scope="module")
def plant_class():
    """For tests that need a plant of their own kind."""
    return Plant
