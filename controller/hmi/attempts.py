"""How often a login may fail: by address and by user, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_KEYS = 4096
"""Addresses and users remembered; the oldest make room."""


class Attempts:
    """Failures of the recent past by key."""

    def __init__(self, most: int, window_s: float, clock: Callable[[], float] = monotonic) -> None:
        """most: failures of one key within window_s after which it has to wait."""
        self._most, self._window_s, self._clock = most, window_s, clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, keys: Iterable[str]) -> float:
        """Seconds until all these keys may try again, 0 when they may now."""
        now, wait = self._clock(), 0.0
        for key in keys:
            failures = self._failures.get(key, ())
            recent = [time for time in failures if now - time < self._window_s]
            if len(recent) >= self._most:
                wait = max(wait, self._window_s - (now - recent[-self._most]))
        return wait

    def failed(self, keys: Iterable[str]) -> None:
        """One more failure of each."""
        now = self._clock()
        for key in keys:
            self._failures.setdefault(key, deque(maxlen=self._most)).append(now)
            self._failures.move_to_end(key)
        while len(self._failures) > MOST_KEYS:
            self._failures.popitem(last=False)

    def forgive(self, keys: Iterable[str]) -> None:
        """Take one failure of each back: nobody could say whether it was one."""
        for key in keys:
            if self._failures.get(key):
                self._failures[key].pop()

    def succeeded(self, key: str) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._failures)
