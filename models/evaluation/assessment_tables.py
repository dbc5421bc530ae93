"""What `trimtab-models assess` shows on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator


def assessment_tables(found: dict[str, Any]) -> Iterator[Table | str]:
    """What `trimtab-models assess` shows."""
    data, corrected = found["data"], found["correction"]
    which = "held out of the training" if data["held_out"] else "not among the training's"
    which = "those the networks learned from" if data["learned_from"] else which
    yield f"{data['samples']} samples, {data['episodes']} episodes, {which}; {found['device']}"
    table = Table(title="error of the predicted change", box=SIMPLE_HEAD)
    for name in ("CV", "hours", "mean", "rms", "95 % within", "band", "inside"):
        table.add_column(name, justify="left" if name == "CV" else "right")
    for row in found["prediction"]:
        figures = [row[key] for key in ("mean", "rms", "within_95", "band", "inside")]
        table.add_row(f"{row['cv']}, {row['unit']}", f"{row['hours']:.2f}", *map(_figure, figures))
    yield table
    table = Table(
        title="policy against the recorded move, share of half the range", box=SIMPLE_HEAD
    )
    for name in ("policy", "MV", "rms", "no move"):
        table.add_column(name, justify="left" if name in {"policy", "MV"} else "right")
    for row in found["policies"]:
        table.add_row(row["policy"], row["mv"], _figure(row["rms"]), _figure(row["still"]))
    yield table
    away = ", ".join(f"{k} {v:.3g}" for k, v in corrected["from_policy_median"].items())
    worst, bulge = corrected["gap_over_tolerance"], corrected["bulge"]
    yield (
        f"correction at {corrected['states']} states: {corrected['certified']:.2%} certified, "
        f"gap at most {worst:.2g} of the tolerance; first move from the policy's, median share of "
        f"half the range: {away}; cost convex to {bulge:.1e}"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
