"""How often a login may fail: from an address and of a user, in bounded memory.

Nobody keeps an operator out by failing in the operator's name: a user at an address from which that
user has logged in before is judged by that pair alone, and one address by itself never uses up what
a user may fail.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from controller.hmi.crowd import neighbourhood

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_KEYS = 4096
"""Addresses and users remembered; the oldest make room."""

MOST_KNOWN = 1024
"""Pairs of user and address remembered; the one that logged in longest ago makes room."""

ADDRESSES = 4
"""A user may fail so many times what an address may: so many addresses have to join in."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who tries: a user, and what counts as one address."""

    user: str
    address: str


def who(user: str, address: str, users: str = "") -> Who:
    """Who tries to log in.  users: which of several plants' users is meant.

    Case and blanks around a name do not make another user: a plant may not tell them apart.
    """
    return Who(f"{users}/{user.strip().casefold()}", neighbourhood(address))


class Attempts:
    """Failures of the recent past."""

    def __init__(self, most: int, window_s: float, clock: Callable[[], float] = monotonic) -> None:
        """most: failures from one address within window_s after which it has to wait."""
        self._most, self._window_s, self._clock = most, window_s, clock
        self._failures: OrderedDict[str, deque[tuple[float, Who]]] = OrderedDict()
        self._known: OrderedDict[Who, None] = OrderedDict()

    def wait_s(self, one: Who) -> float:
        """Seconds until this one may try again, 0 when now."""
        now, wait = self._clock(), 0.0
        for key, most in self._keys(one).items():
            failures = self._failures.get(key, ())
            recent = [time for time, _ in failures if now - time < self._window_s]
            if len(recent) >= most:
                wait = max(wait, self._window_s - (now - recent[-most]))
        return wait

    def failed(self, one: Who) -> None:
        """One more failure."""
        now = self._clock()
        for key, most in self._keys(one).items():
            self._failures.setdefault(key, deque(maxlen=most)).append((now, one))
            self._failures.move_to_end(key)
        while len(self._failures) > MOST_KEYS:
            self._failures.popitem(last=False)

    def forgive(self, one: Who) -> None:
        """Take the last failure back: nobody could say whether it was one."""
        for key in self._keys(one):
            failures = self._failures.get(key, deque())
            last = next((item for item in reversed(failures) if item[1] == one), None)
            if last is not None:
                failures.remove(last)

    def succeeded(self, one: Who) -> None:
        """Know the user at this address, and forget what this user failed there.

        What others failed at the address stays: an own account is no licence to guess on.
        """
        for key in self._keys(one):
            failures = self._failures.get(key)
            if failures is not None:
                kept = [item for item in failures if item[1] != one]
                self._failures[key] = deque(kept, maxlen=failures.maxlen)
        self._known[one] = None
        self._known.move_to_end(one)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._failures)

    def _keys(self, one: Who) -> dict[str, int]:
        """Under which keys failures count, and how many of each may be."""
        if one in self._known:
            return {f"known {one.user} {one.address}": self._most}
        return {f"address {one.address}": self._most, f"user {one.user}": ADDRESSES * self._most}
