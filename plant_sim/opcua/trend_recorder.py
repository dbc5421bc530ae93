"""Trend rows, gathered on the event loop and written in a thread, which alone waits for a disk."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from plant_sim.trend import TrendFile, TrendRow

MAX_PENDING = 20_000
"""Rows that wait for a disk; with one more the trend is given up, for it would have a gap."""


class TrendRecorder:
    """The trend of one unit behind a server."""

    def __init__(self, file: TrendFile) -> None:
        self._file = file
        self._overflow = ""
        self._pending: deque[TrendRow] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="trend")
        self._writing: Future[None] | None = None

    @property
    def path(self) -> Path:
        """Where the rows go."""
        return self._file.path

    @property
    def failure(self) -> str:
        """Why the trend ended, "" while it goes on."""
        return self._file.failure or self._overflow

    def record(self, row: TrendRow) -> None:
        """Take one row; `flush` has it written."""
        if self.failure:
            return
        if len(self._pending) >= MAX_PENDING:
            self._overflow = "the disk does not keep up"
            self._pending.clear()
            return
        self._pending.append(row)

    def flush(self) -> None:
        """Have the thread write what waits, unless it still writes."""
        if self._pending and (self._writing is None or self._writing.done()):
            self._writing = self._thread.submit(self._write)

    def close(self) -> None:
        """Write what waits and close the file."""
        self._thread.submit(self._write).result()
        self._thread.shutdown()
        self._file.close()

    def _write(self) -> None:
        while self._pending:
            self._file.record(self._pending.popleft())
        self._file.flush()
