"""The demo's two processes and what they need: configuration, passwords, a place for the record."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

from controller.configuration.security import SecuritySettings
from controller.configuration.settings import default_config_dir
from controller.demo.plan import plans
from controller.demo.processes import (
    DemoError,
    command,
    ended,
    finished,
    start,
    stop,
    wait_for_file,
)
from controller.demo.room import read_passwords
from controller.opcua.pki import Folder, wish
from controller.opcua.security import load_security

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from controller.demo.plan import Options, ScenarioPlan
    from controller.demo.processes import Child
    from controller.opcua.security import ClientSecurity

HEARTBEAT_TIMEOUT_S = 1.0
TICK_S = HEARTBEAT_TIMEOUT_S / 4
"""Two heartbeats may be late without a shed."""
METRICS_PORT = 9464
READY_S = 120.0
"""A machine that never ran the plant compiles its kernels first."""
SHORT_S = 30.0
CERTIFICATE_DAYS, KEY_BITS = 2, 2048
STOP_S = 8.0
BEHIND = 10
"""Nice value of what must not disturb the scan."""

CONTROLLER_TOML = """\
# Written by `trimtab demo`.
[server]
url = {url}
user = "apc"
password_file = {password_file}
owner = "trimtab demo"

[security]
pki = {pki}

[scan]
period_s = {period_s}
tick_s = {tick_s}
heartbeat_timeout_s = {heartbeat_timeout_s}

[bundle]
path = {bundle}

[tags]
path = {tags}

[journal]
path = {journal}

[metrics]
port = {port}

[log]
format = "json"
"""


class Stage:
    """Starts and stops the children; `folder` is the run's, `secrets` a private one that goes away.

    period_s: of the controller's scan.
    """

    def __init__(self, options: Options, folder: Path, secrets: Path, period_s: float) -> None:
        self.journal = folder / "journal.db"
        self.trend = folder / "trend.csv"
        self._logs = folder / "log"
        self._logs.mkdir()
        self.plant: Child | None = None
        self.controller: Child | None = None
        self.metrics_port = METRICS_PORT
        self._baselines: list[Child] = []
        self._options = options
        self._folder = folder
        self._secrets = secrets
        self._pki = secrets / "pki"
        self._period_s = period_s

    def baseline_file(self, scenario: str) -> Path:
        """The trend of the PI's own run of a scenario."""
        return self._folder / f"baseline-{scenario}.csv"

    async def read_plans(self) -> list[ScenarioPlan]:
        """Ask the plant's command for its scenarios."""
        log = self._logs / "scenarios.json"
        child = start(
            "trimtab-plant scenarios", [*command("trimtab-plant"), "scenarios", "--json"], log=log
        )
        if await finished(child, SHORT_S):
            raise ended(child)
        return plans(log.read_text(encoding="utf-8"), self._options.hours)

    async def start_plant(self) -> tuple[str, dict[str, str]]:
        """Start the server; its endpoint and the passwords it made."""
        ready, users = self._secrets / "ready.json", self._secrets / "users.toml"
        arguments = ["serve", "--port", "0", "--speed", f"{self._options.speed:g}", "--noise"]
        arguments += ["--heartbeat-timeout", f"{HEARTBEAT_TIMEOUT_S:g}"]
        arguments += ["--credentials", str(users), "--trend", str(self.trend)]
        arguments += ["--ready-file", str(ready), "--pki", str(self._secrets / "plant-pki")]
        self.plant = start(
            "trimtab-plant", [*command("trimtab-plant"), *arguments], log=self._logs / "plant.log"
        )
        found = json.loads(await wait_for_file(ready, self.plant, READY_S))
        self._trust_each_other()
        return found["endpoint"], read_passwords(users)

    @property
    def security(self) -> ClientSecurity | None:
        """Certificates of the controller and of the control room."""
        return load_security(SecuritySettings(pki=self._pki))

    def _trust_each_other(self) -> None:
        """Make our certificate; copy each side's into the other's folder, as an engineer would."""
        ours, plants = Folder(self._pki), Folder(self._secrets / "plant-pki")
        own = ours.init(wish(uri=None, given=(), days=CERTIFICATE_DAYS), KEY_BITS)
        ours.trust(plants.own())
        plants.trust(own)

    def start_controller(self, endpoint: str, password: str) -> None:
        """Write its configuration and start it."""
        password_file = self._secrets / "apc.password"
        password_file.touch(mode=0o600)
        password_file.write_text(password, encoding="utf-8")
        self.metrics_port = METRICS_PORT if _is_free(METRICS_PORT) else 0
        settings = self._folder / "controller.toml"
        settings.write_text(
            CONTROLLER_TOML.format(
                url=json.dumps(endpoint),
                password_file=json.dumps(str(password_file)),
                period_s=self._period_s,
                tick_s=TICK_S,
                heartbeat_timeout_s=HEARTBEAT_TIMEOUT_S,
                pki=json.dumps(str(self._pki)),
                bundle=json.dumps(str(self._options.bundle.absolute())),
                tags=json.dumps(str(default_config_dir() / "tags.toml")),
                journal=json.dumps(str(self.journal.absolute())),
                port=self.metrics_port,
            ),
            encoding="utf-8",
        )
        self.controller = start(
            "trimtab run",
            [*command("trimtab"), "run", "--config", str(settings)],
            log=self._logs / "controller.log",
        )

    def start_baselines(self, scenarios: Sequence[ScenarioPlan]) -> None:
        """Run the DCS's PI alone from the same starts, behind everything else."""
        for plan in scenarios:
            arguments = ["baseline", "--scenario", plan.name, "--noise"]
            arguments += ["--seed", str(self._options.seed), "--hours", f"{self._options.hours:g}"]
            arguments += ["--setpoint-at", f"{plan.auto_at_s:g}"]
            arguments += ["--out", str(self.baseline_file(plan.name))]
            child = start(
                f"trimtab-plant baseline {plan.name}",
                [*command("trimtab-plant"), *arguments],
                log=self._logs / f"baseline-{plan.name}.log",
                nice=BEHIND,
            )
            self._baselines.append(child)

    async def finish_baselines(self) -> None:
        """Wait for them, so that no scan shares the machine with them."""
        for child in self._baselines:
            if await finished(child, READY_S):
                raise ended(child)

    def check(self) -> None:
        """Raise DemoError when a process that is needed has ended."""
        for child in (self.plant, self.controller):
            if child is not None and not child.running:
                raise ended(child)

    async def stop(self) -> None:
        """The controller first, so that it sheds in order; then the plant."""
        if self.controller is not None:
            await stop(self.controller, signal.SIGINT, STOP_S)
        if self.plant is not None:
            await stop(self.plant, signal.SIGTERM, STOP_S)
        for child in self._baselines:
            await stop(child, signal.SIGTERM)

    def kill(self) -> None:
        """End everything at once."""
        for child in (self.controller, self.plant, *self._baselines):
            if child is not None and child.running:
                child.process.kill()


def make_folder(out: Path, name: str) -> Path:
    """A new folder for this run under `out`; raises DemoError when it cannot be made."""
    for number in range(1, 100):
        folder = out / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise DemoError(f"--out {out}: {folder} is not a folder", exit_code=2) from None
        except OSError as error:
            raise DemoError(
                f"--out {out}: cannot be written ({os.strerror(error.errno or 0)}); "
                "name another folder with --out",
                exit_code=2,
            ) from error
        else:
            return folder.absolute()
    raise DemoError(f"--out {out}: {name} is taken a hundred times over", exit_code=2)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
