"""Configuration against server, tag by tag: what fits, what does not, and what to do about it.

Pure: facts in, findings out.  `controller.commissioning.check` gathers the facts and prints
the findings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from asyncua import ua

from controller.commissioning.enumerations import listed, position
from controller.commissioning.scales import (
    DIFFERENCES,
    IN_UNIT,
    Scale,
    likely_units,
    number,
)
from controller.commissioning.stand_ins import absences
from controller.commissioning.summary import now, summary
from controller.configuration.choices import among, shown
from controller.configuration.units import RAW
from controller.opcua.image import measurement
from controller.opcua.survey import NUMERIC
from controller.opcua.targets import ANALOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from controller.configuration.choices import Choice
    from controller.configuration.tags import Scaled, Tags
    from controller.opcua.survey import NodeFacts


class Verdict(StrEnum):
    """How a tag fares.  CONFIGURATION and PLANT decide the exit code (2 and 4)."""

    FITS = "fits"
    NOTE = "note"
    CONFIGURATION = "configuration"
    PLANT = "plant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.  found: what is there; action: what to do, "" when nothing."""

    key: str
    verdict: Verdict
    found: str
    action: str = ""


FLAGS = frozenset({"permit", "init", "windup_lo", "windup_hi", "request", "active"})
TEXTS = frozenset({"status", "shed_reason"})
CLOCKS = frozenset({"clock.plant_time", "handshake.heartbeat_out"})
SELECTOR = "handshake.mode"

_INTEGERS = frozenset(NUMERIC - {ua.VariantType.Float, ua.VariantType.Double})
_TEXTS = frozenset({ua.VariantType.String, ua.VariantType.LocalizedText})
SELECTING: dict[type, tuple[frozenset[ua.VariantType], str]] = {
    bool: (frozenset({ua.VariantType.Boolean}), "true or false"),
    int: (_INTEGERS, "a whole number"),
    str: (_TEXTS, "a text"),
}
"""Type of a choice in tags.toml -> types of a node that shows such, in words."""
JUDGED = frozenset({"pv", "sp", "actual"})
"""Tags whose value is bad outside range."""


def compare_tag(
    key: str,
    facts: NodeFacts,
    scale: Scale | None,
    *,
    written: bool,
    choices: Sequence[Choice] = (0,),
    numbers: Mapping[int, str] | None = None,
) -> Iterator[Finding]:
    """Everything about one variable.

    scale: how its values are read, None for a tag without a unit.  choices: of a selector or a
    mode, what tags.toml takes it to show.  numbers: what that means, for an enumeration.
    """
    problems = list(_problems(key, facts, scale, numbers or {}, written=written))
    if key.rsplit(".", 1)[-1] == "mode" and not problems:
        problems = list(_selection(key, facts, choices))
    yield from problems
    if not problems:
        yield Finding(key=key, verdict=Verdict.FITS, found=summary(key, facts, scale))


def _problems(
    key: str,
    facts: NodeFacts,
    scale: Scale | None,
    numbers: Mapping[int, str],
    *,
    written: bool,
) -> Iterator[Finding]:
    name = key.rsplit(".", 1)[-1]
    if not facts.variable:
        yield _plant(key, "a node that is no variable", "name the variable itself in tags.toml")
        return
    yield from _type(key, name, facts)
    if not facts.readable and not key.startswith("diagnostics."):
        yield _plant(key, "not readable by this user", "have the server allow reading")
    if written and not facts.user_writable:
        who = "by nobody" if not facts.writable else "by this user"
        yield _plant(key, f"not writable {who}", "have the server allow it, or use another account")
    if scale is not None and name in IN_UNIT:
        yield from _unit(key, facts, scale.table)
        if name not in DIFFERENCES:
            yield from _range(key, facts, scale.table)
        if name in JUDGED:
            yield from _inside(key, facts, scale)
    yield from _numbers(key, facts, numbers)
    yield from _value(key, facts, written=written)


def _type(key: str, name: str, facts: NodeFacts) -> Iterator[Finding]:
    if not facts.scalar:
        yield _plant(key, "an array", "name a scalar node in tags.toml")
    if name == "target":
        wanted, right = "fractions, Double or Float", facts.kind in ANALOG
    elif key.startswith(("cv.", "dv.")) or name in IN_UNIT:
        wanted, right = "a number", facts.numeric
    elif name in FLAGS:
        wanted, right = "a Boolean", facts.kind is ua.VariantType.Boolean
    elif name == "mode":
        wanted = "a whole number, a text or a Boolean"
        right = any(facts.kind in kinds for kinds, _ in SELECTING.values())
    elif name in TEXTS:
        wanted, right = "a text", facts.kind in _TEXTS
    elif key in CLOCKS and facts.kind is ua.VariantType.DateTime:
        wanted, right = "a number or a time", True
    else:
        wanted, right = "a number", facts.numeric or facts.kind is ua.VariantType.Boolean
    if not right:
        yield _plant(key, f"type {facts.kind_name}", f"name a node that holds {wanted}")


def _selection(key: str, facts: NodeFacts, choices: Sequence[Choice]) -> Iterator[Finding]:
    """A selector that can show what tags.toml waits for, and shows something known now."""
    where = "handshake.mode_values" if key == SELECTOR else key.removesuffix("mode") + "remote"
    kinds, words = SELECTING[type(choices[0])]
    shows = None if facts.value is None else measurement(key, facts.value, 0.0).value
    if facts.kind not in kinds:
        yield Finding(
            key=where,
            verdict=Verdict.CONFIGURATION,
            found=f"{shown(choices)}: the node of {key} is a {facts.kind_name}, not {words}",
            action="write what the node shows, in its type",
        )
    elif key == SELECTOR and not (shows is None or among(shows, choices)):
        yield Finding(
            key=where,
            verdict=Verdict.CONFIGURATION,
            found=f"the node shows {shows!r}, tags.toml knows {shown(choices)}",
            action="correct the values, or add what it shows to one of them",
        )


def _unit(key: str, facts: NodeFacts, scaled: Scaled) -> Iterator[Finding]:
    wanted = scaled.unit
    if wanted == RAW:
        return
    if not facts.unit_text and facts.unit is None:
        yield Finding(
            key=key,
            verdict=Verdict.NOTE,
            found=f"the server names no unit{now(facts)}",
            action=f"make sure that it is {wanted}",
        )
    elif facts.unit is None:
        yield Finding(
            key=key,
            verdict=Verdict.NOTE,
            found=f"unit {facts.unit_text!r}, which is not known here{now(facts)}",
            action=f"make sure that it means {wanted}",
        )
    elif facts.unit != wanted and {facts.unit, wanted} != {"kg/m3", "g/L"}:
        yield Finding(
            key=key,
            verdict=Verdict.CONFIGURATION,
            found=f"unit {facts.unit} on the server, {wanted} in tags.toml",
            action=f'set unit = "{facts.unit}", and range with it, or correct the server',
        )


def _range(key: str, facts: NodeFacts, scaled: Scaled) -> Iterator[Finding]:
    if facts.range is None:
        return
    (low, high), (given_low, given_high) = facts.range, scaled.range
    slack = 1e-9 * max(abs(low), abs(high), 1.0)
    outside = given_high < low - slack or given_low > high + slack
    if outside:
        yield Finding(
            key=key,
            verdict=Verdict.CONFIGURATION,
            found=f"EURange {low:g} to {high:g}, range {given_low:g} to {given_high:g}",
            action="the two do not meet: correct range or unit in tags.toml",
        )
    elif given_low < low - slack or given_high > high + slack:
        yield Finding(
            key=key,
            verdict=Verdict.NOTE,
            found=f"EURange {low:g} to {high:g} is narrower than range "
            f"{given_low:g} to {given_high:g}",
        )


def _inside(key: str, facts: NodeFacts, scale: Scale) -> Iterator[Finding]:
    """A present value outside range is bad; where the server names no unit, that is the cause."""
    held = number(facts)
    low, high = scale.table.range
    if held is None or low <= held <= high:
        return
    likely = [unit for unit in likely_units(facts, scale.variable) if unit != scale.table.unit]
    named = facts.unit is not None
    hint = f"; it would fit {', '.join(likely)}" if likely and not named else ""
    yield Finding(
        key=key,
        verdict=Verdict.NOTE if named else Verdict.CONFIGURATION,
        found=f"now {held:.6g}, outside range {low:g} to {high:g}",
        action="bad until it is inside: AUTO waits"
        if named
        else f"correct unit or range in tags.toml{hint}",
    )


def _numbers(key: str, facts: NodeFacts, numbers: Mapping[int, str]) -> Iterator[Finding]:
    """Numbers of tags.toml that the server does not have, or calls otherwise."""
    if not facts.names:
        return
    for value, meaning in numbers.items():
        said = facts.names.get(value)
        other = None if said is None else position(said)
        if said is None and meaning != "shadow":  # a DCS may do without that position
            found = f"{value} stands for {meaning} in tags.toml, and is none of the server's"
        elif said is not None and meaning in {"manual", "auto"} and other not in {None, meaning}:
            found = f"{value} stands for {meaning} in tags.toml, and is the server's {said}"
        else:
            continue
        yield Finding(
            key=key,
            verdict=Verdict.CONFIGURATION,
            found=found,
            action=f"correct the number; the server has {listed(facts.names)}",
        )


def _value(key: str, facts: NodeFacts, *, written: bool) -> Iterator[Finding]:
    held = facts.value
    if held is None or (written and not facts.readable):
        return
    status = held.StatusCode
    if status is not None and not status.is_good():
        yield Finding(
            key=key,
            verdict=Verdict.NOTE,
            found=f"present quality {status.name}",
            action="AUTO waits until it is good",
        )
        return
    value = None if held.Value is None else held.Value.Value
    if isinstance(value, float) and not math.isfinite(value):
        yield Finding(
            key=key, verdict=Verdict.NOTE, found=f"present value {value}",
            action="AUTO waits until it is a number",
        )  # fmt: skip


def absent_parts(tags: Tags) -> Iterator[Finding]:
    """What this DCS does not have according to tags.toml, and what stands in for it."""
    for key, words in absences(tags):
        yield Finding(key=key, verdict=Verdict.NOTE, found="absent", action=words)


def compare_methods(executable: Mapping[str, bool | None]) -> Iterator[Finding]:
    """Whether the user may call each method; None: the server does not say."""
    for key, allowed in executable.items():
        if allowed is False:
            yield _plant(key, "not callable by this user", "have the server allow it")
        else:
            said = "callable" if allowed else "there"
            yield Finding(key=key, verdict=Verdict.FITS, found=f"method, {said}")


def _plant(key: str, found: str, action: str) -> Finding:
    return Finding(key=key, verdict=Verdict.PLANT, found=found, action=action)
