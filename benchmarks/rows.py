"""A row of the result: ours beside theirs, or why there is nothing to show."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Timing

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6}
"""Units that a duration [s] can be told in, and how many of them a second has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison. Every figure is in `unit`; None where there is none.

    ours, theirs: medians. ratio: theirs / ours, above 1 where ours is the smaller. p50, p99, p999:
    quantiles of ours on the wall clock; cpu_*: of the CPU time of the thread that did it, as tails
    of a shared machine's wall clock are its neighbours'; theirs_*: theirs. cpu_ratio: that of the
    medians of CPU time. goal: the ratio to show, limits: the largest values of the row's fields.
    axis, at: the quantity that a curve is drawn over, and its value here. skipped: why the row is
    empty, with what to do about it.
    """

    name: str
    size: str = ""
    against: str = ""
    ours: float | None = None
    theirs: float | None = None
    ratio: float | None = None
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None
    unit: str = ""
    cpu_p50: float | None = None
    cpu_p99: float | None = None
    cpu_p999: float | None = None
    cpu_ratio: float | None = None
    theirs_p99: float | None = None
    theirs_p999: float | None = None
    repetitions: int | None = None
    goal: float | None = None
    limits: dict[str, float] = field(default_factory=dict)
    note: str = ""
    axis: str = ""
    at: float | None = None
    skipped: str = ""

    @classmethod
    def of(cls, row: Row | Mapping[str, Any]) -> Self:
        """A row from its JSON object; raises ValueError for a key that no row has.

        A ratio that is missing beside ours and theirs is filled in.
        """
        given = asdict(row) if isinstance(row, Row) else dict(row)
        unknown = sorted(set(given) - {part.name for part in fields(cls)})
        if unknown:
            raise ValueError(f"row {given.get('name')!r}: unknown keys {unknown}")
        if given.get("ratio") is None:
            given["ratio"] = ratio_of(given.get("ours"), given.get("theirs"))
        return cls(**given)

    @property
    def reached(self) -> bool | None:
        """Whether goal and limits are kept, the goal on both clocks; None without either."""
        if self.skipped or (self.goal is None and not self.limits):
            return None
        found = {key: getattr(self, key) for key in self.limits}
        within = all(
            found[key] is not None and found[key] <= limit for key, limit in self.limits.items()
        )
        return within and (self.goal is None or self.slowest_ratio >= self.goal)

    @property
    def slowest_ratio(self) -> float:
        """The smaller of ratio and cpu_ratio, 0 without either.

        On a busy machine the wall clock alone flatters the quick: a long call is interrupted, a
        short one hardly ever is.
        """
        return min((r for r in (self.ratio, self.cpu_ratio) if r is not None), default=0.0)

    def as_json(self) -> dict[str, Any]:
        """The row as bench.json holds it: numbers that are not finite become null."""
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }


def ratio_of(ours: float | None, theirs: float | None) -> float | None:
    """theirs / ours; None where one is missing or ours is 0."""
    return theirs / ours if ours and theirs is not None else None


def compared(
    name: str,
    ours: Timing,
    theirs: Timing | None = None,
    *,
    against: str = "",
    size: str = "",
    unit: str = "us",
    **more: Any,
) -> Row:
    """A row from two timings of one run; `more` are further fields of the row."""
    times = UNITS[unit]
    wall, cpu = ours.wall.scaled(times), ours.cpu.scaled(times)
    other = theirs.wall.scaled(times) if theirs is not None else None
    return Row(
        name=name,
        size=size,
        against=against or (theirs.name if theirs is not None else ""),
        ours=wall.p50,
        theirs=None if other is None else other.p50,
        ratio=ratio_of(wall.p50, None if other is None else other.p50),
        p50=wall.p50,
        p99=_known(wall.p99),
        p999=_known(wall.p999),
        unit=unit,
        cpu_p50=cpu.p50,
        cpu_p99=_known(cpu.p99),
        cpu_p999=_known(cpu.p999),
        cpu_ratio=ratio_of(ours.cpu.p50, None if theirs is None else theirs.cpu.p50),
        theirs_p99=None if other is None else _known(other.p99),
        theirs_p999=None if other is None else _known(other.p999),
        repetitions=ours.repetitions,
        **more,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def skipped(name: str, reason: str, *, against: str = "", size: str = "") -> Row:
    """A row without figures; reason: what is missing and what to do about it."""
    return Row(name=name, size=size, against=against, skipped=reason)
