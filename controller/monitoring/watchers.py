"""The HMI and Prometheus beside a controller: their configuration, start and end."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import urllib.error
import urllib.request
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from controller.configuration.settings import default_config_dir
from controller.demo.processes import DemoError, command, ended, start, stop, wait_for_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from controller.demo.processes import Child

INSTALL = "apt-get install --no-install-recommends prometheus"
UNIT = "R101"
HMI_PORT, PROMETHEUS_PORT = 8080, 9090
READY_S = 30.0
POLL_S = 0.1
BEHIND = 5
"""Nice value: what is only looked at must not disturb the scan."""
HMI, PROMETHEUS = "trimtab hmi", "prometheus"

HMI_TOML = """\
# Written by `trimtab monitor`.
[account]
user = "observer"
password_file = {password_file}

[[units]]
name = "{unit}"
config = {config}
journal = {journal}

[log]
format = "json"
"""

PROMETHEUS_YML = """\
# Written by `trimtab monitor`.
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: trimtab
    static_configs:
      - targets: ["{target}"]
        labels: {{plant_unit: {unit}}}
"""


class Hmi:
    """`trimtab hmi` of the one unit; `there` is False where this distribution has none."""

    def __init__(self, folder: Path, secrets: Path, journal: Path, password: str) -> None:
        """folder: the run's, with controller.toml.  password: of the plant's observer."""
        self.there = find_spec("controller.hmi") is not None
        self._folder = folder
        self._secrets = secrets
        self._journal = journal
        self._password = password
        self._ready = secrets / "hmi.json"
        self._child: Child | None = None

    def start(self) -> Child:
        """Write its configuration and start it."""
        secret = self._secrets / "observer.password"
        secret.touch(mode=0o600)
        secret.write_text(self._password, encoding="utf-8")
        settings = self._folder / "hmi.toml"
        settings.write_text(
            HMI_TOML.format(
                unit=UNIT,
                password_file=json.dumps(str(secret)),
                config=json.dumps(str(self._folder / "controller.toml")),
                journal=json.dumps(str(self._journal)),
            ),
            encoding="utf-8",
        )
        arguments = ["hmi", "--hmi", str(settings), "--ready-file", str(self._ready)]
        arguments += ["--port", str(_free_port(HMI_PORT))]
        self._child = start(
            HMI, [*command("trimtab"), *arguments], log=self._folder / "log/hmi.log", nice=BEHIND
        )
        return self._child

    async def url(self) -> str:
        """Wait until it serves; its address.  Raises DemoError."""
        if self._child is None:
            raise DemoError("the HMI was not started")
        found = json.loads(await wait_for_file(self._ready, self._child, READY_S))
        return str(found["url"])


class Prometheus:
    """A Prometheus with the shipped rules; `there` is False where none is installed."""

    def __init__(self, folder: Path) -> None:
        self._program = shutil.which("prometheus")
        self.there = self._program is not None
        self._folder = folder
        self._url = ""
        self._child: Child | None = None

    def start(self, metrics: str) -> Child:
        """Write its configuration and start it; metrics: the address it scrapes."""
        rules = default_config_dir() / "prometheus" / "rules" / "*.yml"
        config = self._folder / "prometheus.yml"
        config.write_text(
            PROMETHEUS_YML.format(
                rules=json.dumps(str(rules)), target=urlsplit(metrics).netloc, unit=UNIT
            ),
            encoding="utf-8",
        )
        address = f"127.0.0.1:{_free_port(PROMETHEUS_PORT)}"
        self._url = f"http://{address}"
        argv = [
            self._program or "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder / 'prometheus'}",
            f"--web.listen-address={address}",
            "--enable-feature=exemplar-storage",
        ]
        self._child = start(PROMETHEUS, argv, log=self._folder / "log/prometheus.log", nice=BEHIND)
        return self._child

    async def url(self) -> str:
        """Wait until it answers; its address.  Raises DemoError."""
        for _ in range(round(READY_S / POLL_S)):
            if self._child is not None and not self._child.running:
                raise ended(self._child)
            if await asyncio.to_thread(_answers, f"{self._url}/-/ready"):
                return self._url
            await asyncio.sleep(POLL_S)
        raise DemoError(f"Prometheus was not ready within {READY_S:.0f} s; see {self._folder}/log")


async def stop_pages(children: Iterable[Child]) -> None:
    """The HMI goes first: nobody is to act on what is being stopped."""
    for child in children:
        if child.name == HMI:
            await stop(child, signal.SIGINT)


async def stop_rest(children: Iterable[Child]) -> None:
    """Prometheus goes last, so that it has seen the end."""
    for child in children:
        if child.name != HMI:
            await stop(child, signal.SIGTERM)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310 - a loopback address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port(wanted: int) -> int:
    """The wanted port, or one that the system picks where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0
