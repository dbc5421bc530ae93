"""Continuation points of one session: where a Browse or a HistoryRead goes on.

There are only so many. A new request frees those of older ones (OPC 10000-4, 7.9), so that a client
that leaves them lying hinders nobody, itself included.
"""

import secrets
from typing import Generic, TypeVar

Rest = TypeVar("Rest")


class ContinuationPoints(Generic[Rest]):
    """What is left to be read, each under a name that only this session knows."""

    def __init__(self, limit: int) -> None:
        """limit: how many there may be."""
        self._limit = limit
        self._request = 0
        self._kept: dict[bytes, tuple[int, Rest]] = {}

    def begin_request(self) -> None:
        """From here on, what older requests have left may be freed."""
        self._request += 1

    def keep(self, rest: Rest) -> bytes | None:
        """Name a rest; None where this request has left too many already."""
        if len(self._kept) >= self._limit:
            oldest = next(iter(self._kept))
            if self._kept[oldest][0] == self._request:
                return None
            del self._kept[oldest]
        name = secrets.token_bytes(8)
        self._kept[name] = (self._request, rest)
        return name

    def take(self, name: bytes) -> Rest | None:
        """The rest of that name, which is used up by this; None if there is none."""
        found = self._kept.pop(name, None)
        return None if found is None else found[1]
