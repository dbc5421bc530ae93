"""One unit watched: its plant and its journal, brought together at most four times a second.

What pages show is computed once a change, whoever and however many look.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from controller.hmi.alarms import counted
from controller.hmi.journal_tail import JournalTail
from controller.hmi.plant_line import PlantLine
from controller.hmi.trend import Trend, journaled
from controller.hmi.values import Seen
from controller.hmi.view import details, summary
from controller.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.hmi.fleet import Unit
    from controller.hmi.hub import Hub

COMPUTED_S = 0.25
"""Shortest distance of two views."""

LOOKED_S = 0.25
"""How often the journal is looked at."""

SHORTEST_SAMPLE_S, LONGEST_SAMPLE_S = 0.25, 1.0
IDLE_S = 1.0
"""A view is computed so often even when nothing changes: ages grow."""

FAULTED = "the HMI failed on what this unit told, and tries again; its log has the error"
FAULT_PAUSE_S = 3.0
"""Time from a fault of one unit's watch to its next attempt."""

HEARTBEAT_IN = "handshake.heartbeat_in"


class Watch:
    """One unit for as long as the HMI runs."""

    def __init__(self, unit: Unit, hub: Hub, changed: Callable[[], None]) -> None:
        """changed: called when the summary or the alarms of this unit are others."""
        self.unit = unit
        self.line = PlantLine(unit, self._notice, self._notice_alarms)
        self.tail = JournalTail(unit.journal)
        self.trend = Trend(unit.binding)
        self.summary: dict[str, Any] = {}
        self.alarms: list[dict[str, Any]] = []
        self._hub, self._changed = hub, changed
        self._log = logger("hmi").bind(unit=unit.name)
        self._news = asyncio.Event()
        self._alarmed = True
        self._beat: object = None
        self._beat_s: float | None = None
        self._sampled_s = 0.0
        self._problem = ""

    async def run(self) -> None:
        """Watch until cancelled; a fault of this unit is shown as its own and ends no other."""
        this = asyncio.current_task()
        while True:
            try:
                await asyncio.create_task(self._attempt())
            except Exception as error:  # noqa: BLE001 - whatever one unit's words have caused
                self._fail(error)
            if this is not None and this.cancelling():
                # A group of tasks that ends by a fault forgets that it was cancelled meanwhile.
                raise asyncio.CancelledError
            await asyncio.sleep(FAULT_PAUSE_S)

    def begin(self) -> None:
        """Show the unit for the first time; a fault is told as one, and does not end the others."""
        try:
            self.show()
        except Exception as error:  # noqa: BLE001 - as in run
            self._fail(error)

    async def _attempt(self) -> None:
        """Watch until something fails."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.line.run())
                group.create_task(self._follow_journal())
                group.create_task(self._show())
        finally:
            self.tail.close()

    def _fail(self, error: Exception) -> None:
        """Show the unit as at the start, with the fault as the reason."""
        self._log.error("unit_fault", exc_info=error)
        self.tail = JournalTail(self.unit.journal)
        self.line.fail(FAULTED)
        try:
            self.show()
        except Exception as again:  # noqa: BLE001 - as above
            self._log.error("unit_fault", exc_info=again)

    def seen(self) -> Seen:
        """What is known now."""
        now = monotonic()
        line = self.line
        return Seen(
            image=line.image.measurements(),
            connected=line.connected,
            problem=line.problem,
            now=datetime.now(UTC),
            monotonic_s=now,
            tail=self.tail.tail,
            ranges=line.ranges,
            limits=line.limits,
            sources=line.sources,
            standing={alarm.key: alarm for alarm in line.alarms.all()},
            alarms={**counted(line.alarms.all()), "told": line.has_alarms},
            missing=line.missing,
            beat_s=None if self._beat_s is None else now - self._beat_s,
            dcs_beat_s=line.image.heartbeat_age_s(now),
        )

    def _notice(self) -> None:
        beat = self.line.image.value(HEARTBEAT_IN)
        if not self.line.connected:
            self._beat = self._beat_s = None
        elif beat != self._beat:
            self._beat_s = None if self._beat is None else monotonic()
            self._beat = beat
        self._news.set()

    def _notice_alarms(self) -> None:
        self._alarmed = True
        self._news.set()

    async def _show(self) -> None:
        """Compute and publish what changed."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._news.wait()
            self._news.clear()
            self.show()
            await asyncio.sleep(COMPUTED_S)

    def show(self) -> None:
        """Compute and publish what is known now."""
        seen = self.seen()
        short = summary(self.unit, seen)
        whole = {**short, **details(self.unit, seen)}
        self._hub.publish(f"unit/{self.unit.name}", "unit", whole)
        self.summary = short  # what cannot be told of one unit is not told of all
        if self._alarmed:
            self._alarmed = False
            stale = not seen.connected
            self.alarms = [
                alarm.document(self.unit.name, stale=stale) for alarm in self.line.alarms.all()
            ]
        self._changed()
        self._sample(seen)

    async def _follow_journal(self) -> None:
        scans = await self.tail.past()
        self.trend.prefill(
            (datetime.fromisoformat(scan["utc"]).timestamp(), scan) for scan in scans
        )
        while True:
            if await self.tail.poll():
                self._news.set()
            problem = self.tail.tail.problem
            if problem != self._problem:
                self._problem = problem
                self._log.info("journal", problem=problem or None, path=str(self.unit.journal))
            await asyncio.sleep(LOOKED_S)

    def _sample(self, seen: Seen) -> None:
        """Take a sample for the trend, when one is due."""
        period = self.unit.settings.scan.period_s
        every_s = min(max(period, SHORTEST_SAMPLE_S), LONGEST_SAMPLE_S)
        now = seen.now.timestamp()
        if now - self._sampled_s < every_s - 0.05 or not (seen.connected or self._sampled_s):
            return
        self._sampled_s = now
        scan = seen.tail.scan
        fresh = scan is not None and self.summary["controller"] == "running"
        values = journaled(self.unit.binding, scan, loops=False) if fresh and scan else {}
        if seen.connected:
            for cv in self.unit.binding.cvs:
                values[f"pv/{cv.name}"] = seen.number(cv.pv.key, cv.pv.conversion)
                values[f"sp/{cv.name}"] = seen.number(cv.sp.key, cv.sp.conversion)
            for mv in self.unit.binding.mvs:
                values[f"actual/{mv.name}"] = seen.number(mv.actual.key, mv.conversion)
        self.trend.add(now, values)


class Station:
    """All units watched, and what is told of them together."""

    def __init__(self, units: dict[str, Unit], hub: Hub) -> None:
        self.hub = hub
        self.watches = {name: Watch(unit, hub, self._changed) for name, unit in units.items()}
        self._due = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watch in self.watches.values():
                watch.begin()
                group.create_task(watch.run())
            group.create_task(self._tell())

    def alarms(self) -> list[dict[str, Any]]:
        """The alarms of all units, the most urgent first."""
        ranks = {"unacknowledged": 0, "acknowledged": 1, "returned": 2}
        return sorted(
            (alarm for watch in self.watches.values() for alarm in watch.alarms),
            key=lambda alarm: (ranks.get(alarm["state"], 3), -alarm["severity"]),
        )

    def tell(self) -> None:
        """Publish what is told of all units together."""
        units = [watch.summary for watch in self.watches.values() if watch.summary]
        self.hub.publish("units", "units", units)
        self.hub.publish("alarms", "alarms", self.alarms())

    def _changed(self) -> None:
        self._due.set()

    async def _tell(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            self.tell()
            await asyncio.sleep(COMPUTED_S)
