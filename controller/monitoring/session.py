"""One `trimtab monitor` from start to end: processes up, addresses printed, all down in order."""

from __future__ import annotations

import asyncio
import re
import signal
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from controller.demo.processes import DemoError, ended
from controller.demo.room import ApcMode, ControlRoom
from controller.demo.stage import SHORT_S, Stage, make_folder
from controller.monitoring import watchers
from models.bundle import BundleError, load_manifest

if TYPE_CHECKING:
    from rich.console import Console

    from controller.demo.plan import Options
    from controller.demo.processes import Child

EXIT_ARTEFACT = 3
LOOK_S = 0.2
ENTRY_S = 30.0
SCENARIO = "startup"
READY = re.compile(r"^trimtab ready: .*metrics at (\S+)$", re.MULTILINE)


class Session:
    """The state of one `trimtab monitor`; `run` is its life."""

    def __init__(self, options: Options, console: Console, *, auto: bool) -> None:
        """Read the bundle's sample time and make the run's folder; raises DemoError."""
        try:
            manifest = load_manifest(options.bundle)
        except BundleError as error:
            raise DemoError(str(error), exit_code=EXIT_ARTEFACT) from error
        begun = datetime.now().astimezone()
        self.folder = make_folder(options.out, begun.strftime("monitor-%Y-%m-%dT%H-%M-%S"))
        self._options = options
        self._console = console
        self._auto = auto
        self._period_s = manifest.sample_time_s / options.speed
        self._beside: list[Child] = []

    async def run(self) -> int:
        """Start everything, keep it until Ctrl-C, stop it; 0.  Raises DemoError."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        with tempfile.TemporaryDirectory(prefix="trimtab-monitor-") as private:
            secrets = Path(private)
            stage = Stage(self._options, self.folder, secrets, self._period_s)
            acting = asyncio.create_task(self._act(stage, secrets), name="monitor")
            stopped = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({acting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if acting.done():
                    acting.result()
            finally:
                for task in (acting, stopped):
                    task.cancel()
                await asyncio.gather(acting, stopped, return_exceptions=True)
                self._say("stopping")
                await watchers.stop_pages(self._beside)
                await stage.stop()
                await watchers.stop_rest(self._beside)
        self._say(f"stopped; the record is in {self.folder}")
        return 0

    async def _act(self, stage: Stage, secrets: Path) -> None:
        """Start the processes, print where they are, and watch that they live, for ever."""
        self._say("starting the plant and the controller")
        endpoint, passwords = await stage.start_plant()
        stage.start_controller(endpoint, passwords["apc"])
        metrics = await self._scanning(stage)
        places = {"plant": endpoint, "controller": metrics}
        hmi = watchers.Hmi(self.folder, secrets, stage.journal, passwords["observer"])
        if hmi.there:
            self._beside.append(hmi.start())
            login = f"log in as operator, password {passwords['operator']}"
            places["HMI"] = f"{await hmi.url()}   ({login})"
        prometheus = watchers.Prometheus(self.folder)
        if prometheus.there:
            self._beside.append(prometheus.start(metrics))
            places["Prometheus"] = f"{await prometheus.url()}   (alerts at /alerts)"
        else:
            places["Prometheus"] = f"not installed: {watchers.INSTALL}"
        self._print(places)
        async with ControlRoom(endpoint, passwords, stage.security) as room:
            if self._auto:
                await self._select_auto(stage, room)
            while True:
                stage.check()
                for child in self._beside:
                    if not child.running:
                        raise ended(child)
                await asyncio.sleep(LOOK_S)

    async def _scanning(self, stage: Stage) -> str:
        """Wait for the first scan; the address of the metrics."""
        for _ in range(round(SHORT_S / LOOK_S)):
            stage.check()
            if stage.controller is not None:
                text = stage.controller.log.read_text(encoding="utf-8", errors="replace")
                if said := READY.search(text):
                    return said.group(1)
            await asyncio.sleep(LOOK_S)
        raise DemoError(f"the controller made no scan within {SHORT_S:.0f} s; see {self.folder}")

    async def _select_auto(self, stage: Stage, room: ControlRoom) -> None:
        """What an operator does in a startup: wait, select Auto, enter the setpoints."""
        plans = {plan.name: plan for plan in await stage.read_plans()}
        plan = plans[SCENARIO]
        while (await room.read()).plant_time_s < plan.auto_at_s:
            stage.check()
            await asyncio.sleep(LOOK_S)
        for _ in range(round(ENTRY_S / max(LOOK_S, 4.0 * self._period_s))):
            await room.select(ApcMode.MANUAL)
            await asyncio.sleep(2.0 * self._period_s)
            await room.select(ApcMode.AUTO)
            await asyncio.sleep(max(LOOK_S, 4.0 * self._period_s))
            if (await room.read()).active:
                await room.enter_setpoints(plan.setpoint)
                P, T = plan.setpoint
                self._say(f"the controller is in command; setpoints {P:g} kg/m3, {T:g} K")
                return
            stage.check()
        self._say("the controller did not take command; the HMI and the log say why")

    def _print(self, places: dict[str, str]) -> None:
        for name, place in places.items():
            self._say(f"  {name:11} {place}")
        if not self._auto:
            self._say("nothing is in AUTO until an operator selects it")
        self._say("Ctrl-C ends all of it")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
