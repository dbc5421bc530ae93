"""How many may be inside at the same time: in all, and from one address."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, ip_address, ip_network

UNKNOWN = "unknown"
IPV6_PREFIX = 64
"""Bits of an IPv6 address that name one network: whoever has one has 2^64 addresses in it."""


def unmapped(address: str) -> str:
    """An IPv4 address that a socket of IPv6 writes as IPv6, as IPv4; anything else as it is."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return address if mapped is None else str(mapped)


def neighbourhood(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 address.

    An IPv4 address that is written as IPv6 is that of IPv4; what is no address is `UNKNOWN`.
    """
    try:
        found = ip_address(unmapped(address).partition("%")[0])
    except ValueError:
        return UNKNOWN
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(ip_network((found, IPV6_PREFIX), strict=False))


class Crowd:
    """Who is inside, by address.  count: how many."""

    def __init__(self, most: int, each: int | None = None) -> None:
        """most: in all.  each: from one address, None where addresses do not tell people apart."""
        self._most, self._each = most, each
        self._inside: Counter[str] = Counter()
        self.count = 0

    def full(self, address: str | None) -> bool:
        """Whether there is no room for another from this address; None: one that is not counted."""
        if self.count >= self._most:
            return True
        if self._each is None or address is None:
            return False
        return self._inside[neighbourhood(address)] >= self._each

    def enter(self, address: str | None) -> bool:
        """Let one in; False where there is no room."""
        if self.full(address):
            return False
        self.count += 1
        if address is not None:
            self._inside[neighbourhood(address)] += 1
        return True

    def leave(self, address: str | None) -> None:
        """One who entered from this address is gone."""
        self.count -= 1
        if address is None:
            return
        key = neighbourhood(address)
        self._inside[key] -= 1
        if self._inside[key] <= 0:
            del self._inside[key]
