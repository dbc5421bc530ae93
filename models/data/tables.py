"""What `trimtab-models check-data` prints: the dataset, the pairs, the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from models.data.checks import DataReport
    from models.data.training_data import Facts


def tables(facts: Facts, report: DataReport) -> list[Table]:
    """Facts, figures of the pairs and findings, where there are any."""
    about = Table("dataset", "", box=None)
    for key, value in facts.items():
        if not key.startswith(("gain_over_error.", "excitation.")):
            about.add_row(key, str(value))
    shown = [about]
    if report.pairs:
        pairs = Table("MV", "CV", "gain / error", "excitation", "horizon", title="Identifiability")
        for pair in report.pairs:
            pairs.add_row(
                pair.mv, pair.cv, f"{pair.ratio:.1f}", f"{pair.excitation:.2%}", f"{pair.hours:g} h"
            )
        shown.append(pairs)
    if report.findings:
        found = Table("", "column", "finding", "figure", "what to do", title="Findings")
        for f in report.findings:
            found.add_row(f.severity, f.column, f.reason, f.figure, f.advice)
        shown.append(found)
    return shown
