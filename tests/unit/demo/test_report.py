"""The report's files, table and picture."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from controller.demo import picture, report

ISSUED = {
    "iae_P",
    "iae_T",
    "settling_h",
    "offset_P",
    "offset_T",
    "peak_T",
    "movement",
    "scans",
    "overruns",
    "worst_gap",
    "uncertified_writes",
}
FACTS = {"version": "0", "seed": 1}


def test_the_summary_has_one_object_a_scenario_with_the_baseline_beside(tmp_path: Path, result):
    report.write(tmp_path, [result("startup"), result("grade_up")], [], FACTS)
    found = json.loads((tmp_path / "summary.json").read_text())
    assert list(found) == ["startup", "grade_up"]
    for entry in found.values():
        assert set(entry) >= ISSUED
        assert entry["movement"] == pytest.approx(sum(entry["movement_by_mv"].values()))
        assert entry["iae_P"] < entry["baseline"]["iae_P"]
        assert entry["uncertified_writes"] == 0
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "passed": True,
        "reasons": [],
        **FACTS,
    }


def test_a_run_that_was_cut_short_is_reported_as_far_as_it_came(tmp_path: Path, result):
    cut = replace(result(stopped="interrupted"), score=None, baseline=None, setpoint_s=None)
    report.write(tmp_path, [cut], ["interrupted"], FACTS)
    entry = json.loads((tmp_path / "summary.json").read_text())["grade_up"]
    assert entry["iae_P"] is None
    assert entry["scans"] == 1
    text = (tmp_path / "summary.md").read_text()
    assert "**Not passed.**" in text
    assert "- interrupted" in text


def test_the_table_fits_80_columns_and_keeps_its_units(result):
    console = Console(width=80, record=True, file=io.StringIO())
    results = [result("startup"), result("grade_up"), result("grade_down")]
    console.print(report.table(report.summary(results)))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for heading, _, _ in report.FIGURES:
        assert heading in text
    assert "…" not in text
    assert text.count("DCS PI") == 3


def test_what_the_pi_has_not_is_empty_and_what_never_settled_says_so(result):
    entries = report.summary([result()])
    entries["grade_up"]["settling_h"] = None
    rows = {row[0]: row[1:] for row in report.rows(entries)}
    assert rows["settling [h]"][0] == "never"
    assert rows["scans"] == ["1", ""]


def test_the_picture_has_ink_in_every_column(tmp_path: Path, result, trend):
    strips = [
        picture.Strip(result=result(name), trend=trend(), baseline=baseline)
        for name, baseline in (("startup", trend(tau_h=4.0)), ("grade_up", None))
    ]
    picture.draw(tmp_path / "trends.png", strips)
    pixels = np.asarray(Image.open(tmp_path / "trends.png").convert("L"))
    assert pixels.shape[1] > 1000
    left, right = np.array_split(pixels, 2, axis=1)
    assert (left < 128).mean() > 0.002
    assert (right < 128).mean() > 0.002
    assert [item.name for item in tmp_path.iterdir()] == ["trends.png"]


def test_nothing_is_drawn_without_a_scenario(tmp_path: Path):
    picture.draw(tmp_path / "trends.png", [])
    assert not list(tmp_path.iterdir())
