"""Which units know the same users: a password is sent to those alone.  Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from controller.hmi.errors import malformed, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.hmi.fleet import Unit

OF_A_UNIT = re.compile(r"/units/([^/?#]+)")
NAMED = 4
"""Units that a choice names; of more it tells how many."""


def stores(units: Mapping[str, Unit]) -> dict[str, list[Unit]]:
    """Users -> the units that know them, in the order of the configuration."""
    found: dict[str, list[Unit]] = {}
    for unit in units.values():
        found.setdefault(unit.users, []).append(unit)
    return found


def chosen(units: Mapping[str, Unit], name: str | None) -> list[Unit]:
    """The units that a login is for: those that know the same users as the named one.

    Raises RefusedError for a name that is none, and where there is a choice and none is made.
    """
    found = stores(units)
    if name is None and len(found) <= 1:
        return list(units.values())
    if name is None:
        firsts = ", ".join(members[0].name for members in found.values())
        raise malformed(f"unit: say where to log in; one of {firsts}")
    if name not in units:
        raise unknown(f"there is no unit {name[:64]!r}")
    return found[units[name].users]


def choices(units: Mapping[str, Unit]) -> list[dict[str, str]]:
    """{"unit", "title"} of each choice of a login, for people; empty where there is none."""
    found = stores(units)
    if len(found) <= 1:
        return []
    return [{"unit": members[0].name, "title": _title(members)} for members in found.values()]


def preset(units: Mapping[str, Unit], page: str) -> str:
    """The unit of the choice that a page's address names, /units/B/model; "" where it names none.

    Nothing else may choose: the password of one owner's plant would go to another's.
    """
    named = OF_A_UNIT.match(page)
    unit = None if named is None else units.get(unquote(named[1]))
    return "" if unit is None else stores(units)[unit.users][0].name


def _title(members: list[Unit]) -> str:
    names = ", ".join(unit.title for unit in members[:NAMED])
    more = len(members) - NAMED
    return names if more <= 0 else f"{names} and {more} more"
