"""tags.toml: which node of the server is which variable of the model.

The file is data shared with the plant, never code: a foreign DCS is driven by another tags.toml.
`load_tags` reads and checks the file alone; `controller.configuration.binding.bind` joins it
with the manifest of a bundle.  Logical tag keys are the file's own dotted keys:
"cv.PolymerConc.pv".
"""

from __future__ import annotations

import tomllib
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from controller.configuration.choices import Choices
from controller.configuration.handshake import NO_REFERENCES, HandshakeTags, ModeValues
from controller.configuration.references import (
    FORMS,
    MethodRef,
    NodeRef,
    ReferenceFormatError,
    parse_method,
    parse_reference,
)
from controller.configuration.units import PERCENT, RAW
from controller.errors import ConfigError, translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Interval = tuple[Finite, Finite]

METHODS = ("take_lease", "release_lease", "shed")
OPERATOR_METHODS = ("acknowledge",)
"""Methods that an operator calls, never the controller."""

MV_OPTIONAL = (
    *("track", "lo_lim", "hi_lim", "max_move_node", "mode"),
    *("permit", "init", "windup_lo", "windup_hi", "status"),
)
"""Tags of an MV that a DCS may lack."""


def _named(name: str) -> str:
    if not (name.isidentifier() and name.isascii()):
        raise ValueError("a name of letters, digits and underscores that begins with a letter")
    return name


Name = Annotated[str, AfterValidator(_named)]


class Section(BaseModel):
    """A frozen table that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Scaled(Section):
    """What every process tag has: the unit on the server and the instrument range in it.

    span belongs to unit "percent" (what 0 and 100 % stand for, in the model's unit).  unit "raw"
    has either counts, two readings of the converter, and the span that they stand for, or scale
    and offset (model's unit = scale * raw + offset).
    """

    unit: str
    range: Interval
    counts: Interval | None = None
    span: Annotated[Interval | None, Field(validate_default=True)] = None
    scale: Annotated[Positive | None, Field(validate_default=True)] = None
    offset: Finite | None = None

    @field_validator("range", "counts")
    @classmethod
    def _ascending(cls, interval: Interval | None) -> Interval | None:
        if interval is not None and not interval[0] < interval[1]:
            raise ValueError("[low, high] with low < high")
        return interval

    @field_validator("counts", "span", "scale", "offset")
    @classmethod
    def _belongs(cls, value: object, info: ValidationInfo) -> object:
        """What a unit needs is there, and what another unit needs is not."""
        name, unit = info.field_name or "", info.data.get("unit")
        raw, counted = unit == RAW, info.data.get("counts") is not None
        needed = {"span": unit == PERCENT or (raw and counted), "scale": raw and not counted}
        allowed = {**needed, "counts": raw, "offset": raw and not counted}
        if value is not None and not allowed[name]:
            raise ValueError(f"nothing, unless {_OWNERS[name]}")
        if value is None and needed.get(name):
            raise ValueError(f'{_WANTED[name]}, since unit = "{unit}"')
        if name == "span" and isinstance(value, tuple) and not value[0] < value[1]:
            raise ValueError(_WANTED["span"])
        return value


_OWNERS = {
    "counts": 'unit = "raw"',
    "span": 'unit = "percent", or unit = "raw" with counts',
    "scale": 'unit = "raw" without counts',
    "offset": 'unit = "raw" without counts',
}
_WANTED = {
    "span": "[value at 0 % or counts[0], value at 100 % or counts[1]] in the model's unit, "
    "ascending",
    "scale": "a number above 0, the model's unit = scale * raw + offset; or counts and span",
}


class Watched(Scaled):
    """A measured tag and how its value is doubted.

    stale_after_s: largest age in wall seconds, of the delivery and of the server's source time;
        absent = only the delivery is judged, by the heartbeat's limit.
    max_step: largest believable change from one scan to the next, in `unit`; absent = any.
    frozen_after_scans: bad after that many scans with the very same value; 0 = off.
    """

    stale_after_s: Positive | None = None
    max_step: Positive | None = None
    frozen_after_scans: Annotated[int, Field(ge=0)] = 0


class AlarmLimits(Section):
    """Alarm limits of a measurement, for displays of a DCS that does not tell them over OPC UA."""

    HH: Finite | None = None
    H: Finite | None = None
    L: Finite | None = None
    LL: Finite | None = None

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        given = [value for value in (self.LL, self.L, self.H, self.HH) if value is not None]
        if any(low >= high for low, high in pairwise(given)):
            raise ValueError("LL < L < H < HH")
        return self


class CvTag(Watched):
    """A controlled variable: its measurement and its setpoint, both in `unit`.

    alarm_limits: likewise; shown, never acted upon.
    """

    pv: str
    sp: str
    alarm_limits: AlarmLimits = AlarmLimits()


class DvTag(Watched):
    """A further measured variable that the model uses."""

    pv: str


class MvTag(Scaled):
    """A manipulated variable.  max_move: largest move a scan, in `unit`.

    The limits, track and output nodes are in `unit`; max_move_node overrides max_move downwards.
    remote: the value or values of the node `mode` that mean "follows the controller".
    """

    max_move: Positive
    target: str
    actual: str
    track: str | None = None
    lo_lim: str | None = None
    hi_lim: str | None = None
    max_move_node: str | None = None
    mode: str | None = None
    remote: Choices = (2,)
    permit: str | None = None
    init: str | None = None
    windup_lo: str | None = None
    windup_hi: str | None = None
    status: str | None = None


class ClockTags(Section):
    """Plant time, a number [s] or a DateTime, and its speed; absent = the monotonic clock."""

    plant_time: str | None = None
    speed: str | None = None


class DiagnosticTags(Section):
    """Where the controller reports to the DCS.  advisory: MV name -> node."""

    cycle_ms: str | None = None
    advice_ms: str | None = None
    correction_gap: str | None = None
    deadline_misses: str | None = None
    advisory: dict[Name, str] = {}


class Tags(Section):
    """The whole of tags.toml."""

    schema_version: Literal[1] = Field(alias="schema")
    namespaces: dict[str, Annotated[str, Field(min_length=1)]] = {}
    cv: Annotated[dict[Name, CvTag], Field(min_length=1)]
    mv: Annotated[dict[Name, MvTag], Field(min_length=1)]
    dv: dict[Name, DvTag] = {}
    handshake: HandshakeTags = HandshakeTags()
    clock: ClockTags = ClockTags()
    diagnostics: DiagnosticTags = DiagnosticTags()

    def texts(self) -> Iterator[tuple[str, str]]:
        """(logical tag key, reference text) of every reference in the file, methods included."""
        for group, entries in (("cv", self.cv), ("mv", self.mv), ("dv", self.dv)):
            for name, entry in entries.items():
                for key in _REFERENCES[group]:
                    text = getattr(entry, key)
                    if text is not None:
                        yield f"{group}.{name}.{key}", text
        for section in ("handshake", "clock", "diagnostics"):
            for key, text in getattr(self, section):
                if isinstance(text, str) and key not in NO_REFERENCES:
                    yield f"{section}.{key}", text
        for name, text in self.diagnostics.advisory.items():
            yield f"diagnostics.advisory.{name}", text

    def references(self) -> dict[str, NodeRef]:
        """Logical tag key -> node, of every variable (no methods)."""
        return {
            key: parse_reference(text, self.namespaces)
            for key, text in self.texts()
            if not _is_method(key)
        }

    def methods(self) -> dict[str, MethodRef]:
        """Logical key ("handshake.take_lease") -> object and method, of those the DCS has."""
        return self._methods(METHODS)

    def operator_methods(self) -> dict[str, MethodRef]:
        """The same of the methods that operators call ("handshake.acknowledge")."""
        return self._methods(OPERATOR_METHODS)

    def _methods(self, names: Iterable[str]) -> dict[str, MethodRef]:
        wanted = {f"handshake.{name}" for name in names}
        return {
            key: parse_method(text, self.namespaces) for key, text in self.texts() if key in wanted
        }


_REFERENCES = {
    "cv": ("pv", "sp"),
    "dv": ("pv",),
    "mv": ("target", "actual", *MV_OPTIONAL),
}
_SECTIONS: dict[str, type[BaseModel]] = {
    "": Tags,
    "cv.*": CvTag,
    "cv.*.alarm_limits": AlarmLimits,
    "mv.*": MvTag,
    "dv.*": DvTag,
    "handshake": HandshakeTags,
    "handshake.mode_values": ModeValues,
    "clock": ClockTags,
    "diagnostics": DiagnosticTags,
}


def load_tags(path: Path) -> Tags:
    """Read and check tags.toml.  Raises ConfigError."""
    return parse_tags(read_toml(path), file=path)


def parse_tags(data: dict[str, Any], *, file: Path | str) -> Tags:
    """Check the contents of tags.toml.  Raises ConfigError."""
    if "cv" not in data and "mv" not in data:
        raise ConfigError(
            file=file, key="", received="no table [cv.*] and no table [mv.*]",
            allowed="a table for each variable of the model",
            action="`trimtab tags browse` proposes them as comments: check each, remove its #",
        )  # fmt: skip
    try:
        tags = Tags.model_validate(data)
    except ValidationError as error:
        raise translate(error, file=file, fields=_SECTIONS) from None
    _check_references(tags, file)
    _check_duplicates(tags, file)
    return tags


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.  Raises ConfigError when it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            file=path, key="", received=str(error), allowed="a TOML 1.0 file in UTF-8",
            action="correct the file at that place (a key may stand only once in its table)",
        ) from None  # fmt: skip
    except OSError as error:
        raise ConfigError(
            file=path, key="", received=error.strerror or str(error), allowed="a readable file",
            action="give the path of an existing file",
        ) from None  # fmt: skip


def _is_method(key: str) -> bool:
    section, _, name = key.partition(".")
    return section == "handshake" and name in (*METHODS, *OPERATOR_METHODS)


def _check_references(tags: Tags, file: Path | str) -> None:
    for key, text in tags.texts():
        parse = parse_method if _is_method(key) else parse_reference
        try:
            parse(text, tags.namespaces)
        except ReferenceFormatError as error:
            raise ConfigError(
                file=file, key=key, received=text, allowed=str(error) or FORMS,
                action="correct the reference; `trimtab tags browse` lists the server's nodes",
            ) from None  # fmt: skip


def _check_duplicates(tags: Tags, file: Path | str) -> None:
    """No two variables may share a node; an MV's own target and actual may."""
    owners: dict[str, tuple[str, str]] = {}
    for key, text in tags.texts():
        group, name, *rest = key.split(".")
        if group not in _REFERENCES or rest[-1] not in {"pv", "sp", "target", "actual"}:
            continue
        other, variable = owners.setdefault(text, (key, name))
        if other != key and (variable != name or group != "mv"):
            raise ConfigError(
                file=file, key=key, received=text, allowed="a node of its own",
                action=f"{other} names the same node: correct one of the two",
            )  # fmt: skip
