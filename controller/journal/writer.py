"""The audit record: one row a scan and an event, in SQLite, chained by hashes.

The scan hands a frozen report to a bounded queue and goes on; a thread turns it into JSON and
writes it.  When the disk fails the thread tries again, records that find no room in the queue are
counted, and the gap itself is recorded once writing works again.  A record that cannot be stored
whatever the disk does is left out, counted and told in the same way; the others are written.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from controller.core.report import CycleReport
from controller.errors import ConfigError
from controller.journal.chain import Row, append, prepare
from controller.journal.document import encode, scan_document, storable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOST = "records_lost"
RETRY_S = 1.0
LOCKED_S = 1.0
"""How long an attempt waits for another process that holds the file."""

LATE_S = 5.0
"""Age of a record not on the disk that counts as a failure: a disk may hang without a word."""

ROW_FAULTS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError)
"""SQLite's complaints about the row and not about the disk: trying again cannot help."""

_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a run was made of.

    versions: package -> version.  config: file name -> its text, as read.
    """

    host: str
    versions: Mapping[str, str]
    bundle: str
    manifest_sha256: str
    config: Mapping[str, str]
    started: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something beside the scans: an operator's action, a shed, a start, a stop.

    detail: names to numbers, words, lists or tables of them.
    """

    kind: str
    utc: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHealth:
    """How the writing goes.

    failing: the last attempt failed, a record is lost and the journal does not say so yet, the
    oldest record waits too long, or the thread has died.  failures: failed attempts.  lost: records
    that are gone.  waiting: records in the queue.  error: why it is failing, as far as known.
    """

    failing: bool
    failures: int
    lost: int
    waiting: int
    written: int
    error: str


Item: TypeAlias = CycleReport | Event


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A record and the monotonic time at which it was handed over."""

    item: Item
    since_s: float


class Journal:
    """One run's writer.  `record` never blocks and never raises."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        run: int,
        queue_records: int,
        late_s: float = LATE_S,
    ) -> None:
        self.run = run
        self._connection = connection
        self._late_s = late_s
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(maxsize=queue_records)
        self._hand: list[_Waiting] = []
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._failing = self._dead = False
        self._failures = self._lost = self._unreported = self._written = 0
        self._error = ""
        # A daemon: after `close` nothing may keep a stopped controller alive, not even a hung disk.
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)

    @classmethod
    def open(
        cls, path: Path, info: RunInfo, *, queue_records: int = 1024, late_s: float = LATE_S
    ) -> Self:
        """Open or create the file, write the run's row, start the thread.  Raises ConfigError.

        late_s: age of the oldest record not yet written from which on the journal is failing.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                path, timeout=LOCKED_S, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from None
        try:
            run = _begin(connection, info)
        except sqlite3.Error as error:
            connection.close()
            raise _unusable(path, error) from None
        journal = cls(connection, run, queue_records, late_s)
        journal._thread.start()
        return journal

    def record(self, item: Item) -> bool:
        """Hand over a scan's report or an event.  False when it is lost: no room, or no writer."""
        try:
            self._queue.put_nowait(_Waiting(item=item, since_s=monotonic()))
        except queue.Full:
            self._lose(1, "the queue of records is full")
            return False
        if self._dead:
            self._bury()
            return False
        return True

    def health(self) -> JournalHealth:
        """Return how the writing goes."""
        age = self._oldest_s()
        with self._lock:
            late = age > self._late_s
            slow = f"a record has been waiting to be written for {age:.0f} s" if late else ""
            return JournalHealth(
                failing=self._failing or self._dead or self._unreported > 0 or late,
                failures=self._failures,
                lost=self._lost,
                waiting=self._queue.qsize(),
                written=self._written,
                error=self._error or slow,
            )

    def close(self, timeout_s: float = 10.0) -> JournalHealth:
        """Write what is waiting, and end.  What cannot be written by then counts as lost."""
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._dead = True
            self._bury("the disk did not answer until the end")
        else:
            self._connection.close()
            if self._dead:
                self._bury()
        return self.health()

    def _oldest_s(self) -> float:
        """Age of the oldest record that is not on the disk, 0 when there is none."""
        with self._queue.mutex:
            waiting = [entry for entry in (*self._hand, *self._queue.queue) if entry is not None]
        return max((monotonic() - entry.since_s for entry in waiting[:1]), default=0.0)

    def _lose(self, count: int, error: str) -> None:
        with self._lock:
            self._lost += count
            self._unreported += count
            self._error = error

    def _bury(self, error: str = "") -> None:
        """Nobody will write again: everything that waits is lost."""
        waiting = len(self._hand)
        self._hand = []
        with contextlib.suppress(queue.Empty):
            while True:
                waiting += self._queue.get_nowait() is not None
        self._lose(waiting, error or self._error)

    # ------------------------------------------------------------------ the thread

    def _work(self) -> None:
        try:
            while self._round():
                pass
        except BaseException as error:  # noqa: BLE001 - a dead writer must be seen, whatever killed it
            self._dead = True
            self._bury(f"the journal's thread died: {_told(error)}")

    def _round(self) -> bool:
        """Take a batch and write it; False at the end."""
        self._hand = self._take()
        while (self._hand or self._unreported) and not self._store():
            if self._stopping.wait(RETRY_S):  # the end: one last attempt
                if not self._store():
                    self._bury()
                    return False
                break
        return not (self._stopping.is_set() and self._queue.empty() and not self._unreported)

    def _take(self) -> list[_Waiting]:
        items: list[_Waiting | None] = []
        with contextlib.suppress(queue.Empty):
            items.append(self._queue.get(timeout=RETRY_S))
            while len(items) < _BATCH:
                items.append(self._queue.get_nowait())
        return [item for item in items if item is not None]

    def _store(self) -> bool:
        """Write what is in hand, whole; where a record spoils it, all but that one.

        False when the disk failed: then what is still in hand is tried again.
        """
        error = self._attempt(len(self._hand))
        if error is not None and _of_a_row(error):
            error = self._store_singly()
        if error is not None:
            self._failed(error)
            return False
        with self._lock:
            self._failing = False
            self._error = self._error if self._unreported else ""
        return True

    def _store_singly(self) -> Exception | None:
        """Write record by record, leave out what cannot be stored; the disk's fault, if any."""
        while self._hand:
            error = self._attempt(1)
            if error is None:
                continue
            if not _of_a_row(error):
                return error
            self._failed(error)
            self._hand = self._hand[1:]
            self._lose(1, f"a record could not be stored: {_told(error)}")
        return None

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._failing, self._error = True, _told(error)
            self._failures += 1

    def _attempt(self, count: int) -> Exception | None:
        """Write the first `count` records in hand in one transaction, whole or not at all."""
        with self._lock:
            gap, why = self._unreported, self._error
        detail = {"count": gap, "error": why}
        try:
            rows = [self._row(entry.item) for entry in self._hand[:count]]
            if gap:
                rows.append(self._row(Event(kind=LOST, utc=datetime.now(UTC), detail=detail)))
            append(self._connection, rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, the records after it go on
            return error
        self._hand = self._hand[count:]
        with self._lock:
            self._unreported -= gap
            self._written += len(rows)
        return None

    def _row(self, item: Item) -> Row:
        if isinstance(item, CycleReport):
            document = encode(scan_document(item, self.run))
            return Row(table="scan", run=self.run, scan_id=item.tick.scan_id, document=document)
        document = encode(
            {
                "run": self.run,
                "kind": item.kind,
                "utc": item.utc.isoformat(),
                "detail": storable(item.detail),
            }
        )
        return Row(table="event", run=self.run, scan_id=None, document=document)


def _begin(connection: sqlite3.Connection, info: RunInfo) -> int:
    """Make the file a journal and write the run's row."""
    run = prepare(connection)
    document = {
        "run": run,
        "utc": info.started.isoformat(),
        "host": info.host,
        "versions": dict(info.versions),
        "bundle": info.bundle,
        "manifest_sha256": info.manifest_sha256,
        "config": dict(info.config),
    }
    append(connection, [Row(table="run", run=run, scan_id=None, document=encode(document))])
    return run


def _of_a_row(error: Exception) -> bool:
    """True when the fault lies in a record; False for the disk, where trying again may help."""
    return isinstance(error, ROW_FAULTS) or not isinstance(error, sqlite3.Error)


def _told(error: BaseException) -> str:
    """The error for people, in text that can be stored whatever it quotes."""
    text = str(error) if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _unusable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        file=path, key="journal.path", received=str(error),
        allowed="a file that can be created, or a journal of this version",
        action="correct journal.path, its folder's permissions, or move the file away",
    )  # fmt: skip
