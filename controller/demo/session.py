"""One demo from start to end: stage, play, report."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.demo import picture, report
from controller.demo.audit import condense
from controller.demo.display import Lines, Screen
from controller.demo.monitor import RANGES, Monitor
from controller.demo.plan import ORDER
from controller.demo.play import Play, Played
from controller.demo.processes import DemoError
from controller.demo.records import Records
from controller.demo.room import INPUTS, ControlRoom
from controller.demo.score import Result, score, verdict
from controller.demo.stage import Stage, make_folder
from controller.demo.trend import Trend, read_trend
from models.bundle import BundleError, load_manifest

if TYPE_CHECKING:
    from rich.console import Console

    from controller.demo.plan import Options, ScenarioPlan

EXIT_FAILED = 1
EXIT_ARTEFACT = 3
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


class Session:
    """The state of one demo; `run` is its life."""

    def __init__(self, options: Options, console: Console) -> None:
        """Read the bundle's sample time and make the run's folder; raises DemoError."""
        try:
            manifest = load_manifest(options.bundle)
        except BundleError as error:
            raise DemoError(str(error), exit_code=EXIT_ARTEFACT) from error
        begun = datetime.now().astimezone()
        self.folder = make_folder(options.out, begun.strftime("%Y-%m-%dT%H-%M-%S"))
        self._options = options
        self._console = console
        self._period_s = manifest.sample_time_s / options.speed
        self._plans: list[ScenarioPlan] = []
        self._play: Play | None = None
        self._stage: Stage | None = None
        self._acting: asyncio.Task[None] | None = None
        self._interrupted = False
        self._monitor = Monitor(end_h=options.hours, speed=options.speed, of=len(ORDER))

    async def run(self) -> int:
        """Play, stop every process, report; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        with tempfile.TemporaryDirectory(prefix="trimtab-demo-") as secrets:
            self._stage = Stage(self._options, self.folder, Path(secrets), self._period_s)
            self._acting = asyncio.create_task(self._act(self._stage), name="demo")
            (outcome,) = await asyncio.gather(self._acting, return_exceptions=True)
            await self._stage.stop()
        return self._report(outcome)

    async def _act(self, stage: Stage) -> None:
        """Start the processes and play; leaves the processes running."""
        with self._display() as display:
            display.say("starting the plant and the controller")
            (endpoint, passwords), self._plans = await asyncio.gather(
                stage.start_plant(), stage.read_plans()
            )
            stage.start_controller(endpoint, passwords["apc"])
            stage.start_baselines(self._plans)
            async with ControlRoom(endpoint, passwords, stage.security) as room:
                self._play = Play(
                    room=room,
                    stage=stage,
                    records=Records(stage.journal),
                    monitor=self._monitor,
                    display=display,
                    seed=self._options.seed,
                    period_s=self._period_s,
                )
                await stage.finish_baselines()
                await self._play.run(self._plans)

    def _display(self) -> Screen | Lines:
        if self._options.headless or not self._console.is_terminal:
            return Lines(self._console)
        return Screen(self._console)

    def _interrupt(self) -> None:
        """Ctrl-C: stop in order; once more: end the processes at once."""
        if self._acting is not None and not self._acting.done() and not self._interrupted:
            self._interrupted = True
            self._acting.cancel()
        elif self._stage is not None:
            self._stage.kill()

    def _report(self, outcome: BaseException | None) -> int:
        """Write and print what ran; the exit code."""
        code, first = _outcome(outcome)
        played = self._play.played if self._play is not None else []
        strips = [strip for item in played if (strip := self._strip(item)) is not None]
        results = [strip.result for strip in strips]
        reasons = first + verdict(
            results, [plan.name for plan in self._plans], quick=self._options.quick
        )
        report.write(self.folder, results, reasons, self._facts())
        picture.draw(self.folder / "trends.png", strips)
        if results:
            self._console.print(report.table(report.summary(results)))
        self._console.print("not passed:" if reasons else "passed", style="bold")
        for reason in reasons:
            self._console.print(f"  {reason}", markup=False, highlight=False, soft_wrap=True)
        self._console.print(f"report: {self.folder}", markup=False, highlight=False, soft_wrap=True)
        return code or (EXIT_FAILED if reasons else 0)

    def _strip(self, played: Played) -> picture.Strip | None:
        """One scenario's result; None when the plant recorded nothing of it."""
        if self._stage is None:
            return None
        plan = played.plan
        trend = read_trend(self._stage.trend, played.episode).between(0.0, played.end_s)
        if not len(trend):
            return None
        baseline = read_trend(self._stage.baseline_file(plan.name), 0)
        rows = [
            row
            for row in Records(self._stage.journal).after(played.first_scan)
            if row["scan_id"] <= played.last_scan
        ]
        start_s = played.setpoint_s
        length_s = 0.0 if start_s is None else played.end_s - start_s
        from_s = _setpoint_change(baseline, otherwise=start_s or 0.0)
        result = Result(
            scenario=plan.name,
            setpoint=plan.setpoint,
            setpoint_s=start_s,
            end_s=played.end_s,
            stopped=played.stopped,
            score=None if start_s is None else score(trend, start_s, played.end_s),
            baseline=score(baseline, from_s, from_s + length_s),
            audit=condense(rows, [RANGES[name][1] - RANGES[name][0] for name in INPUTS]),
        )
        return picture.Strip(result=result, trend=trend, baseline=baseline)

    def _facts(self) -> dict[str, Any]:
        return {
            "version": version("trimtab"),
            "seed": self._options.seed,
            "speed": self._options.speed,
            "hours": self._options.hours,
            "scan_period_s": self._period_s,
            "wall_s": round(self._monitor.wall_s, 1),
        }


def _outcome(outcome: BaseException | None) -> tuple[int, list[str]]:
    """(exit code, reasons) of how the play ended; raises what is a bug."""
    match outcome:
        case None:
            return 0, []
        case asyncio.CancelledError():
            return EXIT_INTERRUPTED, ["interrupted"]
        case DemoError():
            return outcome.exit_code, [str(outcome)]
        case _:
            raise outcome


def _setpoint_change(trend: Trend, otherwise: float) -> float:
    """When the setpoint of a trend first changes [s]."""
    moved = np.flatnonzero((np.diff(trend.P_sp) != 0) | (np.diff(trend.T_sp) != 0))
    return float(trend.plant_time_s[moved[0]]) if len(moved) else otherwise
