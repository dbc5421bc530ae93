"""What DCSs call their tags, and how alike two names are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

SETPOINT = frozenset({"sp", "setpoint", "rsp", "sps", "setpoints"})
TARGET = frozenset({"target", "rsp", "rcas", "remote", "sp"})
ACTUAL = frozenset({"actual", "out", "output", "pv", "position", "readback"})
MEASURED = frozenset({"pv", "pvs", "value", "measurement", "in"})

BESIDE_MV = {
    "track": {"track", "trk", "tracking"},
    "lo_lim": {"lolim", "lowlimit", "lolimit", "low"},
    "hi_lim": {"hilim", "highlimit", "hilimit", "high"},
    "max_move_node": {"maxmove", "movelimit"},
    "mode": {"mode"},
    "permit": {"permit", "permissive"},
    "init": {"init", "initialise", "initialize"},
    "windup_lo": {"winduplo", "winduplow"},
    "windup_hi": {"winduphi", "winduphigh"},
    "status": {"status"},
}
HANDSHAKE = {
    "heartbeat_in": {"heartbeatin", "hbin", "watchdogin"},
    "heartbeat_out": {"heartbeatout", "hbout", "watchdogout"},
    "heartbeat_timeout": {"heartbeattimeout"},
    "mode": {"mode"},
    "request": {"request"},
    "permit": {"permit", "permissive"},
    "active": {"active"},
    "shed_reason": {"shedreason"},
}
METHODS = {
    "take_lease": {"takelease"},
    "release_lease": {"releaselease"},
    "shed": {"shed"},
}
CLOCK = {"plant_time": {"planttime"}, "speed": {"speed"}}
DIAGNOSTICS = {
    "cycle_ms": {"cyclems"},
    "advice_ms": {"advicems"},
    "correction_gap": {"correctiongap"},
    "deadline_misses": {"deadlinemisses"},
}


def words(text: str) -> list[str]:
    """Split a name at case, digits and separators: "TI_101.PolymerConc" -> ti 101 polymer conc."""
    return [part.lower() for part in _PARTS.findall(text)]


def squeezed(text: str) -> str:
    """A name without case and separators: "Lo_Lim" -> lolim."""
    return "".join(words(text))


def likeness(name: str, path: Sequence[str]) -> float:
    """Share of the words of `name` that occur in a path, abbreviations included."""
    wanted = words(name)
    present = [word for part in path for word in words(part)]
    hits = sum(any(_alike(word, other) for other in present) for word in wanted)
    return hits / len(wanted) if wanted else 0.0


def _alike(word: str, other: str) -> bool:
    short, long = sorted((word, other), key=len)
    return short == long or (len(short) >= 3 and long.startswith(short))
