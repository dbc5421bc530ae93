"""How it goes, for the service manager (sd_notify); silent where none listens."""

from __future__ import annotations

import os
from typing import Any

import sdnotify


class Announcer:
    """Sends the lines of the sd_notify protocol to `$NOTIFY_SOCKET`."""

    def __init__(self) -> None:
        """Connect to the service manager, if this process was started by one."""
        listens = "NOTIFY_SOCKET" in os.environ
        self._notifier: Any = sdnotify.SystemdNotifier() if listens else None

    def ready(self) -> None:
        """The first scan is complete."""
        self._send("READY=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Close the socket."""
        if self._notifier is not None:
            held, self._notifier = self._notifier.socket, None
            if held is not None:
                held.close()

    def _send(self, state: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(state)
