"""The processes of a fleet: one plant with many reactors, one controller for each of them.

Plant and controllers run by their commands, as systemd would start them, in a temporary folder; an
operator puts every controller into AUTO over OPC UA.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import psutil
from asyncua import Client, ua
from prometheus_client.parser import text_string_to_metric_families

from controller.configuration.settings import default_config_dir
from controller.demo.processes import DemoError, command, ended, start, stop, wait_for_file
from controller.demo.room import NAMESPACE, ApcMode, read_passwords

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence
    from pathlib import Path

    from controller.demo.processes import Child

T = TypeVar("T")

PLANT_READY_S = 180.0
CONTROLLER_READY_S = 120.0
AUTO_S = 30.0
"""How long the operator waits for Active before the next try."""
TRIES = 3
STOP_S = 15.0
POLL_S = 0.1
READY = re.compile(r"^trimtab ready: .*metrics at (\S+)$", re.MULTILINE)

CONTROLLER_TOML = """\
[server]
url = {url}
user = "apc"
password_file = {password_file}
owner = "fleet"

[security]
policy = "None"
insecure = true

[scan]
period_s = {period_s}

[tags]
path = {tags}

[journal]
path = {journal}

[metrics]
port = 0

[log]
format = "json"
"""


class FleetError(Exception):
    """The fleet could not be brought up, or did not stay up; the message says what and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process has used since it began: CPU seconds (user and system)."""

    cpu_s: float
    at_s: float = field(default_factory=time.monotonic)


@dataclass(slots=True, kw_only=True)
class Instance:
    """One reactor's controller.  ready_s, ready_cpu_s: from its start to its first scan."""

    number: int
    endpoint: str
    folder: Path
    child: Child
    started_s: float
    metrics_url: str = ""
    ready_s: float = 0.0
    ready_cpu_s: float = 0.0

    @property
    def journal(self) -> Path:
        """The audit record."""
        return self.folder / "journal.db"


class FleetStage:
    """Starts the processes, brings the controllers to AUTO, stops everything."""

    def __init__(self, folder: Path, *, units: int, speed: float, period_s: float) -> None:
        self.plant: Child | None = None
        self.instances: list[Instance] = []
        self._folder = folder
        self._units = units
        self._speed = speed
        self._period_s = period_s
        self._passwords: dict[str, str] = {}

    async def start_plant(self) -> list[str]:
        """Start one plant with every reactor; their endpoints."""
        ready, users = self._folder / "ready.json", self._folder / "users.toml"
        arguments = ["serve", "--units", str(self._units), "--port", "0", "--noise", "--insecure"]
        arguments += ["--speed", f"{self._speed:g}", "--credentials", str(users)]
        arguments += ["--ready-file", str(ready)]
        self.plant = start(
            "trimtab-plant", [*command("trimtab-plant"), *arguments], log=self._folder / "plant.log"
        )
        found = json.loads(await wait_for_file(ready, self.plant, PLANT_READY_S))
        self._passwords = read_passwords(users)
        (self._folder / "apc.password").touch(mode=0o600)
        (self._folder / "apc.password").write_text(self._passwords["apc"], encoding="utf-8")
        return list(found.get("endpoints", [found["endpoint"]]))

    async def start_controllers(self, endpoints: Sequence[str]) -> None:
        """Start every controller at once and wait until each has made its first scan."""
        for number, endpoint in enumerate(endpoints, start=1):
            self.instances.append(self._start_controller(number, endpoint))
        await together(self._first_scan(instance) for instance in self.instances)

    def _start_controller(self, number: int, endpoint: str) -> Instance:
        folder = self._folder / f"R{100 + number}"
        folder.mkdir()
        settings = folder / "controller.toml"
        settings.write_text(
            CONTROLLER_TOML.format(
                url=json.dumps(endpoint),
                password_file=json.dumps(str(self._folder / "apc.password")),
                period_s=self._period_s,
                tags=json.dumps(str(default_config_dir() / "tags.toml")),
                journal=json.dumps(str(folder / "journal.db")),
            ),
            encoding="utf-8",
        )
        child = start(
            f"trimtab run ({folder.name})",
            [*command("trimtab"), "run", "--config", str(settings)],
            log=folder / "controller.log",
        )
        return Instance(
            number=number, endpoint=endpoint, folder=folder, child=child,
            started_s=time.monotonic(),
        )  # fmt: skip

    async def _first_scan(self, instance: Instance) -> None:
        while time.monotonic() < instance.started_s + CONTROLLER_READY_S:
            said = READY.search(instance.child.log.read_text(encoding="utf-8", errors="replace"))
            if said is not None:
                instance.metrics_url = said.group(1)
                instance.ready_s = time.monotonic() - instance.started_s
                instance.ready_cpu_s = usage(instance.child).cpu_s
                return
            self.check()
            await asyncio.sleep(POLL_S)
        raise FleetError(f"{instance.child.name} made no scan within {CONTROLLER_READY_S:.0f} s")

    async def select_auto(self) -> list[int]:
        """The operator selects Auto on every unit; the numbers of those that never went active."""
        try:
            active = await together(self._enter_auto(each) for each in self.instances)
        except (ua.UaError, OSError, TimeoutError) as error:
            raise FleetError(f"the plant did not answer the operator: {error!r}") from error
        return [each.number for each, on in zip(self.instances, active, strict=True) if not on]

    async def _enter_auto(self, instance: Instance) -> bool:
        client = Client(instance.endpoint, timeout=10)
        client.set_user("operator")
        client.set_password(self._passwords["operator"])
        async with client:
            index = await client.get_namespace_index(NAMESPACE)
            block = await client.nodes.objects.get_child([f"{index}:APC"])
            mode = await block.get_child([f"{index}:Mode"])
            active = await block.get_child([f"{index}:Active"])
            for _ in range(TRIES):  # Auto counts from the moment it is selected
                for position in (ApcMode.MANUAL, ApcMode.AUTO):
                    await mode.write_value(ua.Variant(int(position), ua.VariantType.Int32))
                    await asyncio.sleep(2.0 * self._period_s)
                end_s = time.monotonic() + AUTO_S
                while time.monotonic() < end_s:
                    self.check()
                    if await active.read_value():
                        return True
                    await asyncio.sleep(POLL_S)
        return False

    def check(self) -> None:
        """Raise FleetError when a process that is needed has ended."""
        for child in (self.plant, *(instance.child for instance in self.instances)):
            if child is not None and not child.running:
                raise FleetError(str(ended(child)))

    async def stop(self) -> None:
        """The controllers first, so that they shed in order; then the plant."""
        children = [instance.child for instance in self.instances]
        await asyncio.gather(*(stop(child, signal.SIGINT, STOP_S) for child in children))
        if self.plant is not None:
            await stop(self.plant, signal.SIGTERM, STOP_S)


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The answers of all; where one fails the others are ended first, then it is raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def usage(child: Child) -> Usage:
    """CPU seconds of a process so far."""
    times = psutil.Process(child.process.pid).cpu_times()
    return Usage(cpu_s=times.user + times.system)


def memory_bytes(child: Child) -> float:
    """Its proportional set size: its own pages, and its share of those it has in common."""
    return float(psutil.Process(child.process.pid).memory_full_info().pss)


def scrape(url: str) -> dict[str, float]:
    """Sample name, or the name and the mode -> value, of one controller's metrics."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - a loopback http address
        text = answer.read().decode()
    return {
        f"{sample.name} {sample.labels.get(sample.name, '')}".strip(): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels or sample.name == "trimtab_mode"
    }


__all__ = ["DemoError", "FleetError", "FleetStage", "Instance", "memory_bytes", "scrape", "usage"]
