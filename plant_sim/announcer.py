"""How the plant goes, for the service manager (sd_notify); silent where none listens."""

import os
from typing import Any

import sdnotify


class Announcer:
    """Sends the lines of the sd_notify protocol to `$NOTIFY_SOCKET`, without ever waiting."""

    def __init__(self) -> None:
        self._notifier: Any = None
        self._told: dict[str, str] = {}
        if "NOTIFY_SOCKET" in os.environ:
            self._notifier = sdnotify.SystemdNotifier()
            self._notifier.debug = True  # from now on it raises what it would hide
            if self._notifier.socket is not None:
                self._notifier.socket.setblocking(False)  # noqa: FBT003

    def say(self, key: str, value: str = "1") -> None:
        """Send a line such as READY=1."""
        if self._notifier is None or self._notifier.socket is None:
            return
        try:
            self._notifier.notify(f"{key}={value}")
        except OSError:  # its queue is full: the clients come first
            return
        self._told[key] = value

    def say_news(self, key: str, value: str = "1") -> None:
        """Send a line unless the manager has it already; a line that was lost comes again."""
        if self._told.get(key) != value:
            self.say(key, value)
