"""The journal's file: its tables, and the chain of hashes that runs through all of them.

Every row carries sha256(previous row's hash, table, document), so an edited, removed or inserted
row breaks the chain from there on.

`synchronous=FULL`: in WAL mode NORMAL would lose the last commits in a power cut, and an audit
record must not.  It costs one fsync a batch, in the writer's thread, where no scan waits for it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

APPLICATION_ID = 0x7472696D
"""SQLite's mark of whose file it is: "trim"."""

SCHEMA = 1
GENESIS = "0" * 64

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
    """Chain rows to the journal's head in one transaction, whole or not at all.

    Raises sqlite3.Error, UnicodeEncodeError for text that is not Unicode.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        seq, head = connection.execute(HEAD).fetchone() or (0, GENESIS)
        for row in rows:
            seq, head = seq + 1, chained(head, row.table, row.document)
            _insert(connection, row, seq, head)
        connection.execute("COMMIT")
    except BaseException:
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


def prepare(connection: sqlite3.Connection) -> int:
    """Check that the file is a journal, make the tables; returns the number of the next run.

    Raises sqlite3.Error.
    """
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
    return (last or 0) + 1
