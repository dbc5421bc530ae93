"""One controller as a running service: built, started, supervised, ended in order.

Two jobs share the work: the scan, at the model's sample time, and the supervision tick, which beats
the heartbeat while the last complete scan is younger than 1.5 periods.  When anything unexpected
happens the scans stop, the plant is told or, failing that, notices the heartbeat, and its own PI
takes the MVs back.
"""

from __future__ import annotations

import asyncio
import gc
import platform
import signal
import socket
import sys
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from controller import startup
from controller.advisor import Advisor
from controller.announcer import Announcer
from controller.core.conditions import Circumstances
from controller.core.types import Tick
from controller.cycle import Cycle
from controller.errors import ConfigError, PlantRefusedError
from controller.exposition import MetricsServer
from controller.housekeeping import PERIOD_S, Housekeeping
from controller.journal.writer import Event, Journal, RunInfo
from controller.logs import logger, scan_bound
from controller.metrics import Metrics
from controller.opcua.link import Link
from controller.policy.foreign import ForeignPolicy
from controller.refusals import explain
from controller.reporting import Reporter
from controller.timing import GridJob

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from controller.startup import Prepared
    from controller.timing import GridPoint

FRESH_PERIODS = 1.5
"""The last complete scan must be younger than this many periods for the heart to beat."""

POLL_SHARE = 0.9
"""A tick polls by itself when the last poll is older than this share of a tick."""

JOURNAL_CLOSE_S = 5.0
"""With the requests of an orderly end this stays below the unit's TimeoutStopSec."""

STOPPED = "controller stopped"
EXIT_OK, EXIT_FAULT = 0, 1


Job: TypeAlias = "Callable[[GridPoint], Awaitable[None]]"


class Service:
    """One controller from `run` to its end; use once."""

    def __init__(self, prepared: Prepared, config_file: Path) -> None:
        self._prepared = prepared
        self._config_file = config_file
        self._log = logger("service")
        self._metrics = Metrics(prepared.labelling)
        self._stop = asyncio.Event()
        self._stop_reason = STOPPED
        self._fault: BaseException | None = None
        self._journal: Journal | None = None
        self._scans = 0
        self._completed_s = float("-inf")
        self._reported = -1
        self._announcer = Announcer()
        options = prepared.policy_options
        self._policy = None if options is None else ForeignPolicy(options, self._metrics)
        self._link = Link(
            endpoint=prepared.endpoint,
            wanted=prepared.wanted,
            binding=prepared.binding,
            options=prepared.link_options,
            metrics=self._metrics,
        )

    async def run(self) -> int:
        """Run until a signal or a fault; return the exit code.

        Raises ConfigError and PlantRefusedError while starting; nothing stays open then.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        server = self._serve_metrics()
        try:
            self._announcer.status(f"starting: connecting to {self._prepared.endpoint.url}")
            if not await self._policy_answers():
                return EXIT_OK
            failure = await self._link.open(self._failed, self._admit)
            if failure is not None:
                prepared = self._prepared
                reason = explain(failure, prepared.endpoint, prepared.tags_file)
                raise PlantRefusedError(reason)
            await self._operate(self._opened_journal(), server)
        finally:
            await self._protected("link", self._link.close)
            if self._policy is not None:
                await self._protected("policy", self._policy.close)
            await self._protected("journal", self._close_journal)
            await self._protected("announcer", self._announcer.close)
            if server is not None:
                await self._protected("metrics", server.close)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        return EXIT_OK if self._fault is None else EXIT_FAULT

    async def _protected(self, what: str, work: Callable[[], Awaitable[None] | None]) -> None:
        """Do one step of the end; a bug in it must not keep the other steps from being done."""
        try:
            waiting = work()
            if waiting is not None:
                await waiting
        except Exception as error:  # noqa: BLE001 - logged, and the exit code tells
            self._log.error("end_failed", step=what, error=str(error), exc_info=error)
            self._fault = self._fault or error

    async def _operate(self, journal: Journal, server: MetricsServer | None) -> None:
        """Build what is left, start the jobs, wait for the end, and end in order."""
        prepared, record = self._prepared, journal.record
        reporter = Reporter(
            metrics=self._metrics,
            binding=prepared.binding,
            yardsticks=prepared.yardsticks,
            record=record,
        )
        cycle = Cycle(
            line=self._link,
            adviser=Advisor(prepared.runtime),
            binding=prepared.binding,
            rules=prepared.rules,
            surroundings=partial(self._surroundings, journal),
            policy=self._policy,
        )
        keeping = Housekeeping(
            link=self._link, metrics=self._metrics, journal=journal, reporter=reporter
        )
        scheduler = AsyncIOScheduler(timezone=UTC)
        scan_s, tick_s = prepared.settings.scan.period_s, prepared.settings.scan.supervision_s
        work: dict[str, tuple[float, Job]] = {
            "scan": (scan_s, partial(self._scan, cycle, reporter, server)),
            "supervision": (tick_s, partial(self._supervise, cycle, reporter)),
            "housekeeping": (PERIOD_S, keeping.run),
        }
        jobs = {
            name: GridJob(scheduler, name, period, partial(self._guarded, job))
            for name, (period, job) in work.items()
        }
        record(Event(kind="start", utc=datetime.now(UTC), detail={"url": prepared.endpoint.url}))
        scheduler.start()
        gc.collect()
        gc.freeze()
        _start(jobs, scan_s, tick_s)
        try:
            await self._stop.wait()
        finally:
            for job in jobs.values():
                job.stop()
            await self._protected("shed", partial(self._end, cycle, journal))
            await self._protected("scheduler", partial(scheduler.shutdown, wait=False))
            await asyncio.sleep(0)
            gc.unfreeze()

    async def _end(self, cycle: Cycle, journal: Journal) -> None:
        """Hand the MVs back and say why the run ended."""
        self._announcer.stopping()
        self._announcer.status(f"stopping: {self._stop_reason}")
        before = cycle.state
        self._link.unhurried()
        failure = await cycle.stop(self._stop_reason)
        if failure is not None:
            self._log.error("shed_not_confirmed", reason=failure.detail)
        detail = {"reason": self._stop_reason, "mode": before.mode.value, "scans": self._scans}
        journal.record(Event(kind="stop", utc=datetime.now(UTC), detail=detail))
        self._log.info("stopped", **detail)

    # ------------------------------------------------------------------ jobs

    async def _guarded(self, work: Job, point: GridPoint) -> None:
        """Run one job; whatever it raises is a bug, and ends the service with a shed."""
        try:
            await work(point)
        except Exception as error:  # noqa: BLE001 - the one place; see the module's docstring
            self._failed(error)

    async def _scan(
        self, cycle: Cycle, reporter: Reporter, server: MetricsServer | None, point: GridPoint
    ) -> None:
        scan = self._prepared.settings.scan
        deadline = point.planned_s + scan.deadline_s
        tick = Tick(
            scan_id=self._scans,
            due_s=point.planned_s,
            started_s=point.started_s,
            budget_s=max(0.0, deadline - point.started_s),
            skipped=point.skipped,
        )
        with scan_bound(tick.scan_id):
            report = await cycle.scan(tick)
            self._scans += 1
            self._completed_s = asyncio.get_running_loop().time()
            reporter.scan(report)
        if self._scans == 1:
            self._ready(server)

    async def _supervise(self, cycle: Cycle, reporter: Reporter, point: GridPoint) -> None:
        scan = self._prepared.settings.scan
        tick = Tick(
            scan_id=self._scans,
            due_s=point.planned_s,
            started_s=point.started_s,
            budget_s=scan.supervision_s,
        )
        stale = self._link.poll_age_s > POLL_SHARE * scan.supervision_s
        seen = await cycle.supervise(tick, poll=stale)
        reporter.look(seen)
        age = asyncio.get_running_loop().time() - self._completed_s
        fresh = age < FRESH_PERIODS * scan.period_s and not self._stop.is_set()
        if fresh:
            self._announcer.alive()
        self._announcer.status(self._status(cycle))
        news = reporter.diagnostics() if self._scans != self._reported else {}
        self._reported = self._scans
        await self._link.beat(news, alive=fresh and cycle.may_beat)
        self._metrics.release_due.set(bool(cycle.unconfirmed))

    def _status(self, cycle: Cycle) -> str:
        """Mode, why, what the DCS owes, and the line, in words that change when something does."""
        state, link = cycle.state, self._link
        owed = "" if cycle.unconfirmed in state.reason else f"; {cycle.unconfirmed}"
        line = "" if link.connected else f"; no connection to {self._prepared.endpoint.url}"
        reason = f": {state.reason}" if state.reason else ""
        return f"{state.mode.value}{reason}{owed}{line}"

    # ------------------------------------------------------------------ surroundings

    def _surroundings(self, journal: Journal) -> Circumstances:
        return Circumstances(
            read_only=self._prepared.read_only,
            stopping=self._stop.is_set(),
            journal_failed=journal.health().failing,
            period_problem=self._period_problem(),
            shed_on_journal=self._prepared.settings.journal.on_failure == "shed",
        )

    def _period_problem(self) -> str:
        """Why the scan period does not fit the plant's present speed, "" when it does."""
        prepared = self._prepared
        if prepared.read_only or not self._link.connected:
            return ""
        return startup.check_period(prepared, self._link.image()) or ""

    def _failed(self, error: BaseException) -> None:
        """End the service because of a bug, with the cause in the log."""
        if self._fault is None:
            self._fault = error
            self._stop_reason = f"controller fault: {type(error).__name__}"
            self._log.error("fault", error=str(error), exc_info=error)
        self._stop.set()

    def _admit(self, image: startup.Image) -> None:
        """Last checks before the first write to the plant.  Raises ConfigError.

        A scan period that does not fit is refused; a read-only controller only says so.
        """
        if not self._prepared.read_only:
            startup.admit(self._prepared, self._config_file, image)
        elif (problem := startup.check_period(self._prepared, image)) is not None:
            self._log.warning("scan_period", problem=problem)
        self._opened_journal()

    def _ready(self, server: MetricsServer | None) -> None:
        """Say, once, that the controller works: to the service manager and to the user."""
        self._announcer.ready()
        prepared, scan, warm = self._prepared, self._prepared.settings.scan, self._prepared.warm_up
        self._log.info("model_warm", first_s=warm.first_s, then_s=warm.then_s)
        what = "shadowing (read-only)" if prepared.read_only else "controlling"
        metrics = f", metrics at {server.url}" if server is not None else ""
        sys.stdout.write(
            f"trimtab ready: {what} {prepared.endpoint.url}, "
            f"a scan every {scan.period_s:g} s, a move in {1e3 * warm.then_s:.1f} ms{metrics}\n"
        )
        sys.stdout.flush()

    # ------------------------------------------------------------------ resources

    async def _policy_answers(self) -> bool:
        """Start a foreign policy before the plant is touched; False when told to stop meanwhile.

        Raises ConfigError when it does not answer.
        """
        wanted = self._prepared.settings.policy
        if self._policy is None or wanted is None:
            return True
        start = asyncio.create_task(self._policy.start(self._failed))
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not start.done():
            start.cancel()
            await asyncio.wait({start})
            return False
        reason = start.result()
        if reason is not None:
            raise startup.policy_refused(wanted, self._config_file, reason)
        return True

    def _serve_metrics(self) -> MetricsServer | None:
        wanted = self._prepared.settings.metrics
        if not wanted.enabled:
            return None
        try:
            return MetricsServer(self._metrics.registry, wanted.host, wanted.port)
        except OSError as error:
            raise ConfigError(
                file=self._config_file, key="metrics.port", received=wanted.port,
                allowed="a free port, or 0 for any",
                action=f"choose another port or end the program that has it ({error.strerror})",
            ) from None  # fmt: skip

    def _opened_journal(self) -> Journal:
        """Return the journal of this run; opens it the first time.  Raises ConfigError."""
        if self._journal is None:
            self._journal = self._open_journal()
        return self._journal

    async def _close_journal(self) -> None:
        """Write what is waiting; say so when a record is lost."""
        if self._journal is not None:
            health = await asyncio.to_thread(self._journal.close, JOURNAL_CLOSE_S)
            if health.lost or health.waiting:
                self._log.error("journal_incomplete", lost=health.lost, error=health.error)

    def _open_journal(self) -> Journal:
        prepared = self._prepared
        settings = prepared.settings.journal
        files = (self._config_file, prepared.tags_file)
        info = RunInfo(
            host=socket.gethostname(),
            versions={
                "python": platform.python_version(),
                **{name: version(name) for name in ("trimtab", "asyncua", "numpy")},
            },
            bundle=str(prepared.bundle),
            manifest_sha256=prepared.manifest_sha256,
            config={path.name: path.read_text(encoding="utf-8") for path in files},
        )
        return Journal.open(settings.path, info, queue_records=settings.queue_records)


def _start(jobs: dict[str, GridJob], scan_s: float, tick_s: float) -> None:
    """Scan at once, then on the grid; ticks fall between scans, housekeeping beside both."""
    now = asyncio.get_running_loop().time()
    jobs["scan"].start(now - scan_s)
    jobs["supervision"].start(now - 0.5 * tick_s)
    jobs["housekeeping"].start(now - 0.25 * tick_s)
