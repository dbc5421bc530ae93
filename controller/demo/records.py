"""Looking into the controller's journal while the controller writes it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from controller.errors import ConfigError
from controller.journal.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Records:
    """The scan records of the one run in a journal of the demo."""

    def __init__(self, path: Path) -> None:
        """The file need not be there yet."""
        self._path = path

    def after(self, scan_id: int) -> list[Mapping[str, Any]]:
        """The scans after `scan_id`, in order; empty while there is no journal yet."""
        try:
            with Reader.open(self._path) as reader:
                return list(reader.scans(after=scan_id))
        except (ConfigError, sqlite3.Error):  # not made yet, or busy: the next look finds it
            return []
