"""Writes the Grafana dashboards: `trimtab.json`, one controller, and `fleet.json`, all of them.

    .venv/bin/python config/grafana/dashboard.py [FOLDER]

The JSON is committed, so that Grafana can be provisioned with it without this script; a test
compares the two.  Every expression uses metrics of `controller/metrics.py`, of targets that carry
the label plant_unit, as in `config/prometheus/prometheus.yml`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fleet
import unit
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent


def text(board: dashboard.Dashboard, rows: Mapping[str, Callable[[], list[Any]]]) -> str:
    """A dashboard with its rows as JSON, the same for the same code."""
    for row, panels in rows.items():
        board = board.with_row(dashboard.Row(row))
        for panel in panels():
            board = board.with_panel(panel)
    built = board.build()
    for number_from_1, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number_from_1
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main(folder: Path) -> None:
    """Write both files into `folder`."""
    for name, part in (("trimtab.json", unit), ("fleet.json", fleet)):
        (folder / name).write_text(text(part.empty(), part.ROWS), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
