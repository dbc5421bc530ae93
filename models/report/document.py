"""The words and tables of the report; every figure in them comes from the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.evaluation.bundle_pilots import SWEEP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.report.results import Results, Row
    from models.report.verdicts import Verdict

_REACHED = {True: "yes", False: "**no**", None: "not measured in full"}


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table; the first `left` columns are words."""
    rule = ["---" if at < left else "---:" for at in range(len(heads))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rule, *rows))


def folded(title: str, body: str) -> str:
    """What is read on demand."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def verdict_table(verdicts: list[Verdict]) -> str:
    """Required against measured; by scenario where they differ."""
    rows = [
        [
            f"`{verdict.controller}`: {verdict.figure}",
            verdict.suite,
            verdict.required,
            _measured(verdict) + (f" ({verdict.note})" if verdict.note else ""),
            _REACHED[verdict.reached],
        ]
        for verdict in verdicts
    ]
    heads = ["controller and figure", "suite", "required", "measured", "reached"]
    return table(heads, rows, left=5)


def unreached(verdicts: list[Verdict]) -> str:
    """What is not reached and what is not measured, in words."""
    counts = {state: sum(v.reached is state for v in verdicts) for state in (True, False, None)}
    lines = [f"{counts[True]} of {len(verdicts)} requirements are reached."]
    for state, words in ((False, "Not reached"), (None, "Not measured in full")):
        named = [
            f"`{v.controller}` {v.figure} in {v.suite}" for v in verdicts if v.reached is state
        ]
        if named:
            lines.append(f"{words}: {'; '.join(named)}.")
    return "\n\n".join(lines)


def score_tables(results: Results) -> Iterator[str]:
    """One table a suite: worst dataset seed, its bootstrap interval; best worst scenario first."""
    for suite in results.suites:
        scenarios = results.scenarios(suite)
        cells = {
            (cell["controller"], cell["scenario"]): cell
            for cell in results.worst
            if cell["suite"] == suite and not cell["controller"].startswith(SWEEP)
        }
        names = list(dict.fromkeys(name for name, _ in cells))
        names.sort(key=lambda name: -_lowest([cells.get((name, s)) for s in scenarios]))
        rows = [[f"`{name}`", *(_score(cells.get((name, s))) for s in scenarios)] for name in names]
        yield f"### Suite {suite}\n\n" + table(["controller", *scenarios], rows)
        yield _details(
            suite,
            [cells[name, s] for name in names for s in scenarios if (name, s) in cells],
            results,
        )


def _details(suite: str, cells: list[Row], results: Results) -> str:
    symbols = list(results.setting["symbols"].values())
    peaks = [results.setting["symbols"][name] for name in results.setting["limits"]]
    columns: list[tuple[str, str, str]] = [
        *((f"offset {s}", f"offset_{s}_mean_abs", ".3f") for s in symbols),
        *((f"IAE {s}", f"iae_{s}", ".0f") for s in symbols),
        *((f"peak {s}", f"peak_{s}", ".1f") for s in peaks),
        ("settling h", "settling_h_median", ".1f"),
        ("movement", "movement", ".1f"),
        ("CPU us a move", "cpu_us_per_move", ".0f"),
        ("refused", "refused", ".0f"),
        ("policy distance", "policy_distance", ".3f"),
    ]
    rows = [
        [
            f"`{cell['controller']}`",
            cell["scenario"],
            *(_figure(cell[key], form) for _, key, form in columns),
            f"{cell['violated_all_seeds']} of {cell['starts'] * cell['dataset_seeds']}",
        ]
        for cell in cells
    ]
    heads = ["controller", "scenario", *(head for head, _, _ in columns), "above the limit"]
    body = table(heads, rows, left=2)
    return folded(f"Side metrics, suite {suite}", body)


def policy_table(results: Results, names: list[str]) -> str:
    """The correction with its policy, without, and with a random one."""
    worst = {(c["controller"], c["suite"], c["scenario"]): c for c in results.worst}
    rows = []
    for suite, scenario in results.cases:
        cells = [worst.get((name, suite, scenario)) for name in names]
        if any(cells):
            scores = [_figure(cell["score"] if cell else None, ".1f") for cell in cells]
            apart = [_figure(cell["policy_distance"] if cell else None, ".3f") for cell in cells]
            moved = [_figure(cell["movement"] if cell else None, ".1f") for cell in cells]
            rows.append([suite, scenario, *scores, *moved, *apart])
    heads = ["suite", "scenario"]
    heads += [f"{what} `{name}`" for what in ("score", "movement", "distance") for name in names]
    return table(heads, rows, left=2)


def sweep_table(results: Results, suite: str) -> str:
    """Worst scenario and seed of every tie."""
    ties = {r["controller"]: r for r in results.rows if r["controller"].startswith(SWEEP)}
    rows = []
    for name, row in ties.items():
        cells = [c for c in results.worst if (c["controller"], c["suite"]) == (name, suite)]
        if cells:
            low = min(cells, key=lambda cell: _lowest([cell]))
            radius = "none" if row["trust_radius"] is None else f"{row['trust_radius']:g}"
            figure = _figure(low["score"], ".1f")
            rows.append([row["policy"], f"{row['proximal']:g}", radius, figure, low["scenario"]])
    return table(["policy", "weight", "radius", "lowest score", "in"], rows)


def _measured(verdict: Verdict) -> str:
    figures = verdict.measured
    if not figures:
        return "-"
    if list(figures) == ["all"]:
        return _figure(figures["all"], ".0f")
    form = ".3f" if verdict.figure == "offset" else ".1f"
    sign = "+" if verdict.required == "above 0" else ""
    return ", ".join(f"{s} {_figure(value, sign + form)}" for s, value in figures.items())


def _score(cell: Row | None) -> str:
    if cell is None or cell["score"] is None:
        return "-"
    seed = "" if cell["dataset_seed"] is None else f", seed {cell['dataset_seed']}"
    low, high = cell["score_low"], cell["score_high"]
    ends = "" if low is None else f" ({low:.1f} to {high:.1f}{seed})"
    return f"{cell['score']:.1f}{ends}"


def _lowest(cells: list[Row | None]) -> float:
    return min((c["score"] for c in cells if c and c["score"] is not None), default=-1e9)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
