"""What systemd's journal wants of a stream that it reads: sd-daemon(3), systemd.exec(5)."""

from __future__ import annotations

import os
from typing import TextIO

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Level -> priority of syslog(3), which `journalctl --priority` selects by."""


def is_journal(out: TextIO) -> bool:
    """Whether the stream is the very one that systemd connected to its journal.

    $JOURNAL_STREAM names its device and inode, so that a child whose output was redirected is not
    mistaken.
    """
    told = os.environ.get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(out.fileno())
    except (OSError, ValueError):
        return False
    return told == f"{found.st_dev}:{found.st_ino}"


def prioritised(text: str, level: str) -> str:
    """The text with the priority of its level before every line; the journal takes it off again."""
    prefix = f"<{PRIORITIES.get(level, 6)}>"
    return "\n".join(prefix + line for line in text.split("\n"))
