"""`trimtab run` on a reactor of the plant, always with its metrics at the same port."""

import json
import re
import resource
import signal
import sys
from pathlib import Path

from controller.configuration.settings import default_config_dir
from tests.integration.monitoring.plant import ROOT, Plant
from tests.support.controllers import fetched, secret_file
from tests.support.processes import PipedProcess, free_port

PERIOD_S, SLOW_PERIOD_S = 0.1, 1.0
"""Of R101; and of R102, whose deadline a busy machine does not miss."""
FRACTION = 0.9
"""Of the period that a scan of R101 may take, for the same reason."""
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
        secret_file(self.folder, plant.password("apc"))
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
        argv += ["run", "--config", str(self.folder / "controller.toml")]
        self.process = PipedProcess(argv, self.folder, PYTHONPATH=str(ROOT))
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
