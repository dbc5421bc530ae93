"""The history of tags: samples in SQLite, in a file that survives the process, or in memory.

One table, clustered by tag and time, so that a range of one tag is read in one piece and the oldest
samples are deleted in one piece. The file is in write-ahead mode: a process that is killed loses
what it had not yet written, and nothing else. Everything here blocks; `opcua/history_recorder.py`
keeps it off the event loop.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from math import nan
from pathlib import Path
from typing import NamedTuple

from plant_sim.errors import ConfigurationError

APPLICATION_ID = 0x54724869  # "TrHi", in the head of the file
SCHEMA_VERSION = 1
PRUNE_PERIOD_US = 60_000_000
"""Time between two deletions of what is past its retention, and at most this much is over."""
BAD = 0x80000000
"""Bit of a StatusCode that says there is no value (OPC 10000-4, 7.39)."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sample (
    tag INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    value REAL,
    status INTEGER NOT NULL,
    PRIMARY KEY (tag, time_us)
) WITHOUT ROWID
"""


class Sample(NamedTuple):
    """One value of one tag.

    tag: its number.  time_us: microseconds since 1970, UTC.  value: None with a bad status.
    status: OPC UA StatusCode.
    """

    tag: int
    time_us: int
    value: float | None
    status: int


class HistoryStore:
    """The samples of one unit."""

    def __init__(self, path: Path | None, *, retention_s: float, max_values: int) -> None:
        """Open, or begin, the history at `path`; None: in memory.

        retention_s: age past which samples are deleted.  max_values: newest samples of a tag that
        are kept.  Raises ConfigurationError for a file that is not a history, cannot be written, or
        is another process's.
        """
        self.path = path
        self._retention_us = round(retention_s * 1e6)
        self._max_values = max_values
        self._pruned_us: int | None = None
        if path is not None:
            _refuse_other_files(path)
        try:
            self._database = _open(path)
        except sqlite3.Error as error:
            raise ConfigurationError(_why_not_opened(path, error)) from None

    def write(self, samples: Iterable[Sample], now_us: int) -> None:
        """Add samples in one transaction; a second one of the same instant replaces the first.

        now_us: the time, to judge age by.  Raises sqlite3.Error where it cannot be written.
        """
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?)", samples)
            if self._pruned_us is None or abs(now_us - self._pruned_us) >= PRUNE_PERIOD_US:
                self._prune(now_us)
                self._pruned_us = now_us

    def read(self, tag: int, first_us: int, last_us: int, limit: int) -> list[Sample]:
        """At most `limit` samples from `first_us` to `last_us`, both included.

        Backwards in time where `last_us` is the earlier one.
        """
        order = "ASC" if first_us <= last_us else "DESC"
        return self._select(
            f"time_us BETWEEN ? AND ? ORDER BY time_us {order} LIMIT ?",
            (tag, min(first_us, last_us), max(first_us, last_us), limit),
        )

    def neighbour(self, tag: int, time_us: int, *, later: bool) -> int | None:
        """Time of the sample at `time_us`, else of the nearest later or earlier one, if any."""
        compare, order = (">=", "ASC") if later else ("<=", "DESC")
        found = self._select(
            f"time_us {compare} ? ORDER BY time_us {order} LIMIT 1", (tag, time_us)
        )
        return found[0].time_us if found else None

    def close(self) -> None:
        """Close; what was written stays."""
        self._database.close()

    def _select(self, where: str, values: Sequence[int]) -> list[Sample]:
        query = f"SELECT tag, time_us, value, status FROM sample WHERE tag = ? AND {where}"  # noqa: S608  (no text of others)
        return [_read_back(Sample(*row)) for row in self._database.execute(query, values)]

    def _prune(self, now_us: int) -> None:
        """Delete what is too old, and of each tag what is too much.

        Of what is too old the newest stays: it is what the tag showed when the retention began.
        """
        oldest_us = now_us - self._retention_us
        for tag in self._tags():
            before_us = self.neighbour(tag, oldest_us, later=False) or oldest_us
            surplus = self._database.execute(
                "SELECT time_us FROM sample WHERE tag = ? ORDER BY time_us DESC LIMIT 1 OFFSET ?",
                (tag, self._max_values),
            ).fetchone()
            if surplus is not None:
                before_us = max(before_us, surplus[0] + 1)
            self._database.execute(
                "DELETE FROM sample WHERE tag = ? AND time_us < ?", (tag, before_us)
            )

    def _tags(self) -> list[int]:
        """Every tag with a sample, found without reading the samples between."""
        tags: list[int] = []
        while True:
            after = tags[-1] if tags else -1
            query = "SELECT min(tag) FROM sample WHERE tag > ?"
            (found,) = self._database.execute(query, (after,)).fetchone()
            if found is None:
                return tags
            tags.append(found)


def _read_back(sample: Sample) -> Sample:
    """SQLite keeps NaN as NULL; a value that is missing without being bad was NaN."""
    if sample.value is None and not sample.status & BAD:
        return sample._replace(value=nan)
    return sample


def _open(path: Path | None) -> sqlite3.Connection:
    # one thread at a time uses it, but not the one that opens it
    database = sqlite3.connect(path or ":memory:", timeout=0.0, check_same_thread=False)
    try:
        # exclusive: two plants in one file would be one history of two reactors
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        with database:
            database.execute("BEGIN IMMEDIATE")
            # before the log is begun: who reads the head of the file finds them there
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            database.execute(_SCHEMA)
        database.execute("PRAGMA journal_mode = WAL")
        # a commit waits for no disk: a power failure may cost the last seconds, a kill does not
        database.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _refuse_other_files(path: Path) -> None:
    """Raise ConfigurationError unless a history stands at `path`, or nothing."""
    try:
        head = _head(path)
    except OSError as error:
        raise ConfigurationError(
            f"history.file = {str(path)!r}: cannot be read ({error.strerror}); give another path"
        ) from None
    # the head of an SQLite file: user_version at byte 60, application_id at byte 68
    version, application = (int.from_bytes(head[at : at + 4], "big") for at in (60, 68))
    if head and (not head.startswith(b"SQLite format 3\0") or application != APPLICATION_ID):
        raise ConfigurationError(
            f"history.file = {str(path)!r}: refused, what is there is not a history and would be "
            "lost; give another path, or remove it"
        )
    if head and version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"history.file = {str(path)!r}: a history of version {version}, this plant writes "
            f"version {SCHEMA_VERSION}; give another path, or remove it"
        )


def _head(path: Path) -> bytes:
    """The first bytes of the file, none where there is none."""
    if not path.exists():
        return b""
    if not path.is_file():
        return b"no regular file"
    with path.open("rb") as file:
        return file.read(72)


def _why_not_opened(path: Path | None, error: sqlite3.Error) -> str:
    where = f"history.file = {str(path)!r}"
    if "locked" in str(error):
        return f"{where}: another process has it open; stop that one, or give another path"
    return (
        f"{where}: cannot be written ({error}); give a path in a directory that exists and is "
        "yours, or remove what is there"
    )
