"""A soft plant, two controllers, and the real Prometheus and Alertmanager that watch them.

All are processes; one set serves every test of the folder.  The rules and routes are those of
`config/`, made faster by `scaled`: every duration in them is divided, nothing else is changed.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from asyncua import Client, ua

from controller.configuration.security import SecuritySettings
from controller.configuration.settings import default_config_dir
from controller.opcua.pki import Folder, wish
from controller.opcua.security import load_security

ROOT = Path(__file__).parents[3]
NAMESPACE = "urn:trimtab:softplant"
SPEED = 3000.0
PERIOD_S, SLOW_PERIOD_S = 0.1, 1.0
"""Of R101; and of R102, whose deadline a busy machine does not miss."""
FRACTION = 0.9
"""Of the period that a scan of R101 may take, for the same reason."""
START_S = 90.0
SCRAPE_S = 0.5
FASTER = 120
"""Divides every duration of the rules: 30 minutes become 15 s."""
SHORTEST_FOR_S, SHORTEST_WINDOW_S = 1.0, 4.0
"""A window must hold some scrapes, whatever it is divided by."""
LONG_DAYS, SHORT_DAYS, KEY_BITS = 365, 2, 2048
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

LAUNCHER = """
import pathlib, signal, sys, time
blocked = pathlib.Path(sys.argv.pop(1))
def block(*_):
    while blocked.exists():
        time.sleep(0.05)
signal.signal(signal.SIGUSR1, block)
from controller.cli import main
main()
"""
"""`trimtab` whose main thread, and with it every scan, stands still while a file exists after
SIGUSR1, as it would in a call that does not return; other threads go on."""

POLICY = """
import pathlib, time
SLOW = pathlib.Path(__file__).with_name("slow")
def make():
    def policy(observation):
        if SLOW.exists():
            time.sleep(0.6)
        return list(observation["mv"].values())
    return policy
"""
CONTROLLER = """
[server]
url = {url}
user = "apc"
password_file = "apc.password"
reconnect_max_s = 1.0
lease_ttl_s = 2.0
[security]
pki = {pki}
[scan]
period_s = {period_s}
deadline_fraction = {fraction}
[tags]
path = {tags}
[journal]
path = "journal.db"
[metrics]
port = {port}
[log]
format = "json"
"""
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is absent: apt-get install --no-install-recommends {package}")
    return found


def faster(duration: str, shortest_s: float) -> str:
    """A duration of Prometheus, divided by `FASTER` but no shorter than that."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", duration).groups()
    return f"{round(1000 * max(shortest_s, int(number) * SECONDS[unit] / FASTER))}ms"


def scaled(rules: dict) -> dict:
    """Rules whose `for`, `keep_firing_for` and windows are shorter; the rest is as shipped."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            for key in ("for", "keep_firing_for"):
                if key in rule:
                    rule[key] = faster(rule[key], SHORTEST_FOR_S)
            rule["expr"] = re.sub(
                r"\[(\w+)\]",
                lambda window: f"[{faster(window[1], SHORTEST_WINDOW_S)}]",
                rule["expr"],
            )
    return rules


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_pair() -> int:
    """The first of two ports in a row, below those that the system gives to clients."""
    for port in random.sample(range(20_000, 32_000, 2), 100):
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 1))
            return port
    return pytest.fail("no two free ports in a row")


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http
        return answer.read().decode()


async def until(condition, seconds: float, what: str):
    """Wait until a function is true of the processes; its value."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):  # not up, or stopped: ask again
            if value := await asyncio.to_thread(condition):
                return value
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.1)


class Process:
    """A child whose output is kept in memory, so that no limit on files touches it."""

    def __init__(self, argv: list[str], cwd: Path, env: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self.popen = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), **(env or {})},
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.popen.stdout:
            self.lines.append(line)

    async def ready(self, condition, what: str) -> None:
        def up():
            if self.popen.poll() is not None:
                return "ended"
            return condition()

        value = await until(up, START_S, what)
        if value == "ended":
            pytest.fail(f"{what}: ended with {self.popen.returncode}\n{''.join(self.lines[-30:])}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.send_signal(number)
            try:
                self.popen.wait(20)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self._reader.join(5)
        self.popen.stdout.close()


class Plant:
    """One `trimtab-plant serve` with two reactors, encrypted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_pair()
        self.pki = folder / "plant-pki"
        self.endpoints: list[str] = []
        self.process = None
        self.security = None

    async def start(self) -> None:
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "plant_sim.cli", "serve"]
        argv += ["--port", str(self.port), "--units", "2", "--speed", f"{SPEED:g}", "--noise"]
        argv += ["--heartbeat-timeout", "1", "--pki", str(self.pki)]
        argv += ["--credentials", str(self.folder / "users.toml"), "--ready-file", str(ready)]
        self.process = Process(argv, self.folder)
        await self.process.ready(ready.is_file, "the plant")
        self.endpoints = json.loads(ready.read_text())["endpoints"]
        if self.security is None:
            pki = certified(self, self.folder / "room-pki", LONG_DAYS)
            self.security = load_security(SecuritySettings(pki=pki))

    def password(self, user: str) -> str:
        users = tomllib.loads((self.folder / "users.toml").read_text())
        return users["users"][user]["password"]

    @contextlib.asynccontextmanager
    async def login(self, user: str, place: int = 0):
        client = Client(self.endpoints[place])
        client.set_user(user)
        client.set_password(self.password(user))
        await self.security.secure(client)
        async with client:
            yield Session(client, await client.get_namespace_index(NAMESPACE))


def certified(plant: Plant, pki: Path, days: int) -> Path:
    """A folder of certificates, valid for so long and trusted by the plant as it trusts it."""
    ours, plants = Folder(pki), Folder(plant.pki)
    own = ours.init(wish(uri=None, given=(), days=days), KEY_BITS)
    ours.trust(plants.own())
    plants.trust(own)
    return pki


class Session:
    """A logged-in user; tags by browse path."""

    def __init__(self, client: Client, index: int) -> None:
        self._client = client
        self._index = index

    async def node(self, path: str):
        names = [f"{self._index}:{name}" for name in path.split("/")]
        return await self._client.nodes.objects.get_child(names)

    async def get(self, path: str):
        return await (await self.node(path)).read_value()

    async def put(self, path: str, value, kind: ua.VariantType) -> None:
        await (await self.node(path)).write_value(ua.DataValue(ua.Variant(value, kind)))

    async def call(self, path: str, *values) -> None:
        *folder, method = path.split("/")
        await (await self.node("/".join(folder))).call_method(f"{self._index}:{method}", *values)

    async def select(self, mode: int) -> None:
        await self.put("APC/Mode", mode, ua.VariantType.Int32)

    async def auto(self) -> None:
        """Manual, then Auto, until the controller has the MVs."""
        for _ in range(5):
            await self.select(0)
            await asyncio.sleep(0.5)
            await self.select(2)
            for _ in range(40):
                if await self.get("APC/Active"):
                    return
                await asyncio.sleep(0.05)
        pytest.fail("the controller did not take the MVs")

    async def fault(self, tag: str, kind: str, magnitude: float = 0.0) -> None:
        await self.call(
            "Sim/InjectFault",
            ua.Variant(tag, ua.VariantType.String),
            ua.Variant(kind, ua.VariantType.String),
            ua.Variant(magnitude, ua.VariantType.Double),
            ua.Variant(1e6, ua.VariantType.Double),
        )

    async def reset(self, scenario: str) -> None:
        await self.call(
            "Sim/Reset",
            ua.Variant(scenario, ua.VariantType.String),
            ua.Variant(0, ua.VariantType.UInt32),
        )


class Controller:
    """One `trimtab run`, always with its metrics at the same port."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/metrics"
        self.blocked = self.folder / "blocked"
        self.process = None

    def configure(
        self, plant: Plant, place: int, pki: Path, more: str = "", period_s: float = PERIOD_S
    ) -> None:
        secret = self.folder / "apc.password"
        secret.touch(mode=0o600)
        secret.write_text(plant.password("apc"))
        (self.folder / "controller.toml").write_text(
            CONTROLLER.format(
                url=json.dumps(plant.endpoints[place]),
                pki=json.dumps(str(pki)),
                tags=json.dumps(str(default_config_dir() / "tags.toml")),
                port=self.port,
                period_s=period_s,
                fraction=FRACTION if period_s == PERIOD_S else 0.5,
            )
            + more
        )

    async def start(self) -> None:
        argv = [sys.executable, "-c", LAUNCHER, str(self.blocked)]
        self.process = Process(
            [*argv, "run", "--config", str(self.folder / "controller.toml")], self.folder
        )
        scanned = r"^trimtab_scans_total\{.*\} [1-9]"
        await self.process.ready(
            lambda: re.search(scanned, fetched(self.url), flags=re.MULTILINE), self.name
        )

    def signal(self, number: signal.Signals) -> None:
        self.process.popen.send_signal(number)

    def limit_files(self, size: int) -> None:
        """The largest file the process may write from now on [bytes]."""
        _, most = resource.prlimit(self.process.popen.pid, resource.RLIMIT_FSIZE)
        wanted = most if size < 0 else size
        resource.prlimit(self.process.popen.pid, resource.RLIMIT_FSIZE, (wanted, most))


class Inbox:
    """Receives what Alertmanager tells its receivers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str, str]] = []
        inbox = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    labels = alert["labels"]
                    inbox.append(
                        (
                            body["receiver"],
                            alert["status"],
                            labels["alertname"],
                            labels["plant_unit"],
                        )
                    )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Watchers:
    """Prometheus and Alertmanager on files made from those of `config/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.targets = folder / "targets.json"
        self.inbox = Inbox()
        self.prometheus = self.alertmanager = None
        self.url = self.alerts_url = ""

    async def start(self) -> None:
        prometheus = tool("prometheus", "prometheus")
        alertmanager = tool("prometheus-alertmanager", "prometheus-alertmanager")
        port, alerts_port = free_port(), free_port()
        self.url, self.alerts_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{alerts_port}"
        self._write(alerts_port)
        self.alertmanager = Process(
            [
                alertmanager,
                f"--config.file={self.folder / 'alertmanager.yml'}",
                f"--storage.path={self.folder / 'alerts'}",
                f"--web.listen-address=127.0.0.1:{alerts_port}",
                "--cluster.listen-address=",
            ],
            self.folder,
        )
        self.prometheus = Process(
            [
                prometheus,
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'series'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            self.folder,
        )
        await self.prometheus.ready(lambda: fetched(f"{self.url}/-/ready"), "Prometheus")
        await self.alertmanager.ready(lambda: fetched(f"{self.alerts_url}/-/ready"), "Alertmanager")

    def _write(self, alerts_port: int) -> None:
        config = yaml.safe_load((ROOT / "config/prometheus/prometheus.yml").read_text())
        config["global"] = {
            "scrape_interval": f"{round(1000 * SCRAPE_S)}ms",
            "scrape_timeout": f"{round(1000 * SCRAPE_S)}ms",
            "evaluation_interval": f"{round(1000 * SCRAPE_S)}ms",
        }
        (job,) = config["scrape_configs"]
        del job["static_configs"]
        job["file_sd_configs"] = [{"files": [str(self.targets)], "refresh_interval": "1s"}]
        (manager,) = config["alerting"]["alertmanagers"]
        manager["static_configs"][0]["targets"] = [f"127.0.0.1:{alerts_port}"]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (self.folder / "rules").mkdir()
        for path in (ROOT / "config/prometheus/rules").glob("*.yml"):
            rules = scaled(yaml.safe_load(path.read_text()))
            (self.folder / "rules" / path.name).write_text(yaml.safe_dump(rules))
        routes = yaml.safe_load((ROOT / "config/alertmanager/alertmanager.yml").read_text())
        routes["route"] |= {"group_wait": "100ms", "group_interval": "500ms"}
        for receiver in routes["receivers"]:
            (hook,) = receiver["webhook_configs"]
            hook["url"] = f"http://127.0.0.1:{self.inbox.port}/"
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(routes))

    async def scrape(self, *controllers: Controller) -> None:
        """Have these scraped from now on; returns when each was."""
        written = self.targets.with_suffix(".new")
        written.write_text(
            json.dumps(
                [
                    {
                        "targets": [f"127.0.0.1:{each.port}"],
                        "labels": {"plant_unit": each.name},
                    }
                    for each in controllers
                ]
            )
        )
        written.rename(self.targets)
        for each in controllers:
            await until(
                lambda each=each: self.value(f'up{{plant_unit="{each.name}"}} == 1'),
                15,
                f"{each.name} is scraped",
            )

    def ask(self, path: str, **parameters) -> list:
        query = urllib.parse.urlencode(parameters)
        answer = json.loads(fetched(f"{self.url}/api/v1/{path}?{query}"))
        assert answer["status"] == "success", answer
        data = answer["data"]
        return data["result"] if isinstance(data, dict) and "result" in data else data

    def query(self, expr: str) -> list:
        return self.ask("query", query=expr)

    def value(self, expr: str) -> float | None:
        """Of the first series; None when there is none."""
        found = self.query(expr)
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[tuple[str, str]]:
        """(alert, unit) of what Prometheus says fires."""
        found = self.ask("alerts")["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"]["plant_unit"])
            for alert in found
            if alert["state"] == "firing"
        }

    def standing(self) -> dict[tuple[str, str, str], dict]:
        """(alert, unit, severity) -> how it stands in Alertmanager."""
        found = json.loads(fetched(f"{self.alerts_url}/api/v2/alerts"))
        return {
            (
                alert["labels"]["alertname"],
                alert["labels"]["plant_unit"],
                alert["labels"]["severity"],
            ): alert["status"]
            for alert in found
        }

    async def fires(self, alert: str, unit: str, receiver: str, seconds: float = 30.0) -> None:
        """The alert fires and its receiver is told."""
        wanted = (receiver, "firing", alert, unit)
        await until(lambda: (alert, unit) in self.firing(), seconds, f"{alert} of {unit} fires")
        await until(lambda: wanted in self.inbox.told, 15, f"{wanted} in {self.inbox.told}")

    async def resolves(self, alert: str, unit: str, receiver: str, seconds: float = 40.0) -> None:
        """The alert is over and its receiver is told."""
        wanted = (receiver, "resolved", alert, unit)
        await until(
            lambda: (alert, unit) not in self.firing(), seconds, f"{alert} of {unit} is over"
        )
        await until(lambda: wanted in self.inbox.told, 15, f"{wanted} in {self.inbox.told}")

    def close(self) -> None:
        for process in (self.prometheus, self.alertmanager):
            if process is not None:
                process.end()
        self.inbox.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watchers(tmp_path_factory):
    found = Watchers(tmp_path_factory.mktemp("watchers"))
    try:
        await found.start()
        yield found
    finally:
        found.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant(tmp_path_factory):
    served = Plant(tmp_path_factory.mktemp("plant"))
    try:
        await served.start()
        yield served
    finally:
        if served.process is not None:
            served.process.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def first(watchers, plant, tmp_path_factory):
    """R101: the bundle's own policy, a certificate of a year."""
    made = Controller(tmp_path_factory.mktemp("first"), "R101")
    made.configure(plant, 0, certified(plant, made.folder / "pki", LONG_DAYS))
    try:
        await made.start()
        await watchers.scrape(made)
        yield made
    finally:
        if made.process is not None:
            made.process.end(signal.SIGINT)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second(watchers, plant, first, tmp_path_factory):
    """R102: a policy of one's own that can be made slow, a certificate of two days."""
    made = Controller(tmp_path_factory.mktemp("second"), "R102")
    (made.folder / "slow_policy.py").write_text(POLICY)
    policy = '[policy]\nfactory = "slow_policy:make"\ntimeout_s = 0.499\n'
    pki = certified(plant, made.folder / "pki", SHORT_DAYS)
    made.configure(plant, 1, pki, policy, period_s=SLOW_PERIOD_S)
    try:
        async with plant.login("engineer", 1) as engineer:
            slower = SPEED * PERIOD_S / SLOW_PERIOD_S
            await engineer.put("Sim/Speed", slower, ua.VariantType.Double)
        await made.start()
        await watchers.scrape(first, made)
        yield made
    finally:
        if made.process is not None:
            made.process.end(signal.SIGINT)


@pytest.fixture(scope="module")
def fetch():
    """The text at an address."""
    return fetched


@pytest.fixture(scope="module")
def wait_until():
    """Waits until a function is true."""
    return until


@pytest.fixture(scope="module")
def certify():
    """Makes a folder of certificates that the plant trusts."""
    return certified
