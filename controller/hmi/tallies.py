"""How many scans of each run ended in AUTO, and how many past their deadline.

Counted in the journal, at some 5 us a scan, and remembered: what was counted is not read again, and
what a long journal leaves to count goes on with the next question.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.journal.reader import Reader

BUDGET_S = 1.0
"""Time that one question may count for."""

CHUNK = 20_000
"""Scans counted at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What was counted of a run, up to the scan `last`.  whole: there is nothing after it."""

    last: int = -1
    auto: int = 0
    overruns: int = 0
    whole: bool = False


Tallies: TypeAlias = dict[tuple[int, str], Tally]
"""(run, when it began) -> what was counted; a run of another journal began at another time."""


def count(reader: Reader, runs: Iterable[tuple[int, str]], known: Tallies) -> None:
    """Count on in `known`, each run from where it stands, for `BUDGET_S` at most."""
    end_s = monotonic() + BUDGET_S
    for key in runs:
        tally = known.get(key, Tally())
        while True:
            scans, last, auto, overruns = reader.tally(key[0], after=tally.last, limit=CHUNK)
            tally = Tally(
                last=last,
                auto=tally.auto + auto,
                overruns=tally.overruns + overruns,
                whole=scans < CHUNK,
            )
            known[key] = tally
            if monotonic() > end_s:
                return
            if tally.whole:
                break
