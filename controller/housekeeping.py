"""What is done beside the scans and off their path: refresh slow metrics, watch the journal."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from controller.core.types import Quality
from controller.logs import logger
from controller.metrics import ALARM_PRIORITIES, ALARM_STATES

if TYPE_CHECKING:
    from datetime import datetime

    from controller.journal.writer import Journal
    from controller.metrics import Metrics
    from controller.opcua.link import Link
    from controller.reporting import Reporter
    from controller.timing import GridPoint

PERIOD_S = 1.0

_LEVELS = {Quality.GOOD: 2.0, Quality.UNCERTAIN: 1.0, Quality.BAD: 0.0}


class Housekeeping:
    """One pass a second: tag quality and time, health of the journal, alarms of the plant."""

    def __init__(
        self, *, link: Link, metrics: Metrics, journal: Journal, reporter: Reporter
    ) -> None:
        self._link = link
        self._metrics = metrics
        self._journal = journal
        self._reporter = reporter
        self._log = logger("housekeeping")
        self._failing = False
        self._counts: dict[tuple[str, str], int] | None = None
        self._gauges = {
            (priority, state): metrics.alarms.labels(priority, state)
            for priority in ALARM_PRIORITIES
            for state in ALARM_STATES
        }
        self._shown: dict[str, tuple[Quality, datetime | None]] = {}

    async def run(self, _point: GridPoint) -> None:
        """Do one pass."""
        self._tags()
        self._health()
        await self._alarms()

    def _tags(self) -> None:
        """The worse of what the last scan or look judged and what was delivered since."""
        judged = self._reporter.quality
        connected = self._link.connected
        for tag, held in self._link.image().items():
            quality = _worse(judged.get(tag), held.quality) if connected else Quality.BAD
            now = quality, held.source_time
            if self._shown.get(tag) == now:  # most tags rest, and a label costs more than a look
                continue
            self._shown[tag] = now
            self._metrics.tag_quality.labels(tag).set(_LEVELS[quality])
            if held.source_time is not None:
                stamp = held.source_time.timestamp()
                self._metrics.tag_source_time.labels(tag).set(stamp)

    async def _alarms(self) -> None:
        """NaN while the plant tells of no alarms: none is something else."""
        counts = await self._link.alarms()
        if counts == self._counts:
            return
        self._counts = None if counts is None else dict(counts)
        for series, gauge in self._gauges.items():
            gauge.set(nan if counts is None else counts.get(series, 0))

    def _health(self) -> None:
        health = self._journal.health()
        self._metrics.journal_failing.set(health.failing)
        self._metrics.journal_lost.set(health.lost)
        self._metrics.journal_waiting.set(health.waiting)
        if health.failing and not self._failing:
            self._log.error("journal_failing", error=health.error, waiting=health.waiting)
        if self._failing and not health.failing:
            self._log.info("journal_writes_again", lost=health.lost)
        self._failing = health.failing


def _worse(judged: Quality | None, delivered: Quality) -> Quality:
    return delivered if judged is None else min(judged, delivered, key=_LEVELS.__getitem__)
