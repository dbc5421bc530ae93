"""Is a dataset fit to train on? Every finding with its reason, its figure and what to do.

`refuse` stops the training; `flag` goes into the manifest and the model card. The limits are
the constants below; docs/training.md gives the figures of the recipes that ship.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.bundle import DataCheck, horizon_ends
from models.data.identifiability import Pair, identifiability
from models.data.units import likely_unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.bundle import Signal
    from models.data.dataset import Dataset
    from models.recipe import Recipe

    F64 = NDArray[np.float64]

RUNAWAY_SHARE = 0.01  # of runs of one episode's length; published PI without override: 0.029
MISSING_SHARE = 0.05
WHOLE_HORIZON_SHARE = 0.5  # of the rows; a horizon needs its segment to last so long
OUTSIDE_FLAG, OUTSIDE_REFUSE = 0.01, 0.5  # share of samples outside the range
RANGE_MARGIN = 0.02  # of the span: noise on a value at its limit is no wrong unit
STUCK_SHARE = 0.1
# The next move beyond what the situation explains, as a share of half the range: 0.011 to 0.025
# with mild dither, 0.004 to 0.008 of PI with many tunings, about 0.001 of PI with one.
EXCITATION_FLAG, EXCITATION_REFUSE = 0.01, 0.001
# A pair's gain over its standard error (two: the usual 95 %), and the best of an MV's pairs. Feed
# to temperature, the weakest pair: 2.6 to 6.7 with mild dither, 0.1 to 2.9 of PI alone. Moves
# without any effect: below 1.
RATIO_FLAG, RATIO_REFUSE = 2.0, 1.5


class DataRefused(Exception):  # noqa: N818  # a verdict, named as such
    """Data that must not be trained on; the message lists the findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """All findings and, unless the data are too broken for it, the figures of the pairs."""

    findings: list[DataCheck]
    pairs: list[Pair] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether anything stops the training."""
        return any(finding.severity == "refuse" for finding in self.findings)

    def words(self) -> str:
        """The refusing findings, a line each."""
        lines = [
            f"{f.column}: {f.reason} ({f.figure}); {f.advice}"
            for f in self.findings
            if f.severity == "refuse"
        ]
        return "\n  ".join(["the data are refused:", *lines])

    def facts(self) -> dict[str, float]:
        """Figures of the pairs for the manifest."""
        ratios = {f"gain_over_error.{p.mv}.{p.cv}": round(p.ratio, 1) for p in self.pairs}
        return ratios | {f"excitation.{p.mv}": round(p.excitation, 4) for p in self.pairs}


def check(data: Dataset, recipe: Recipe, known: list[DataCheck] | None = None) -> DataReport:
    """Run all checks; `known` are findings made while the data were read."""
    findings = [*(known or []), *_values(data, recipe), *_time(data, recipe)]
    if any(f.severity == "refuse" for f in findings):
        return DataReport(findings=findings)
    findings += [*_units(data, recipe), *_runaways(data, recipe), *_gaps(data, recipe)]
    findings += _stuck(data, recipe)
    if any(f.severity == "refuse" and "horizon" in f.reason for f in findings):
        return DataReport(findings=findings)
    pairs = identifiability(data, recipe)
    return DataReport(findings=[*findings, *_weak(pairs)], pairs=pairs)


def columns(data: Dataset, recipe: Recipe) -> Iterator[tuple[Signal, F64]]:
    """CVs, MVs and DVs with their values (M,)."""
    for signals, values in ((recipe.cvs, data.cv), (recipe.mvs, data.mv), (recipe.dvs, data.dv)):
        for i, signal in enumerate(signals):
            yield signal, values[:, i]


def _values(data: Dataset, recipe: Recipe) -> Iterator[DataCheck]:
    setpoints = ((f"{cv.name}.SP", data.sp[:, i]) for i, cv in enumerate(recipe.cvs))
    for name, column in (*((s.name, c) for s, c in columns(data, recipe)), *setpoints):
        bad = int(np.count_nonzero(~np.isfinite(column)))
        if bad:
            yield _refuse(
                name,
                "values that are not finite",
                f"{bad} of {len(column)} samples",
                "leave those rows out: a missing row is a gap",
            )


def _time(data: Dataset, recipe: Recipe) -> Iterator[DataCheck]:
    """Order and spacing of the samples within each episode."""
    nominal = recipe.source.sample_time_s
    steps = np.diff(data.time_s)[np.diff(data.episode) == 0]
    if not len(steps):
        yield _refuse("time", "no two samples of one episode", "0 steps", "give a longer record")
        return
    back = int(np.count_nonzero(~(steps > 0.0)))
    if back:
        advice = "sort by time, keep one row for each instant"
        yield _refuse("time", "repeats or runs backwards", f"{back} of {len(steps)} steps", advice)
        return
    advice = (
        f"resample to {nominal:g} s (MVs: mean over the sample that ends there; others: value "
        "at that instant; nothing across gaps) or set source.sample_time_s"
    )
    usual = float(np.median(steps))
    if abs(usual - nominal) > 0.01 * nominal:
        reason = "the sampling differs from the recipe's"
        yield _refuse("time", reason, f"{usual:g} s instead of {nominal:g} s", advice)
        return
    off = np.abs(steps / nominal - np.round(steps / nominal)) > 0.01
    if off.any():
        figure = f"{np.count_nonzero(off)} of {len(steps)} steps, e.g. {steps[off][0]:g} s"
        yield _refuse("time", "irregular sampling, beyond gaps of whole samples", figure, advice)


def _units(data: Dataset, recipe: Recipe) -> Iterator[DataCheck]:
    for signal, column in columns(data, recipe):
        margin = RANGE_MARGIN * (signal.high - signal.low)
        outside = (column < signal.low - margin) | (column > signal.high + margin)
        share = float(outside.mean())
        if share <= OUTSIDE_FLAG:
            continue
        guess = likely_unit(column, signal)
        reason = "outside its range" + (f"; looks like {guess}" if guess else "")
        figure = (
            f"{share:.0%} of the samples, median {np.median(column):.4g} in a range "
            f"{signal.low:g}..{signal.high:g} {signal.unit}"
        )
        advice = f"convert to {signal.unit}, or correct low and high in the recipe"
        make = _refuse if share > OUTSIDE_REFUSE or guess else _flag
        yield make(signal.name, reason, figure, advice)


def _runaways(data: Dataset, recipe: Recipe) -> Iterator[DataCheck]:
    """Runs above the hard limit; a long record is cut into runs of an episode's length."""
    limited = [i for i, cv in enumerate(recipe.cvs) if cv.safe_high is not None]
    length = max(1, round(3600.0 * recipe.source.hours / recipe.source.sample_time_s)) + 1
    runs = [(s, min(s + length, b)) for a, b in data.episodes() for s in range(a, b, length)]
    for i in limited:
        cv = recipe.cvs[i]
        highest = np.maximum(data.cv[:, i], data.peak) if len(limited) == 1 else data.cv[:, i]
        hot = sum(bool(highest[a:b].max() > cv.high) for a, b in runs)
        if hot:
            advice = f"leave out the runs above {cv.high:g} {cv.unit}, or record with an override"
            figure = f"{hot} of {len(runs)} runs, highest {highest.max():.1f} {cv.unit}"
            make = _refuse if hot > RUNAWAY_SHARE * len(runs) else _flag
            yield make(cv.name, "runaways: runs above the hard limit", figure, advice)


def _gaps(data: Dataset, recipe: Recipe) -> Iterator[DataCheck]:
    nominal = recipe.source.sample_time_s
    due = sum(
        round((data.time_s[b - 1] - data.time_s[a]) / nominal) + 1 for a, b in data.episodes()
    )
    missing = 1.0 - len(data.time_s) / due
    longest = horizon_ends(list(recipe.cost.blocks))[-1]
    lengths = np.array([b - a for a, b in data.bounds()])
    whole = float(np.maximum(lengths - longest, 0).sum() / lengths.sum())
    figure = (
        f"{missing:.1%} missing, {len(lengths)} segments of {lengths.min()} to {lengths.max()} "
        f"samples, {whole:.0%} of the rows with {longest} more after them"
    )
    advice = "give a record with fewer gaps, or shorten cost.blocks"
    if whole == 0.0:
        yield _refuse("time", "no segment is as long as the horizon", figure, advice)
    elif whole < WHOLE_HORIZON_SHARE:
        yield _flag("time", "few rows see the whole horizon", figure, advice)
    elif missing > MISSING_SHARE:
        yield _flag("time", "gaps", figure, advice)


def _stuck(data: Dataset, recipe: Recipe) -> Iterator[DataCheck]:
    """Columns without any change, and measurements frozen for longer than the horizon."""
    longest = horizon_ends(list(recipe.cost.blocks))[-1]
    moved = {mv.name for mv in recipe.mvs}
    for signal, column in columns(data, recipe):
        if np.ptp(column) <= 1e-9 * (signal.high - signal.low):
            figure = f"{column[0]:g} {signal.unit} in all {len(column)} samples"
            yield _refuse(signal.name, "constant", figure, "give a record in which it changes")
        elif signal.name not in moved:
            edges = np.flatnonzero((np.diff(column) != 0.0) | (np.diff(data.segment) != 0)) + 1
            runs = np.diff(np.concatenate(([0], edges, [len(column)])))
            share = float(runs[runs > longest].sum() / len(column))
            if share > STUCK_SHARE:
                figure = f"{share:.0%} of the samples, longest {runs.max()} samples"
                advice = "check the instrument; log it more finely"
                yield _flag(signal.name, "stuck for longer than the horizon", figure, advice)


def _weak(pairs: list[Pair]) -> Iterator[DataCheck]:
    """Too little excitation: MVs that only follow the situation, pairs whose gain is not seen."""
    for mv, size in {pair.mv: pair.excitation for pair in pairs}.items():
        if size < EXCITATION_FLAG:
            make = _refuse if size < EXCITATION_REFUSE else _flag
            figure = f"{size:.2%} of half its range; {EXCITATION_FLAG:.0%} passes"
            advice = "add a small dither to the loop's output, or records of manual moves"
            yield make(
                mv, "its moves follow from the situation: too little excitation", figure, advice
            )
    best = {mv: max(p.ratio for p in pairs if p.mv == mv) for mv in {p.mv for p in pairs}}
    for pair in pairs:
        if pair.ratio < RATIO_FLAG:
            make = _refuse if best[pair.mv] < RATIO_REFUSE else _flag
            figure = f"gain over its standard error {pair.ratio:.1f}; {RATIO_FLAG:g} passes"
            advice = "more data, more moves of this MV, or a gain sign of 0 if there is no path"
            yield make(f"{pair.mv} -> {pair.cv}", "effect not identified", figure, advice)


def _refuse(column: str, reason: str, figure: str, advice: str) -> DataCheck:
    return DataCheck(severity="refuse", column=column, reason=reason, figure=figure, advice=advice)


def _flag(column: str, reason: str, figure: str, advice: str) -> DataCheck:
    return DataCheck(severity="flag", column=column, reason=reason, figure=figure, advice=advice)
