"""`trimtab run` or `shadow` as a process with torch made unimportable, on the soft plant."""

import asyncio
import json
import sys
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from controller.configuration.settings import default_config_dir
from controller.journal.reader import Reader
from tests.support.processes import Process
from tests.support.waiting import until

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from controller.cli import main; main()"
PERIOD_S = 0.1
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


def fetched(url: str) -> str:
    """The text at an address."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http
        return answer.read().decode()


def secret_file(folder: Path, password: str) -> Path:
    """A password in a file that nobody else may read."""
    secret = folder / "apc.password"
    secret.touch(mode=0o600)
    secret.write_text(password, encoding="utf-8")
    return secret


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
        secret_file(self.folder, password)
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
        text = await asyncio.to_thread(fetched, self.metrics_url)
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

    async def reaches(self, mode: str) -> None:
        """Wait until the metrics tell this mode: a scan after the DCS has shown it."""

        async def reached() -> bool:
            return await self.mode() == mode

        await until(reached, what=f"mode {mode}")

    def rows(self) -> list[dict]:
        with Reader.open(self.journal) as reader:
            return list(reader.scans())

    def events(self, kind: str) -> list[dict]:
        with Reader.open(self.journal) as reader:
            return [event["detail"] for event in reader.events() if event["kind"] == kind]
