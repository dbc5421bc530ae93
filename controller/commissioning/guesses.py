"""Which node might be which variable of a model: by name, unit, access and neighbourhood.

Guesses only: each is shown to a person as a comment.  A variable is looked for by the words of its
name and a unit that converts; the tags that belong to an MV or to the hand-shake are looked for
beside the first one found.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from controller.commissioning.candidates import for_selector, for_variable
from controller.commissioning.enumerations import listed, remote, selector
from controller.commissioning.scales import (
    Row,
    largest_move,
    limits,
    scale,
    unit_fits,
    unit_of,
)
from controller.commissioning.summary import now
from controller.commissioning.vocabulary import (
    ACTUAL,
    BESIDE_MV,
    CLOCK,
    DIAGNOSTICS,
    HANDSHAKE,
    MEASURED,
    METHODS,
    SETPOINT,
    TARGET,
    likeness,
    squeezed,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncua import ua

    from controller.configuration.binding import Variable
    from controller.opcua.survey import NodeFacts
    from models.bundle import Manifest


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
    literals: (key, TOML value, note).  candidates: (key, places) of what was not found by name.
    """

    name: str
    remark: str = ""
    nodes: tuple[tuple[str, int | None, str], ...] = ()
    methods: tuple[tuple[str, int, int], ...] = ()
    literals: tuple[Row, ...] = field(default=())
    candidates: tuple[tuple[str, tuple[int, ...]], ...] = ()


def guess(found: Sequence[Found], manifest: Manifest) -> list[Guess]:
    """One table for each variable of the model, then the parts of the hand-shake."""
    tables = [_widened(found, _cv(found, cv), cv) for cv in manifest.cvs]
    tables += [_widened(found, _mv(found, mv), mv) for mv in manifest.mvs]
    tables += [_widened(found, _dv(found, dv), dv) for dv in manifest.dvs]
    tables.append(_handshake(found))
    for name, keys in (("clock", CLOCK), ("diagnostics", DIAGNOSTICS)):
        first = next(iter(keys.values()))
        beside = _beside(found, _first(found, first), keys)
        if beside:
            nodes = tuple((key, place, "") for key, place in beside.items())
            tables.append(Guess(name=name, nodes=nodes))
    advisory = _advisory(found, manifest)
    return [*tables, advisory] if advisory is not None else tables


def _widened(found: Sequence[Found], table: Guess, variable: Variable) -> Guess:
    """The table with candidates for what no name told."""
    facts = [item.facts for item in found]
    missing = [key for key, place, _ in table.nodes if place is None]
    return replace(
        table, candidates=tuple((key, for_variable(facts, variable, key)) for key in missing)
    )


def _cv(found: Sequence[Found], variable: Variable) -> Guess:
    pv = _best(found, variable, lambda item: _role(item, MEASURED, SETPOINT, writable=False))
    sp = _best(found, variable, lambda item: _role(item, SETPOINT, MEASURED, writable=None))
    nodes = (("pv", pv, _note(found, pv)), ("sp", sp, _note(found, sp)))
    return Guess(
        name=f"cv.{variable.name}",
        remark=_remark(variable, pv, sp),
        nodes=nodes,
        literals=tuple(scale(_facts(found, pv), variable)),
    )


def _dv(found: Sequence[Found], variable: Variable) -> Guess:
    pv = _best(found, variable, lambda item: _role(item, MEASURED, SETPOINT, writable=False))
    return Guess(
        name=f"dv.{variable.name}",
        remark=_remark(variable, pv),
        nodes=(("pv", pv, _note(found, pv)),),
        literals=tuple(scale(_facts(found, pv), variable)),
    )


def _mv(found: Sequence[Found], variable: Variable) -> Guess:
    target = _best(found, variable, lambda item: _role(item, TARGET, ACTUAL, writable=True))
    actual = _best(found, variable, lambda item: _role(item, ACTUAL, TARGET, writable=False))
    nodes = [("target", target, _note(found, target)), ("actual", actual, _note(found, actual))]
    beside = _beside(found, target, BESIDE_MV)
    nodes += [(key, place, "") for key, place in beside.items()]
    facts = _facts(found, actual if actual is not None else target)
    span = limits(facts, unit_of(facts, variable)[0], variable)
    move = largest_move(_facts(found, beside.get("max_move_node")), span)
    return Guess(
        name=f"mv.{variable.name}",
        remark=_remark(variable, target, actual),
        nodes=tuple(nodes),
        literals=(*scale(facts, variable), move, *_remote(found, beside.get("mode"))),
    )


def _remote(found: Sequence[Found], place: int | None) -> list[Row]:
    """Which numbers of the MV's mode mean that it follows."""
    if place is None:
        return []
    names = found[place].facts.names
    numbers = remote(names)
    said = f"the server's: {listed(names)}" if names else "the server does not name them: ask"
    return [("remote", str(numbers or [2]), f"values of `mode` that follow; {said}")]


def _handshake(found: Sequence[Found]) -> Guess:
    block = _beside(found, _first(found, HANDSHAKE["heartbeat_in"]), HANDSHAKE)
    nodes = tuple((key, place, "") for key, place in block.items())
    literals: list[Row] = []
    if "mode" in block:
        names = found[block["mode"]].facts.names
        values = ", ".join(f"{name} = {value}" for name, value in selector(names).items())
        said = f"the server's: {listed(names)}" if names else "the server does not name them: ask"
        literals.append(("mode_values", f"{{ {values} }}", said))
    named = [words(item.names[-1]) if item.names else [] for item in found]
    selectors = for_selector([item.facts for item in found], named)
    return Guess(
        name="handshake",
        remark="what the DCS has of the hand-shake; what it lacks is done without",
        nodes=nodes,
        methods=_methods(found, block),
        literals=tuple(literals),
        candidates=() if "mode" in block else (("mode", selectors),),
    )


def _facts(found: Sequence[Found], place: int | None) -> NodeFacts | None:
    return None if place is None else found[place].facts


def _best(found: Sequence[Found], variable: Variable, role: Callable[[Found], float]) -> int | None:
    """Place of the node that looks most like the variable in this role; None when none does."""
    best, place = 0.0, None
    for index, item in enumerate(found):
        facts = item.facts
        if not (facts.variable and facts.numeric and facts.scalar):
            continue
        like, fits = likeness(variable.name, item.names), role(item)
        unit = unit_fits(facts.unit, variable.unit)
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


def _note(found: Sequence[Found], place: int | None) -> str:
    return "nothing found: choose from the list below" if place is None else shown(found[place])


def shown(item: Found) -> str:
    """What a person holds against a display of the DCS: type, unit, range, present value."""
    facts = item.facts
    stated = "" if facts.range is None else f"{facts.range[0]:g}..{facts.range[1]:g}"
    parts = (facts.kind_name, facts.unit_text, stated, now(facts).removeprefix("; "))
    return " ".join(part for part in parts if part)


def _remark(variable: Variable, *places: int | None) -> str:
    missing = "" if all(place is not None for place in places) else "; not all of it was found"
    return f"{variable.name} [{variable.unit}]{missing}"
