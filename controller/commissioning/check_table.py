"""What `trimtab check` prints: a table, the worst first, the counts, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.commissioning.comparison import Verdict
from controller.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from controller.commissioning.comparison import Finding
    from controller.startup import Prepared

_STYLES = {
    Verdict.FITS: "green",
    Verdict.NOTE: "yellow",
    Verdict.CONFIGURATION: "bold red",
    Verdict.PLANT: "bold red",
}
_MARKS = {
    Verdict.FITS: "ok",
    Verdict.NOTE: "note",
    Verdict.CONFIGURATION: "WRONG HERE",
    Verdict.PLANT: "WRONG THERE",
}


def print_findings(findings: Iterable[Finding], prepared: Prepared, file: Path) -> None:
    """Print what is wrong first, then the notes, then what fits."""
    order = (Verdict.CONFIGURATION, Verdict.PLANT, Verdict.NOTE, Verdict.FITS)
    ranked = sorted(findings, key=lambda finding: order.index(finding.verdict))
    table = Table(title=f"{file} against {prepared.endpoint.url}", title_justify="left", box=SIMPLE)
    for heading in ("tag", "", "found", "to do"):
        table.add_column(heading, overflow="fold")
    for item in ranked:
        mark = Text(_MARKS[item.verdict], style=_STYLES[item.verdict])
        words = [Text(printable(text)) for text in (item.key, item.found, item.action)]
        table.add_row(words[0], mark, *words[1:])
    console = Console()
    console.print(table)
    counts = {verdict: sum(item.verdict is verdict for item in ranked) for verdict in order}
    manifest = prepared.runtime.manifest
    console.print(
        f"tags: {prepared.tags_file}\n"
        f"bundle {manifest.name} {manifest.version} fits them; "
        f"{counts[Verdict.FITS]} fit, {counts[Verdict.NOTE]} notes, "
        f"{counts[Verdict.CONFIGURATION]} to correct in the configuration, "
        f"{counts[Verdict.PLANT]} at the plant",
        highlight=False,
    )
    wrong = counts[Verdict.CONFIGURATION] + counts[Verdict.PLANT]
    console.print(
        "correct what is WRONG HERE in tags.toml and the settings, have the plant correct what is "
        "WRONG THERE, and check again"
        if wrong
        else f"next: trimtab shadow --config {file}",
        highlight=False,
        markup=False,
    )
