"""Results of evaluations, read and brought together: one of the bundles that ship, and others.

A controller of another data variant carries it in its name: `sequence (published_pi)`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.evaluation.bundle_pilots import SWEEP
from models.evaluation.pilot import EvaluationError
from models.evaluation.summary import worst_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Row = dict[str, Any]
_COMMON = ("sample_time_s", "hours", "seed", "last_hours")
_NEEDED = ("rows", "cells", "setting", "bundles", "published", "references")


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything a report is about.

    variant: of the data of the bundle in the first result. whole: the results as read, in their
    order. rows, cells: of all of them, once each.
    """

    variant: str
    whole: list[Row]
    rows: list[Row]
    cells: list[Row]

    @property
    def setting(self) -> Row:
        """What all episodes have in common."""
        setting: Row = self.whole[0]["setting"]
        return setting

    @property
    def worst(self) -> list[Row]:
        """The lowest dataset seed of each controller, suite and scenario."""
        return worst_of(self.cells)

    @property
    def cases(self) -> list[tuple[str, str]]:
        """Suites and their scenarios, in the order evaluated."""
        return list(dict.fromkeys((cell["suite"], cell["scenario"]) for cell in self.cells))

    @property
    def suites(self) -> list[str]:
        """In the order evaluated."""
        return list(dict.fromkeys(suite for suite, _ in self.cases))

    def scenarios(self, suite: str) -> list[str]:
        """Of one suite."""
        return [name for of, name in self.cases if of == suite]

    def named(self, controller: str, variant: str | None) -> str:
        """How a controller of a data variant is called; None: the variant reported on."""
        return controller if variant in {None, self.variant} else f"{controller} ({variant})"

    def controllers(self) -> list[str]:
        """All but those of the sweep."""
        names = dict.fromkeys(cell["controller"] for cell in self.cells)
        return [name for name in names if not name.startswith(SWEEP)]


def load_results(paths: Iterable[Path]) -> Results:
    """Read results of `trimtab-models evaluate`; raise EvaluationError for what does not fit."""
    return together([(str(path), _read(path)) for path in paths])


def together(named: list[tuple[str, Row]]) -> Results:
    """Results by the name of their file, as one; raise EvaluationError where they do not fit."""
    main = _variant(named[0][1]["bundles"][0])
    rows: list[Row] = []
    cells: dict[tuple[Any, ...], Row] = {}
    for name, result in named:
        _check_common(named[0], (name, result))
        variants = {bundle["dataset_seed"]: _variant(bundle) for bundle in result["bundles"]}
        new = [_renamed(cell, variants, main) for cell in result["cells"]]
        keys = {_key(cell): cell for cell in new if _key(cell) not in cells}
        twice = [
            cell for cell in new if _key(cell) not in keys and cell["dataset_seed"] is not None
        ]
        if twice:
            cell = twice[0]
            raise EvaluationError(
                f"{name}: {cell['controller']} of dataset seed {cell['dataset_seed']}, suite "
                f"{cell['suite']}, is in a result before it already; give each bundle once"
            )
        cells |= keys
        marked = [_renamed(row, variants, main) for row in result["rows"]]
        rows += [row for row in marked if _key(row) in keys]
    whole = [result for _, result in named]
    return Results(variant=main, whole=whole, rows=rows, cells=list(cells.values()))


def _read(path: Path) -> Row:
    try:
        found: Row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"--json {path}: cannot be read ({error}); write it with `trimtab-models evaluate`"
        ) from error
    missing = [key for key in _NEEDED if not isinstance(found, dict) or key not in found]
    if missing or not found["bundles"]:
        raise EvaluationError(
            f"--json {path}: lacks {', '.join(missing) or 'bundles'}; write it with "
            "`trimtab-models evaluate`"
        )
    return found


def _check_common(first: tuple[str, Row], other: tuple[str, Row]) -> None:
    for key in _COMMON:
        one, two = first[1]["setting"][key], other[1]["setting"][key]
        if one != two:
            raise EvaluationError(
                f"{other[0]}: setting.{key} is {two}, that of {first[0]} is {one}; results are "
                "comparable on the same starts only: write a report for each"
            )


def _variant(bundle: Row) -> str:
    """Kind of data a bundle learned from; bundles before manifests said it have none."""
    return str(bundle["dataset"].get("variant") or "unnamed data")


def _renamed(row: Row, variants: dict[int, str], main: str) -> Row:
    variant = variants.get(row["dataset_seed"], main)
    if row["dataset_seed"] is None or variant == main:
        return row
    return {**row, "controller": f"{row['controller']} ({variant})"}


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("controller", "suite", "scenario", "dataset_seed"))
