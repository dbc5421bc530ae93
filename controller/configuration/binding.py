"""The joining of tags.toml with the manifest of a bundle.

`bind` checks that both name the same variables in units that convert, and returns the tags in the
manifest's order with every limit already in the manifest's units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from controller.configuration.tags import MV_OPTIONAL
from controller.configuration.units import Conversion, NoConversion, conversion
from controller.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from controller.configuration.choices import Choice
    from controller.configuration.tags import CvTag, DvTag, MvTag, Scaled, Tags, Watched


class Variable(Protocol):
    """What a variable of the manifest tells: its name, unit and range in that unit."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


class ManifestLike(Protocol):
    """The part of `models.bundle.Manifest` that is bound."""

    @property
    def cvs(self) -> Sequence[Variable]: ...  # noqa: D102
    @property
    def mvs(self) -> Sequence[Variable]: ...  # noqa: D102
    @property
    def dvs(self) -> Sequence[Variable]: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundTag:
    """One process tag: its key, the way into the manifest's unit, and its doubts in that unit."""

    key: str
    conversion: Conversion
    low: float
    high: float
    stale_after_s: float | None = None
    max_step: float | None = None
    frozen_after_scans: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCv:
    """A controlled variable in the manifest's unit.  alarm_limits: ("HH", value), as given."""

    name: str
    unit: str
    pv: BoundTag
    sp: BoundTag
    alarm_limits: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundDv:
    """A further measured variable in the manifest's unit."""

    name: str
    unit: str
    pv: BoundTag


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundMv:
    """A manipulated variable in the manifest's unit.

    low, high: tags.toml's range cut with the manifest's.  max_move: tags.toml's.
    server_range: tags.toml's range as it stands there, in the server's unit.
    keys: "permit" -> "mv.X.permit" of the optional tags that this DCS has.
    """

    name: str
    unit: str
    low: float
    high: float
    max_move: float
    server_range: tuple[float, float]
    actual: BoundTag
    target_key: str
    keys: Mapping[str, str]
    remote: tuple[Choice, ...]

    @property
    def conversion(self) -> Conversion:
        """From the server's unit to the manifest's, for every value of this MV."""
        return self.actual.conversion

    @property
    def span(self) -> float:
        """Width of the range, in the manifest's unit."""
        return self.high - self.low


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """All variables in the manifest's order.

    handshake: "permit" -> "handshake.permit" of the value tags that this DCS has.
    mode_values: what the selector shows -> "manual", "shadow" or "auto".
    mode_on_shed: what is written to the selector on a shed; None = it is never written.
    """

    cvs: tuple[BoundCv, ...]
    mvs: tuple[BoundMv, ...]
    dvs: tuple[BoundDv, ...]
    handshake: Mapping[str, str]
    mode_values: Mapping[Choice, str]
    mode_on_shed: Choice | None = None


def bind(tags: Tags, manifest: ManifestLike, *, file: Path | str) -> Binding:
    """Join tags.toml with a manifest.  Raises ConfigError about `file`, the tags.toml."""
    _check_names("cv", tags.cv, manifest.cvs, file)
    _check_names("mv", tags.mv, manifest.mvs, file)
    _check_names("dv", tags.dv, manifest.dvs, file)
    _check_advisory(tags, file)
    prefix = "handshake."
    values = tags.handshake.mode_values
    return Binding(
        cvs=tuple(_cv(tags.cv[variable.name], variable, file) for variable in manifest.cvs),
        mvs=tuple(_mv(tags.mv[variable.name], variable, file) for variable in manifest.mvs),
        dvs=tuple(_dv(tags.dv[variable.name], variable, file) for variable in manifest.dvs),
        handshake={
            key.removeprefix(prefix): key for key in tags.references() if key.startswith(prefix)
        },
        mode_values={
            choice: name
            for name in ("manual", "shadow", "auto")
            for choice in getattr(values, name) or ()
        },
        mode_on_shed=tags.handshake.mode_on_shed,
    )


def _cv(tag: CvTag, variable: Variable, file: Path | str) -> BoundCv:
    way = _conversion(f"cv.{variable.name}", tag, variable, file)
    low, high = way.interval(*tag.range)
    return BoundCv(
        name=variable.name,
        unit=variable.unit,
        pv=_watched(f"cv.{variable.name}.pv", tag, way),
        sp=BoundTag(key=f"cv.{variable.name}.sp", conversion=way, low=low, high=high),
        alarm_limits=tuple(
            (name, way.value(limit)) for name, limit in tag.alarm_limits if limit is not None
        ),
    )


def _dv(tag: DvTag, variable: Variable, file: Path | str) -> BoundDv:
    way = _conversion(f"dv.{variable.name}", tag, variable, file)
    return BoundDv(
        name=variable.name,
        unit=variable.unit,
        pv=_watched(f"dv.{variable.name}.pv", tag, way),
    )


def _mv(tag: MvTag, variable: Variable, file: Path | str) -> BoundMv:
    key = f"mv.{variable.name}"
    way = _conversion(key, tag, variable, file)
    low, high = way.interval(*tag.range)
    if max(low, variable.low) >= min(high, variable.high):
        raise ConfigError(
            file=file, key=f"{key}.range", received=list(tag.range),
            allowed=f"a range that overlaps the model's {variable.low:g} to {variable.high:g} "
            f"{variable.unit} (received, converted: {low:g} to {high:g} {variable.unit})",
            action="correct range or unit",
        )  # fmt: skip
    return BoundMv(
        name=variable.name,
        unit=variable.unit,
        low=max(low, variable.low),
        high=min(high, variable.high),
        max_move=way.difference(tag.max_move),
        server_range=tag.range,
        actual=BoundTag(key=f"{key}.actual", conversion=way, low=low, high=high),
        target_key=f"{key}.target",
        keys={name: f"{key}.{name}" for name in MV_OPTIONAL if getattr(tag, name) is not None},
        remote=tag.remote,
    )


def _watched(key: str, tag: Watched, way: Conversion) -> BoundTag:
    low, high = way.interval(*tag.range)
    return BoundTag(
        key=key,
        conversion=way,
        low=low,
        high=high,
        stale_after_s=tag.stale_after_s,
        max_step=None if tag.max_step is None else way.difference(tag.max_step),
        frozen_after_scans=tag.frozen_after_scans,
    )


def _conversion(key: str, tag: Scaled, variable: Variable, file: Path | str) -> Conversion:
    found = conversion(
        tag.unit,
        variable.unit,
        span=tag.span,
        scale=tag.scale,
        offset=tag.offset,
        counts=tag.counts,
    )
    if isinstance(found, NoConversion):
        raise ConfigError(
            file=file, key=f"{key}.unit", received=tag.unit, allowed=found.allowed,
            action=f"{found.detail}; the model wants {variable.unit}",
        )  # fmt: skip
    return found


def _check_names(
    group: str, given: Mapping[str, object], wanted: Sequence[Variable], file: Path | str
) -> None:
    names = [variable.name for variable in wanted]
    allowed = f"exactly the model's: {', '.join(names) or 'none'}"
    for name in given:
        if name not in names:
            meant = nearest(name, names)
            raise ConfigError(
                file=file, key=f"{group}.{name}", received=name, allowed=allowed,
                action=f'rename it to "{meant}"' if meant else f"remove [{group}.{name}]",
            )  # fmt: skip
    for name in names:
        if name not in given:
            raise ConfigError(
                file=file, key=f"{group}.{name}", received="nothing", allowed=allowed,
                action=f"add a table [{group}.{name}]",
            )  # fmt: skip


def _check_advisory(tags: Tags, file: Path | str) -> None:
    for name in tags.diagnostics.advisory:
        if name not in tags.mv:
            raise ConfigError(
                file=file, key=f"diagnostics.advisory.{name}", received=name,
                allowed=f"the name of an MV: {', '.join(tags.mv)}",
                action="correct the name or remove the key",
            )  # fmt: skip
