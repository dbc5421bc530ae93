"""The demo's report: a table on the terminal, `summary.json`, `summary.md` and `run.json`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from controller.demo.score import LIMIT_K, ON_SPEC_P, ON_SPEC_T, SETTLED_T_K

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from controller.demo.score import Result, Score

TITLES = {"startup": "startup", "grade_up": "grade change up", "grade_down": "grade change down"}
SHORT = {"startup": "startup", "grade_up": "grade up", "grade_down": "grade down"}

DEFINITIONS = f"""\
All figures are from the true state of the plant (a value every 60 s of plant time), from the
setpoint change to the end of the scenario; the DCS's PI is judged over a window of the same length.

| figure | meaning |
| --- | --- |
| IAE P, IAE T | integral of the absolute control error, kg/m3 h and K h |
| settling | hours until both loops stay within 2 % (P) and {SETTLED_T_K:g} K (T) of the setpoint |
| offset P, T | PV - SP, mean of the last 2 h; on spec: {ON_SPEC_P:g} and {ON_SPEC_T:g} |
| peak T | highest of the whole episode, inside the integration steps; limit {LIMIT_K:g} K |
| movement | sum of the moves of the actual outputs as shares of their spans, both MVs added |
| worst gap | largest gap of a written move: the learned cost is at most this above its least |
| worst gap / tol. | the same over its tolerance; at most 1 |
| uncertified | moves written without a valid certificate, or other than certified |
| entry bump | first move in AUTO against the plant's Track; at most 0.5 % |
| scan, lateness | duration of a scan of the controller; grid instant to its start |
"""


def summary(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """One object a scenario: the figures of the run, those of the scans, the PI's as `baseline`."""
    return {result.scenario: _entry(result) for result in results}


def _entry(result: Result) -> dict[str, Any]:
    audit = result.audit
    return {
        **_figures(result.score),
        "scans": audit.scans,
        "overruns": audit.overruns,
        "worst_gap": audit.worst_gap,
        "uncertified_writes": audit.uncertified_writes,
        "worst_gap_ratio": audit.worst_ratio,
        "skipped": audit.skipped,
        "writes": audit.writes,
        "entry_bump_percent": None if audit.entry_bump is None else 100.0 * audit.entry_bump,
        "scan_p50_ms": 1000.0 * audit.scan_p50_s,
        "scan_p99_ms": 1000.0 * audit.scan_p99_s,
        "lateness_p99_ms": 1000.0 * audit.lateness_p99_s,
        "setpoint": dict(zip("PT", result.setpoint, strict=True)),
        "setpoint_s": result.setpoint_s,
        "end_s": result.end_s,
        "stopped": result.stopped,
        "baseline": _figures(result.baseline),
    }


def _figures(score: Score | None) -> dict[str, Any]:
    keys = ("iae_P", "iae_T", "settling_h", "offset_P", "offset_T", "peak_T")
    if score is None:
        return dict.fromkeys((*keys, "movement", "movement_by_mv", "first_error", "last_error"))
    found = asdict(score)
    return {
        **{key: found[key] for key in keys},
        "movement": sum(score.movement.values()),
        "movement_by_mv": dict(score.movement),
        "first_error": score.first_error,
        "last_error": score.last_error,
    }


FIGURES = (
    ("IAE P [kg/m3 h]", "iae_P", ".1f"),
    ("IAE T [K h]", "iae_T", ".1f"),
    ("settling [h]", "settling_h", ".1f"),
    ("offset P [kg/m3]", "offset_P", "+.2f"),
    ("offset T [K]", "offset_T", "+.2f"),
    ("peak T [K]", "peak_T", ".1f"),
    ("movement [spans]", "movement", ".1f"),
    ("scans", "scans", "d"),
    ("overruns", "overruns", "d"),
    ("worst gap", "worst_gap", ".1e"),
    ("worst gap / tol.", "worst_gap_ratio", ".1e"),
    ("uncertified", "uncertified_writes", "d"),
    ("entry bump [% span]", "entry_bump_percent", ".2f"),
    ("scan p50 [ms]", "scan_p50_ms", ".1f"),
    ("scan p99 [ms]", "scan_p99_ms", ".1f"),
    ("lateness p99 [ms]", "lateness_p99_ms", ".1f"),
)
"""(heading, key in the summary, format) of each figure in the tables."""


def _text(entry: Mapping[str, Any], key: str, form: str) -> str:
    """One figure; empty where the PI has none, a dash where nothing could be measured."""
    if key not in entry:
        return ""
    value = entry[key]
    if value is None:
        return "never" if key == "settling_h" and entry["iae_P"] is not None else "-"
    return format(value, form)


def rows(entries: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """A row a figure: its heading, then trimtab and the DCS's PI for each scenario."""
    pairs = [side for entry in entries.values() for side in (entry, entry["baseline"])]
    return [
        [heading, *(_text(side, key, form) for side in pairs)] for heading, key, form in FIGURES
    ]


def table(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """The closing table for the terminal; 80 columns hold it."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column("\n", no_wrap=True)
    for name in entries:
        made.add_column(f"{SHORT.get(name, name)}\ntrimtab", justify="right", min_width=8)
        made.add_column("\nDCS PI", justify="right", style="dim", min_width=7)
    for row in rows(entries):
        made.add_row(*map(Text, row))
    return made


def markdown(
    entries: Mapping[str, Mapping[str, Any]], reasons: Sequence[str], facts: Mapping[str, Any]
) -> str:
    """`summary.md`: verdict, table, definitions."""
    passed = "**Passed.**" if not reasons else "**Not passed.**"
    titles = [TITLES.get(name, name) for name in entries]
    lines = ["# trimtab demo", "", passed, ""]
    lines += [f"- {reason}" for reason in reasons] + ([""] if reasons else [])
    lines += [", ".join(f"{key} {value}" for key, value in facts.items()), ""]
    lines += ["| |" + "".join(f" {title} | DCS PI |" for title in titles)]
    lines += ["| --- |" + " ---: |" * 2 * len(titles)]
    lines += ["| " + " | ".join(row) + " |" for row in rows(entries)]
    return "\n".join([*lines, "", "![trends](trends.png)", "", DEFINITIONS])


def write(
    folder: Path, results: Sequence[Result], reasons: Sequence[str], facts: Mapping[str, Any]
) -> None:
    """Write `summary.json`, `summary.md` and `run.json` into `folder`, each whole or not at all."""
    entries = summary(results)
    _replace(folder / "summary.json", json.dumps(entries, indent=2) + "\n")
    _replace(folder / "summary.md", markdown(entries, reasons, facts))
    outcome = {"passed": not reasons, "reasons": list(reasons), **facts}
    _replace(folder / "run.json", json.dumps(outcome, indent=2) + "\n")


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
