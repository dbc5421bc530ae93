"""out.json and the table on the terminal."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from models.evaluation.bundle_pilots import SWEEP

if TYPE_CHECKING:
    from collections.abc import Iterator


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write `result` whole or not at all; what is unknown is null, never NaN."""
    text = json.dumps(result, indent=1, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)


def tables(result: dict[str, Any], symbols: list[str], limited: list[str]) -> Iterator[Table]:
    """One table a suite and scenario: the worst dataset seed of every controller; then the sweep.

    Score with its 95 % interval, mean |offset|, highest peak, episodes above a limit, refused
    moves, movement, CPU time a move. symbols: short names of the CVs, limited: of those with a
    hard limit.
    """
    worst = result["worst"]
    for suite, scenario in dict.fromkeys((row["suite"], row["scenario"]) for row in worst):
        here = [row for row in worst if (row["suite"], row["scenario"]) == (suite, scenario)]
        for swept in (False, True):
            rows = [row for row in here if row["controller"].startswith(SWEEP) is swept]
            if rows:
                title = f"{suite}, {scenario}" + (": ties of the correction" if swept else "")
                yield _table(title, rows, symbols, limited)


def _table(title: str, rows: list[dict[str, Any]], symbols: list[str], limited: list[str]) -> Table:
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("controller", no_wrap=True)
    heads = ["score", "interval", "seed"]
    heads += [f"off {s}" for s in symbols] + [f"peak {s}" for s in limited]
    for head in [*heads, "above", "refused", "moved", "us"]:
        table.add_column(head, justify="right", no_wrap=True)
    for row in sorted(rows, key=_best_first):
        low, high = row["score_low"], row["score_high"]
        table.add_row(
            row["controller"],
            _figure(row["score"], ".1f"),
            "-" if low is None else f"{low:.1f}..{high:.1f}",
            _figure(row["dataset_seed"], "d"),
            *(_figure(row[f"offset_{s}_mean_abs"], ".3f") for s in symbols),
            *(_figure(row[f"peak_{s}"], ".1f") for s in limited),
            f"{row['violated_all_seeds']}/{row['starts'] * row['dataset_seeds']}",
            _figure(row["refused"], ".0f"),
            _figure(row["movement"], ".1f"),
            _figure(row["cpu_us_per_move"], ".0f"),
        )
    return table


def _best_first(row: dict[str, Any]) -> tuple[bool, float]:
    score = row["score"]
    return score is None, 0.0 if score is None else -score


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
