"""Following the journal of a controller that may not run yet, restart, or be another one.

Reads happen in a thread of their own, so that a slow disk holds up nobody.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from controller.errors import ConfigError
from controller.hmi.placeless import placeless, placeless_document
from controller.journal.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from controller.journal.document import Document

PREFILL = 1000
"""Scans of the past that a trend begins with, at most."""

NONE = "no journal yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of a journal, without the folders of the machine.

    scan: the newest.  mode: the last "mode" event after it, since a tick may shed between scans.
    stop: the detail of the "stop" event of a run that has ended.  problem: why it cannot be read.
    """

    scan: Document | None = None
    mode: Mapping[str, object] | None = None
    stop: Mapping[str, object] | None = None
    problem: str = NONE
    seq: int = field(default=0, compare=False)


class JournalTail:
    """The end of one journal, polled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail = Tail()
        self._reader: Reader | None = None
        self._identity: tuple[object, ...] = ()
        self._other = False
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-tail")

    async def poll(self) -> bool:
        """Look for what is new; True when something is."""
        before = self.tail
        loop = asyncio.get_running_loop()
        self.tail = await loop.run_in_executor(self._executor, self._look, before)
        return self.tail != before

    async def past(self) -> Sequence[Document]:
        """The last scans of the newest run, oldest first; empty where there is no journal."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._past)

    def close(self) -> None:
        """Let the file go."""
        self._executor.submit(self._close)
        self._executor.shutdown(wait=False)

    # ------------------------------------------------------------------ in the thread

    def _look(self, before: Tail) -> Tail:
        try:
            reader = self._opened()
            if reader is None:
                return replace(before, problem=NONE)
            start, self._other = Tail() if self._other else before, False
            return _read(reader, start)
        except (sqlite3.Error, ConfigError, OSError, ValueError, KeyError) as error:
            self._close()
            return replace(before, problem=_first_line(error))

    def _past(self) -> Sequence[Document]:
        try:
            reader = self._opened()
            return [] if reader is None else reader.tail(PREFILL)
        except (sqlite3.Error, ConfigError, OSError, ValueError):
            self._close()
            return []

    def _opened(self) -> Reader | None:
        """The journal; opened anew when the file is another, or gained a writer."""
        try:
            found = self.path.stat()
        except OSError:
            self._close()
            return None
        beside = self.path.with_name(self.path.name + "-wal").exists()
        identity = (found.st_dev, found.st_ino, beside)
        if self._reader is None or identity != self._identity:
            self._other |= bool(self._identity) and identity[:2] != self._identity[:2]
            self._close()
            self._reader, self._identity = Reader.open(self.path), identity
        return self._reader

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None


def _read(reader: Reader, before: Tail) -> Tail:
    found = reader.newest(after=before.seq)
    seq, scan = before.seq, before.scan
    if found is not None:
        seq, scan = found[0], placeless_document(found[1])
    mode, stop = (before.mode, before.stop) if found is None else (None, None)
    for number, event in reader.news(after=seq):
        detail = placeless_document(event["detail"])
        match event["kind"]:
            case "mode":
                mode = detail
            case "stop":
                stop = detail
            case "start":
                mode, stop = None, None
        seq = max(seq, number)
    return Tail(scan=scan, mode=mode, stop=stop, problem="", seq=seq)


def _first_line(error: Exception) -> str:
    """The beginning of an error, without the path: everybody may read it."""
    said = str(error.received) if isinstance(error, ConfigError) else str(error)
    return placeless(said.splitlines()[0]) if said else type(error).__name__
