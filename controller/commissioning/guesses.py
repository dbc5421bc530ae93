"""Which node might be which variable of a model: by name, unit, access and neighbourhood.

Guesses only: each is shown to a person as a comment.  A variable is looked for by the words of its
name and a unit that converts; the tags that belong to an MV or to the hand-shake are looked for
beside the first one found.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.configuration.units import Conversion, conversion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncua import ua

    from controller.configuration.binding import Variable
    from controller.opcua.survey import NodeFacts
    from models.bundle import Manifest

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A variable or method of the server."""

    node: ua.NodeId
    path: tuple[ua.QualifiedName, ...]
    facts: NodeFacts

    @property
    def names(self) -> tuple[str, ...]:
        """Browse names without their namespaces."""
        return tuple(str(part.Name or "") for part in self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """One table of the proposal.

    nodes: (key, place in the list of what was found or None, note).  methods: (key, place, place).
    literals: (key, TOML value, note).
    """

    name: str
    remark: str = ""
    nodes: tuple[tuple[str, int | None, str], ...] = ()
    methods: tuple[tuple[str, int, int], ...] = ()
    literals: tuple[tuple[str, str, str], ...] = field(default=())


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


def guess(found: Sequence[Found], manifest: Manifest) -> list[Guess]:
    """One table for each variable of the model, then the parts of the hand-shake."""
    tables = [_cv(found, cv) for cv in manifest.cvs]
    tables += [_mv(found, mv) for mv in manifest.mvs]
    tables += [_dv(found, dv) for dv in manifest.dvs]
    block = _beside(found, _first(found, HANDSHAKE["heartbeat_in"]), HANDSHAKE)
    methods = _methods(found, block)
    if block or methods:
        nodes = tuple((key, place, "") for key, place in block.items())
        tables.append(Guess(name="handshake", nodes=nodes, methods=methods))
    for name, keys in (("clock", CLOCK), ("diagnostics", DIAGNOSTICS)):
        first = next(iter(keys.values()))
        beside = _beside(found, _first(found, first), keys)
        if beside:
            nodes = tuple((key, place, "") for key, place in beside.items())
            tables.append(Guess(name=name, nodes=nodes))
    advisory = _advisory(found, manifest)
    return [*tables, advisory] if advisory is not None else tables


def _cv(found: Sequence[Found], variable: Variable) -> Guess:
    pv = _best(found, variable, lambda item: _role(item, MEASURED, SETPOINT, writable=False))
    sp = _best(found, variable, lambda item: _role(item, SETPOINT, MEASURED, writable=None))
    nodes = (("pv", pv, _note(found, pv)), ("sp", sp, _note(found, sp)))
    return Guess(
        name=f"cv.{variable.name}",
        remark=_remark(variable, pv, sp),
        nodes=nodes,
        literals=_scale(found, pv, variable),
    )


def _dv(found: Sequence[Found], variable: Variable) -> Guess:
    pv = _best(found, variable, lambda item: _role(item, MEASURED, SETPOINT, writable=False))
    return Guess(
        name=f"dv.{variable.name}",
        remark=_remark(variable, pv),
        nodes=(("pv", pv, _note(found, pv)),),
        literals=_scale(found, pv, variable),
    )


def _mv(found: Sequence[Found], variable: Variable) -> Guess:
    target = _best(found, variable, lambda item: _role(item, TARGET, ACTUAL, writable=True))
    actual = _best(found, variable, lambda item: _role(item, ACTUAL, TARGET, writable=False))
    nodes = [("target", target, _note(found, target)), ("actual", actual, _note(found, actual))]
    beside = _beside(found, target, BESIDE_MV)
    nodes += [(key, place, "") for key, place in beside.items()]
    scale = _scale(found, actual if actual is not None else target, variable)
    move = ("max_move", *_largest_move(found, beside, _range(found, actual, variable)))
    return Guess(
        name=f"mv.{variable.name}",
        remark=_remark(variable, target, actual),
        nodes=tuple(nodes),
        literals=(*scale, move),
    )


def _largest_move(
    found: Sequence[Found], beside: dict[str, int], limits: tuple[float, float]
) -> tuple[str, str]:
    """What the DCS allows now, where it says so; else 5 % of the range."""
    place = beside.get("max_move_node")
    held = None if place is None else found[place].facts.value
    value = None if held is None or held.Value is None else held.Value.Value
    if isinstance(value, int | float) and math.isfinite(value) and value > 0:
        return f"{float(value):.6g}", "largest move a scan, as the DCS has it now"
    return f"{0.05 * (limits[1] - limits[0]):.6g}", "largest move a scan; 5 % of the range"


def _best(found: Sequence[Found], variable: Variable, role: Callable[[Found], float]) -> int | None:
    """Place of the node that looks most like the variable in this role; None when none does."""
    best, place = 0.0, None
    for index, item in enumerate(found):
        facts = item.facts
        if not (facts.variable and facts.numeric and facts.scalar):
            continue
        like, fits = likeness(variable.name, item.names), role(item)
        unit = _unit_fits(facts.unit, variable.unit)
        if like == 0.0 or fits < 0.0 or unit < 0.0:
            continue
        score = 10.0 * like + 2.0 * fits + unit
        if score > best:
            best, place = score, index
    return place


def _role(
    item: Found, own: frozenset[str], other: frozenset[str], *, writable: bool | None
) -> float:
    """2 = a word of this role in the path, 0 = none, -1 = it plays another role."""
    present = {word for part in item.names for word in words(part)}
    if writable is not None and item.facts.writable is not writable:
        return -1.0
    last = set(words(item.names[-1])) if item.names else set()
    if last & own:
        return 2.0
    if present & other and not present & own:
        return -1.0
    return 1.0 if present & own else 0.0


def _unit_fits(unit: str | None, wanted: str) -> float:
    if unit is None:
        return 0.0
    if unit == "percent":
        return 0.5
    if unit == wanted:
        return 1.5
    return 1.0 if isinstance(conversion(unit, wanted), Conversion) else -1.0


def _first(found: Sequence[Found], names: set[str]) -> int | None:
    return next((i for i, item in enumerate(found) if squeezed(item.names[-1]) in names), None)


def _beside(found: Sequence[Found], place: int | None, keys: dict[str, set[str]]) -> dict[str, int]:
    """Nodes of the same folder by their names."""
    if place is None:
        return {}
    folder = found[place].path[:-1]
    beside: dict[str, int] = {}
    for key, names in keys.items():
        for index, item in enumerate(found):
            same = item.facts.variable and item.path[:-1] == folder
            if same and index != place and squeezed(item.names[-1]) in names:
                beside.setdefault(key, index)
        if squeezed(found[place].names[-1]) in names:
            beside[key] = place
    return beside


def _methods(found: Sequence[Found], block: dict[str, int]) -> tuple[tuple[str, int, int], ...]:
    if not block:
        return ()
    folder = found[next(iter(block.values()))].path[:-1]
    return tuple(
        (key, index, index)
        for key, names in METHODS.items()
        for index, item in enumerate(found)
        if not item.facts.variable
        and item.path[:-1] == folder
        and squeezed(item.names[-1]) in names
    )


def _advisory(found: Sequence[Found], manifest: Manifest) -> Guess | None:
    nodes = [
        (mv.name, index, "")
        for mv in manifest.mvs
        for index, item in enumerate(found)
        if len(item.names) > 1
        and squeezed(item.names[-2]) == "advisory"
        and squeezed(item.names[-1]) == squeezed(mv.name)
    ]
    return Guess(name="diagnostics.advisory", nodes=tuple(nodes)) if nodes else None


def _scale(
    found: Sequence[Found], place: int | None, variable: Variable
) -> tuple[tuple[str, str, str], ...]:
    """Unit, span where it is percent, and range."""
    unit = found[place].facts.unit if place is not None else None
    note = "" if unit is not None else "the server names no unit that is known: check"
    low, high = _range(found, place, variable)
    rows = [("unit", f'"{unit or variable.unit}"', note)]
    if unit == "percent":
        span = f"[{float(variable.low)}, {float(variable.high)}]"
        rows.append(("span", span, f"what 0 and 100 % stand for, in {variable.unit}"))
    rows.append(("range", f"[{low}, {high}]", "instrument range, in `unit`"))
    return tuple(rows)


def _range(found: Sequence[Found], place: int | None, variable: Variable) -> tuple[float, float]:
    facts = found[place].facts if place is not None else None
    if facts is not None and facts.range is not None and facts.range[0] < facts.range[1]:
        return facts.range
    if facts is not None and facts.unit == "percent":
        return 0.0, 100.0
    way = conversion(facts.unit if facts and facts.unit else variable.unit, variable.unit)
    if not isinstance(way, Conversion):
        return float(variable.low), float(variable.high)
    return round(way.to_server(variable.low), 6), round(way.to_server(variable.high), 6)


def _note(found: Sequence[Found], place: int | None) -> str:
    if place is None:
        return "nothing found: choose from the list below"
    facts = found[place].facts
    limits = "" if facts.range is None else f" {facts.range[0]:g}..{facts.range[1]:g}"
    return f"{facts.kind_name} {facts.unit_text}{limits}".strip()


def _remark(variable: Variable, *places: int | None) -> str:
    missing = "" if all(place is not None for place in places) else "; not all of it was found"
    return f"{variable.name} [{variable.unit}]{missing}"
