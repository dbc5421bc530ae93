"""`trimtab-plant serve` as a process, and who is logged in there."""

import contextlib
import csv
import json
import signal
import sys
import tomllib
from pathlib import Path

from asyncua import Client, ua

from controller.opcua.security import ClientSecurity
from tests.support.processes import START_S, Process, free_port
from tests.support.waiting import until

NAMESPACE = "urn:trimtab:softplant"
SPEED = 3000.0
HEARTBEAT_TIMEOUT_S = 1.0


def password_of(folder: Path, user: str) -> str:
    """That the plant made for a user, in the folder where it keeps them."""
    users = tomllib.loads((folder / "users.toml").read_text(encoding="utf-8"))
    return users["users"][user]["password"]


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
        node = await self.node(path)
        await node.write_value(ua.DataValue(ua.Variant(value, kind)))

    async def select(self, mode: int) -> None:
        await self.put("APC/Mode", mode, ua.VariantType.Int32)

    async def call(self, path: str, *values):
        *folder, method = path.split("/")
        parent = await self.node("/".join(folder))
        return await parent.call_method(f"{self._index}:{method}", *values)

    async def wait(self, path: str, value, seconds: float = 10.0) -> None:
        async def same():
            return (await self.get(path)) == value

        await until(same, seconds, f"{path} == {value!r}")

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

    async def auto(self) -> None:
        """Select Auto and wait until the controller has the MVs."""
        await self.select(2)
        await self.wait("APC/Active", value=True)


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
        self.port = free_port()
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

        def up() -> bool:
            self.process.require_running()
            return ready.is_file()

        await until(up, START_S, "the plant is ready")
        self.url = json.loads(ready.read_text(encoding="utf-8"))["endpoint"]

    async def stop(self) -> None:
        if self.process is not None and self.process.running:
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
        return password_of(self.folder, user)

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
