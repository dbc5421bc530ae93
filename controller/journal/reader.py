"""Reading the journal: read-only, also while a controller writes to it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from controller.errors import ConfigError
from controller.journal.chain import APPLICATION_ID, GENESIS, SCHEMA, chained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from controller.journal.document import Document

_CHUNK = 500
_CHAIN = """
SELECT seq, tab, run, scan_id, document, hash FROM (
  SELECT seq, 'run' AS tab, run, NULL AS scan_id, document, hash FROM run UNION ALL
  SELECT seq, 'scan', run, scan_id, document, hash FROM scan UNION ALL
  SELECT seq, 'event', run, NULL, document, hash FROM event)
WHERE seq > ? ORDER BY seq LIMIT ?
"""
_TALLY = """
SELECT count(*), max(scan_id), sum(json_extract(document, '$.mode_after') = 'AUTO'),
       sum(json_extract(document, '$.overrun')) FROM (
  SELECT scan_id, document FROM scan WHERE run = ? AND scan_id > ? ORDER BY scan_id LIMIT ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainBreak:
    """Where the hash chain does not hold, and what is wrong there."""

    seq: int
    detail: str


class Reader:
    """A journal, opened read-only.  Use as a context manager, or call `close`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a journal.  Raises ConfigError when there is none."""
        if not path.is_file():
            raise _unreadable(path, "no such file")
        try:
            return cls(_connect(path))
        except sqlite3.Error as error:
            raise _unreadable(path, str(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def runs(self) -> list[Document]:
        """Every run, oldest first: what it was made of."""
        rows = self._connection.execute("SELECT document FROM run ORDER BY run").fetchall()
        return [json.loads(text) for (text,) in rows]

    def latest_run(self) -> int:
        """The number of the last run; 0 when there is none."""
        return int(self._connection.execute("SELECT coalesce(max(run), 0) FROM run").fetchone()[0])

    def scans(self, run: int | None = None, *, after: int = -1) -> Iterator[Document]:
        """The scans of a run (default: the last) with a scan_id above `after`, in order.

        Called again with the last scan_id seen, it follows a running controller.
        """
        number = self.latest_run() if run is None else run
        while True:
            rows = self._connection.execute(
                "SELECT scan_id, document FROM scan WHERE run = ? AND scan_id > ?"
                " ORDER BY scan_id LIMIT ?",
                (number, after, _CHUNK),
            ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield from (json.loads(text) for _, text in rows)

    def scan(self, scan_id: int, run: int | None = None) -> Document | None:
        """One scan of a run (default: the last), None when there is none."""
        row = self._connection.execute(
            "SELECT document FROM scan WHERE run = ? AND scan_id = ?",
            (self.latest_run() if run is None else run, scan_id),
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def tail(self, count: int, run: int | None = None) -> list[Document]:
        """The last scans of a run (default: the last), oldest first."""
        rows = self._connection.execute(
            "SELECT document FROM scan WHERE run = ? ORDER BY scan_id DESC LIMIT ?",
            (self.latest_run() if run is None else run, count),
        ).fetchall()
        return [json.loads(text) for (text,) in reversed(rows)]

    def events(self, run: int | None = None) -> list[Document]:
        """The events of a run (default: the last), in order."""
        rows = self._connection.execute(
            "SELECT document FROM event WHERE run = ? ORDER BY seq",
            (self.latest_run() if run is None else run,),
        ).fetchall()
        return [json.loads(text) for (text,) in rows]

    def newest(self, *, after: int = 0) -> tuple[int, Document] | None:
        """(seq, document) of the last scan written with a seq above `after`, of whatever run."""
        row = self._connection.execute(
            "SELECT seq, document FROM scan WHERE seq > ? ORDER BY seq DESC LIMIT 1", (after,)
        ).fetchone()
        return None if row is None else (int(row[0]), json.loads(row[1]))

    def news(self, *, after: int) -> list[tuple[int, Document]]:
        """(seq, document) of the events with a seq above `after`, at most 500, the latest last."""
        rows = self._connection.execute(
            "SELECT seq, document FROM event WHERE seq > ? ORDER BY seq DESC LIMIT ?",
            (after, _CHUNK),
        ).fetchall()
        return [(int(seq), json.loads(text)) for seq, text in reversed(rows)]

    def page(self, run: int, *, before: int | None, limit: int) -> list[Document]:
        """At most `limit` scans of a run with a scan_id below `before`, the latest first."""
        rows = self._connection.execute(
            "SELECT document FROM scan WHERE run = ? AND (? IS NULL OR scan_id < ?)"
            " ORDER BY scan_id DESC LIMIT ?",
            (run, before, before, limit),
        ).fetchall()
        return [json.loads(text) for (text,) in rows]

    def last_events(self, kind: str) -> dict[int, Document]:
        """Run -> its last event of a kind, of runs that have one; one pass over all events."""
        rows = self._connection.execute(
            "SELECT run, document FROM event WHERE document LIKE ? ORDER BY seq",
            (f'%"kind":"{kind}"%',),
        ).fetchall()
        found = ((int(run), json.loads(text)) for run, text in rows)
        return {run: event for run, event in found if event["kind"] == kind}

    def counts(self) -> dict[int, int]:
        """Run -> number of its scans, of runs that have any."""
        rows = self._connection.execute("SELECT run, count(*) FROM scan GROUP BY run").fetchall()
        return {int(run): int(count) for run, count in rows}

    def tally(self, run: int, *, after: int, limit: int) -> tuple[int, int, int, int]:
        """(scans, last scan_id, of them in AUTO, of them past the deadline) of a run.

        Of at most `limit` scans with a scan_id above `after`, in order; the last is `after` where
        there are none.
        """
        row = self._connection.execute(_TALLY, (run, after, limit)).fetchone()
        scans, last, auto, overruns = (0 if value is None else int(value) for value in row)
        return scans, last if scans else after, auto, overruns

    def head(self) -> tuple[int, str]:
        """(number of rows, hash of the last): what to keep elsewhere to detect a cut."""
        last = (0, GENESIS)
        for seq, _, _, _, _, found in self._rows():
            last = (seq, found)
        return last

    def verify(self) -> ChainBreak | None:
        """Walk the whole chain; the first row where it does not hold, None when it does."""
        expected, previous = 1, GENESIS
        for seq, table, run, scan_id, document, found in self._rows():
            if seq != expected:
                return ChainBreak(seq=expected, detail=f"row {expected} is missing")
            if chained(previous, table, document) != found:
                return ChainBreak(seq=seq, detail=f"the {table} row does not match its hash")
            inside = json.loads(document)
            if inside["run"] != run or inside.get("scan_id") != scan_id:
                return ChainBreak(seq=seq, detail=f"the {table} row is filed under another number")
            expected, previous = seq + 1, found
        return None

    def _rows(self) -> Iterator[tuple[int, str, int, int | None, str, str]]:
        seq = 0
        while rows := self._connection.execute(_CHAIN, (seq, _CHUNK)).fetchall():
            yield from rows
            seq = rows[-1][0]


def _connect(path: Path) -> sqlite3.Connection:
    """Open read-only.  A closed journal in a read-only folder opens as immutable only."""
    name = quote(str(path.resolve()))
    failure: sqlite3.Error | None = None
    for option in ("", "&immutable=1"):
        if option and path.with_name(path.name + "-wal").exists():
            break
        connection = sqlite3.connect(f"file:{name}?mode=ro{option}", uri=True)
        try:
            identity = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            connection.close()
            failure = error
            continue
        if (identity, version) != (APPLICATION_ID, SCHEMA):
            connection.close()
            raise sqlite3.DatabaseError("not a journal, or one of another version")
        return connection
    raise failure or sqlite3.OperationalError("it cannot be opened")


def _unreadable(path: Path, received: str) -> ConfigError:
    return ConfigError(
        file=path, key="", received=received, allowed="a journal that a controller has written",
        action="give the path of a journal, for instance --db runs/journal.db",
    )  # fmt: skip
