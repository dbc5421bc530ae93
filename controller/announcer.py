"""How it goes, for the service manager (sd_notify); silent where none listens.

Nothing here waits: a manager that is busy itself, and whose queue is full, must not keep a scan.
What it has to hear, the first READY, is said again; the rest is said anew every second anyway.
"""

from __future__ import annotations

import os
from typing import Any

import sdnotify

from controller.words import printable

STATUS_LENGTH = 250
"""Longest status text [characters]; `systemctl status` shows it in one line."""


class Announcer:
    """Sends the lines of the sd_notify protocol to `$NOTIFY_SOCKET`."""

    def __init__(self) -> None:
        """Connect to the service manager, if this process was started by one."""
        self._notifier: Any = None
        self._status = ""
        self._ready_owed = False
        if "NOTIFY_SOCKET" in os.environ:
            self._notifier = sdnotify.SystemdNotifier()
            self._notifier.debug = True  # from now on it raises what it would hide
            if self._notifier.socket is not None:
                self._notifier.socket.setblocking(False)  # noqa: FBT003 - the library's signature

    def ready(self) -> None:
        """The first scan is complete."""
        self._ready_owed = not self._send("READY=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self._ready_owed:
            self.ready()
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in a line what goes on, for `systemctl status`; the same again is not sent."""
        line = printable(" ".join(text.split()))[:STATUS_LENGTH]
        if line != self._status and self._send(f"STATUS={line}"):
            self._status = line

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Close the socket."""
        if self._notifier is not None:
            held, self._notifier = self._notifier.socket, None
            if held is not None:
                held.close()

    def _send(self, state: str) -> bool:
        """Whether the manager took it, or nobody has to."""
        if self._notifier is None or self._notifier.socket is None:
            return True
        try:
            self._notifier.notify(state)
        except OSError:  # its queue is full, or it is gone
            return False
        return True
