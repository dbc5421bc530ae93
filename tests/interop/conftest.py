"""A plant of another make (`foreign_plant/`), a controller, and an operator between them."""

import contextlib
import json
import os
import shutil
import signal
import sys
from datetime import datetime
from pathlib import Path

import pytest
from asyncua import Client, ua
from typer.testing import CliRunner

from controller.cli import main
from controller.configuration.settings import default_config_dir
from controller.journal.reader import Reader
from tests.support.processes import Process, free_port
from tests.support.waiting import until

SOURCES = Path(__file__).with_name("foreign_plant")
MODULES = Path(os.environ.get("TRIMTAB_NODE_MODULES", Path(__file__).parent / "node_modules"))
TAGS = default_config_dir() / "examples" / "foreign_tags.toml"
URI = "urn:othermake:RK1:leitsystem"
AHEAD_S = 300
LIMIT = 5
BULK = 60
HABITS = (
    *("--limit", str(LIMIT), "--publishing", "2000", "--bulk", str(BULK)),
    *("--ahead", str(AHEAD_S), "--strict"),
)
"""A clock ahead by so much, few operations in a request, slow subscriptions, no times in writes."""
IN_CLEAR = 'policy = "None"\ninsecure = true'
CONTROLLER = """
[server]
url = {url}
reconnect_max_s = 0.1
{account}
[security]
{security}
[scan]
period_s = {period}
deadline_fraction = 0.9
[tags]
path = {tags}
[journal]
path = {journal}
[metrics]
port = 0
"""


class ForeignPlant:
    """One `node plant.js`; may be killed and started again on its port.

    options: of plant.js, its habits.
    """

    def __init__(self, folder: Path, *, speed: float, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.options = options
        self.speed = speed
        self.port = free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}"
        self.log = folder / "plant.log"
        self.process = None

    def start(self, *, selector: str = "LOCAL", extra: int = 0) -> None:
        """selector: what the DCS finds it at.  extra: namespaces in front of the plant's own."""
        argv = ["node", str(SOURCES / "plant.js"), "--port", str(self.port)]
        argv += ["--speed", str(self.speed), "--log", str(self.log)]
        argv += ["--pki", str(self.folder / "pki"), "--selector", selector, "--extra", str(extra)]
        argv += self.options
        self.process = Process(argv, self.folder / "plant.out", self.folder, NODE_PATH=str(MODULES))
        self.process.says("foreign plant ready")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.stop(number)

    def events(self, kind: str, since_s: float = 0.0) -> list[dict]:
        lines = self.log.read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if entry["event"] == kind and entry["at"] >= since_s]

    def writes(self, since_s: float = 0.0) -> list[dict]:
        """Every value that a client wrote since then, as the server saw it, with its answer."""
        return [
            {**write, "at": entry["at"]}
            for entry in self.events("write", since_s)
            for write in entry["writes"]
        ]

    def client(self) -> Client:
        return Client(self.url)

    @contextlib.asynccontextmanager
    async def operator(self):
        async with self.client() as client:
            yield Operator(client, await client.get_namespace_index(URI))


_KINDS = {
    bool: ua.VariantType.Boolean,
    str: ua.VariantType.String,
    float: ua.VariantType.Double,
}


class Operator:
    """Someone at the DCS's own station; tags by the DCS's names."""

    def __init__(self, client: Client, index: int) -> None:
        self._client = client
        self._index = index

    def _node(self, name: str):
        return self._client.get_node(ua.NodeId(f"RK1/{name}", self._index))

    async def get(self, name: str):
        return await self._node(name).read_value()

    async def put(self, name: str, value: float | str) -> None:
        kind = _KINDS[type(value)]
        await self._node(name).write_value(ua.DataValue(ua.Variant(value, kind)))

    async def select(self, position: str) -> None:
        await self.put("SEQ/ControllerMode", position)

    async def shows(self, position: str, seconds: float = 10.0) -> None:
        async def there() -> bool:
            return await self.get("SEQ/ControllerMode") == position

        await until(there, seconds, f"the selector shows {position}")


class Controller:
    """One `trimtab run`, configured by the example's tags.toml alone.

    account, security: lines of [server] and [security].
    """

    def __init__(
        self,
        folder: Path,
        plant: ForeignPlant,
        tags: Path = TAGS,
        *,
        account: str = "",
        security: str = IN_CLEAR,
    ) -> None:
        self.period_s = 300.0 / plant.speed
        self.config = folder / "controller.toml"
        self.journal = folder / "journal.db"
        self.folder = folder
        self.process = None
        text = CONTROLLER.format(
            url=json.dumps(plant.url),
            account=account,
            security=security,
            period=self.period_s,
            tags=json.dumps(str(tags)),
            journal=json.dumps(str(self.journal)),
        )
        self.config.write_text(text, encoding="utf-8")

    def start(self) -> None:
        argv = [sys.executable, "-m", "controller.cli", "run", "--config", str(self.config)]
        self.process = Process(argv, self.folder / "controller.out", self.folder)
        self.process.says("trimtab ready")

    def rows(self, count: int | None = None) -> list[dict]:
        """The scans, or the last `count`, with the second since 1970 at which each was read."""
        with Reader.open(self.journal) as reader:
            rows = list(reader.scans()) if count is None else reader.tail(count)
        return [{**row, "at": datetime.fromisoformat(row["utc"]).timestamp()} for row in rows]

    async def until(self, condition, what: str, *, seconds: float = 15.0, count: int = 1) -> None:
        """Wait until the last `count` scans are as wanted."""

        async def so() -> bool:
            rows = self.rows(count)
            return len(rows) == count and all(condition(row) for row in rows)

        await until(so, seconds, what)

    async def reaches(self, mode: str) -> None:
        await self.until(lambda row: row["mode_after"] == mode, f"the controller is in {mode}")


def capture(plant: ForeignPlant, controller: Controller) -> str:
    """What was scanned and what the server was asked to write, in order of time."""
    lines = []
    if controller.journal.exists():
        lines = [
            f"{row['at']:.3f} scan {row['scan_id']} {row['mode_after']} "
            f"cv {row['cv']} sp {row['sp']} mv {row['mv']} target {row['target']} "
            f"{'written' if row['written'] else ''} {row['reason']}"
            for row in controller.rows()
        ]
    for entry in plant.events("write") + plant.events("listening"):
        rest = {key: value for key, value in entry.items() if key not in {"at", "event"}}
        lines.append(f"{entry['at']:.3f} server {entry['event']} {json.dumps(rest)}")
    return "\n".join(sorted(lines)) + "\n"


@pytest.fixture(scope="session")
def node_opcua() -> None:
    """Skip where node-opcua is not installed."""
    if shutil.which("node") is None:
        pytest.skip("no node: install Debian's nodejs and npm, then `make interop-deps`")
    if not (MODULES / "node-opcua").is_dir():
        pytest.skip(f"no node-opcua in {MODULES}: run `make interop-deps`")


@pytest.fixture(scope="session")
def fast_plant(node_opcua, tmp_path_factory):  # noqa: ARG001
    """A plant at 1500 times real time: a scan every 0.2 s."""
    folder = tmp_path_factory.mktemp("foreign")
    plant = ForeignPlant(folder, speed=1500.0, options=("--bulk", "3000"))
    plant.start()
    yield plant
    plant.end()


@pytest.fixture(scope="session")
def habits_plant(node_opcua, tmp_path_factory):  # noqa: ARG001
    """A plant with habits that a controller must live with: a scan every 0.5 s."""
    plant = ForeignPlant(tmp_path_factory.mktemp("habits"), speed=600.0, options=HABITS)
    plant.start()
    yield plant
    plant.end()


@pytest.fixture
def slow_plant(node_opcua, tmp_path):  # noqa: ARG001
    """A plant at 600 times real time, to be killed and started again: a scan every 0.5 s."""
    plant = ForeignPlant(tmp_path, speed=600.0)
    plant.start()
    yield plant
    plant.end()


def changed(folder: Path, replacements: tuple[tuple[str, str], ...]) -> Path:
    """The example's tags.toml with some of its text replaced."""
    text = TAGS.read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    tags = folder / "tags.toml"
    tags.write_text(text, encoding="utf-8")
    return tags


def checked(controller: Controller) -> tuple[int, str]:
    """Exit code and answer of `trimtab check` with the controller's settings."""
    argv = ["check", "--config", str(controller.config)]
    found = CliRunner().invoke(main, argv, env={"COLUMNS": "300"})
    assert "Traceback" not in found.output
    return found.exit_code, found.output


@pytest.fixture
def check(fast_plant, tmp_path):
    """Runs `trimtab check` with the example's tags, some of the text replaced."""

    def run(*replacements: tuple[str, str]) -> tuple[int, str]:
        tags = changed(tmp_path, replacements)
        code, text = checked(Controller(tmp_path, fast_plant, tags))
        assert str(tags) in text
        return code, text

    return run


@pytest.fixture
def make_controller(tmp_path):
    """Controllers, started; ended with the test, with a capture of what was said on the line."""
    made = []

    def make(plant: ForeignPlant, *replacements: tuple[str, str]) -> Controller:
        controller = Controller(tmp_path, plant, changed(tmp_path, replacements))
        made.append((plant, controller))
        controller.start()
        return controller

    yield make
    for plant, controller in made:
        if controller.process is not None:
            controller.process.stop()
        text = capture(plant, controller)
        (tmp_path / "capture.txt").write_text(text, encoding="utf-8")
        print(text)  # noqa: T201 - pytest shows it where the test failed
