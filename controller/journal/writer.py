"""The audit record: one row a scan and an event, in SQLite, chained by hashes.

The scan hands a frozen report to a bounded queue and goes on; a thread turns it into JSON and
writes it.  When the disk fails the thread tries again, records that find no room in the queue are
counted, and the gap itself is recorded once writing works again.

`synchronous=FULL`: in WAL mode NORMAL would lose the last commits in a power cut, and an audit
record must not.  It costs one fsync a batch, in the thread, where no scan waits for it.

Every row carries sha256(previous row's hash, table, document), so an edited, removed or inserted
row breaks the chain from there on.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import sqlite3
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from controller.core.report import CycleReport
from controller.errors import ConfigError
from controller.journal.document import encode, scan_document, storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

APPLICATION_ID = 0x7472696D
"""SQLite's mark of whose file it is: "trim"."""

SCHEMA = 1
LOST = "records_lost"
GENESIS = "0" * 64
RETRY_S = 1.0
LOCKED_S = 1.0
"""How long an attempt waits for another process that holds the file."""

_BATCH = 256
_TABLES = """
CREATE TABLE IF NOT EXISTS run   (seq INTEGER PRIMARY KEY, run INTEGER NOT NULL UNIQUE,
                                  document TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS scan  (seq INTEGER PRIMARY KEY, run INTEGER NOT NULL,
                                  scan_id INTEGER NOT NULL,
                                  document TEXT NOT NULL, hash TEXT NOT NULL,
                                  UNIQUE (run, scan_id));
CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, run INTEGER NOT NULL,
                                  document TEXT NOT NULL, hash TEXT NOT NULL);
"""
HEAD = """
SELECT seq, hash FROM (SELECT seq, hash FROM run UNION ALL SELECT seq, hash FROM scan
                       UNION ALL SELECT seq, hash FROM event) ORDER BY seq DESC LIMIT 1
"""


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

    failing: the last attempt failed, or the thread has died.  failures: failed attempts.  lost:
    records that are gone.  waiting: records in the queue.  error: of the last failed attempt.
    """

    failing: bool
    failures: int
    lost: int
    waiting: int
    written: int
    error: str


Item: TypeAlias = CycleReport | Event


class Journal:
    """One run's writer.  `record` never blocks and never raises."""

    def __init__(self, connection: sqlite3.Connection, run: int, queue_records: int) -> None:
        self.run = run
        self._connection = connection
        self._queue: queue.Queue[Item | None] = queue.Queue(maxsize=queue_records)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._failing = False
        self._failures = self._lost = self._unreported = self._written = 0
        self._error = ""
        self._thread = threading.Thread(target=self._work, name="journal")

    @classmethod
    def open(cls, path: Path, info: RunInfo, *, queue_records: int = 1024) -> Self:
        """Open or create the file, write the run's row, start the thread.  Raises ConfigError."""
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
        journal = cls(connection, run, queue_records)
        journal._thread.start()
        return journal

    def record(self, item: Item) -> bool:
        """Hand over a scan's report or an event.  False when there is no room: it is lost."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            with self._lock:
                self._lost += 1
                self._unreported += 1
            return False
        return True

    def health(self) -> JournalHealth:
        """Return how the writing goes."""
        with self._lock:
            return JournalHealth(
                failing=self._failing or not (self._thread.is_alive() or self._stopping.is_set()),
                failures=self._failures,
                lost=self._lost,
                waiting=self._queue.qsize(),
                written=self._written,
                error=self._error,
            )

    def close(self, timeout_s: float = 10.0) -> JournalHealth:
        """Write what is waiting, and end.  What cannot be written by then counts as lost."""
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._connection.close()
        return self.health()

    # ------------------------------------------------------------------ the thread

    def _work(self) -> None:
        while True:
            batch = self._take()
            while batch and not self._store(batch):
                if self._stopping.wait(RETRY_S):  # the end: one last attempt
                    if not self._store(batch):
                        self._abandon(len(batch))
                        return
                    break
            if self._stopping.is_set() and self._queue.empty():
                return

    def _take(self) -> list[Item]:
        items: list[Item | None] = []
        with contextlib.suppress(queue.Empty):
            items.append(self._queue.get(timeout=RETRY_S))
            while len(items) < _BATCH:
                items.append(self._queue.get_nowait())
        return [item for item in items if item is not None]

    def _store(self, batch: Sequence[Item]) -> bool:
        """Write a batch in one transaction, whole or not at all."""
        with self._lock:
            gap = self._unreported
        rows = [self._row(item) for item in batch]
        if gap:
            rows.append(self._row(Event(kind=LOST, utc=datetime.now(UTC), detail={"count": gap})))
        try:
            append(self._connection, rows)
        except sqlite3.Error as error:
            with self._lock:
                self._failing, self._error = True, str(error)
                self._failures += 1
            return False
        with self._lock:
            self._failing, self._error = False, ""
            self._unreported -= gap
            self._written += len(rows)
        return True

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

    def _abandon(self, count: int) -> None:
        with self._lock:
            self._lost += count + self._queue.qsize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row before it is chained."""

    table: str
    run: int
    scan_id: int | None
    document: str


def chained(previous: str, table: str, document: str) -> str:
    """The hash of a row, given the previous row's."""
    return hashlib.sha256(f"{previous}\n{table}\n{document}".encode()).hexdigest()


def append(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Chain rows to the journal's head in one transaction.  Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        seq, head = connection.execute(HEAD).fetchone() or (0, GENESIS)
        for row in rows:
            seq, head = seq + 1, chained(head, row.table, row.document)
            _insert(connection, row, seq, head)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _insert(connection: sqlite3.Connection, row: Row, seq: int, head: str) -> None:
    if row.table == "scan":
        values = (seq, row.run, row.scan_id, row.document, head)
        connection.execute("INSERT INTO scan VALUES (?, ?, ?, ?, ?)", values)
        return
    statement = {
        "run": "INSERT INTO run VALUES (?, ?, ?, ?)",
        "event": "INSERT INTO event VALUES (?, ?, ?, ?)",
    }[row.table]
    connection.execute(statement, (seq, row.run, row.document, head))


def _begin(connection: sqlite3.Connection, info: RunInfo) -> int:
    """Make the tables, check that the file is a journal, write the run's row."""
    identity = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and (identity, version) != (APPLICATION_ID, SCHEMA):
        raise sqlite3.DatabaseError(f"it is another database, or a journal of version {version}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}; {_TABLES}"
    )
    last = connection.execute("SELECT max(run) FROM run").fetchone()[0]
    run = (last or 0) + 1
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


def _unusable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        file=path, key="journal.path", received=str(error),
        allowed="a file that can be created, or a journal of this version",
        action="correct journal.path, its folder's permissions, or move the file away",
    )  # fmt: skip
