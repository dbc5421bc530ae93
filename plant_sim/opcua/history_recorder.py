"""What tags show, into the history: gathered on the event loop, written and read in one thread.

The tick only appends to a queue. Once a second the thread writes the queue in one transaction; a
slow disk holds up that thread and nothing else.
"""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from plant_sim.history import HistoryStore, Sample
from plant_sim.unit.tags import Tag

MAX_PENDING = 50_000
"""Samples that wait for a disk; past that the oldest are lost."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_Found = TypeVar("_Found")
_log = structlog.get_logger("plant_sim.opcua.history_recorder")


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 of an instant with a time zone."""
    return (instant - EPOCH) // _MICROSECOND


class HistoryRecorder:
    """One unit's history."""

    def __init__(
        self, store: HistoryStore, *, interval_s: float, number: int | None = None
    ) -> None:
        """interval_s: time between two samples of a tag that is published every tick.

        number: of the unit, where there are several; it is in every line logged here.
        """
        self.failure = ""
        self._reported = ""
        self._log = _log if number is None else _log.bind(unit=number)
        self._store = store
        self._interval_us = round(interval_s * 1e6)
        self._newest: dict[int, Sample] = {}
        self._pending: deque[Sample] = deque(maxlen=MAX_PENDING)
        self._unwritten: deque[Sample] = deque(maxlen=MAX_PENDING)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._writing: Future[None] | None = None

    def record(self, tag: Tag, value: float | None, status: int, utc: datetime) -> None:
        """Take what a tag shows since `utc`, unless it is scanned and was taken just before.

        A change of status is always taken. value: None with a bad status.
        """
        sample = Sample(tag.number, microseconds(utc), value, status)
        newest = self._newest.get(tag.number)
        if (
            tag.scanned
            and newest is not None
            and newest.status == status
            and 0 <= sample.time_us - newest.time_us < self._interval_us
        ):
            return
        self._newest[tag.number] = sample
        self._pending.append(sample)

    def flush(self) -> None:
        """Have the thread write what waits, unless it still writes; say where it cannot."""
        self._report()
        if self._pending and (self._writing is None or self._writing.done()):
            self._writing = self._thread.submit(self._write)

    async def read(self, work: Callable[[HistoryStore], _Found]) -> _Found:
        """Run `work` in the thread, with all that was recorded written before.

        Raises what `work` raises.
        """

        def run() -> _Found:
            self._write()
            return work(self._store)

        return await asyncio.wrap_future(self._thread.submit(run))

    def close(self) -> None:
        """Write what waits and close the store."""
        self._thread.submit(self._write).result()
        self._thread.shutdown()
        self._report()
        self._store.close()

    def _report(self) -> None:
        failure = self.failure
        if failure and not self._reported:
            self._log.error("history cannot be written", error=failure)
        elif self._reported and not failure:
            self._log.info("history is written again")
        self._reported = failure

    def _write(self) -> None:
        """In the thread. What could not be written is tried again the next time."""
        while self._pending:
            self._unwritten.append(self._pending.popleft())
        if not self._unwritten:
            return
        try:
            self._store.write(self._unwritten, time.time_ns() // 1000)
        except sqlite3.Error as error:
            self.failure = str(error)
        else:
            self.failure = ""
            self._unwritten.clear()
