"""What a row says, and how bench.json, the table and the page hold it."""

import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks import parts, report
from benchmarks.agreement import DifferentError, agree
from benchmarks.measure import Quantiles, Timing
from benchmarks.rows import Row, compared, skipped

ASKED = ("name", "size", "ours", "theirs", "ratio", "p50", "p99", "p999", "unit")
MACHINE = {
    "cpu": "a CPU",
    "cores": 2,
    "load_1min": 0.1,
    "python": "3.11",
    "libraries": {"numpy": "2"},
}


def timing(name, seconds, count=1000):
    wall = Quantiles.of([seconds] * count)
    return Timing(name=name, wall=wall, cpu=wall.scaled(0.5), repetitions=count)


def row(**more):
    return compared("ours", timing("a", 2e-6), timing("theirs", 1e-3), size="small", **more)


def test_the_ratio_is_above_one_where_ours_takes_less():
    made = row()
    assert made.ratio == pytest.approx(500.0)
    assert made.cpu_ratio == pytest.approx(500.0)
    assert (made.ours, made.theirs, made.unit, made.against) == (
        pytest.approx(2.0),
        pytest.approx(1000.0),
        "us",
        "theirs",
    )
    assert made.p50 == made.ours
    assert made.cpu_p999 == pytest.approx(1.0)


def test_a_row_has_what_was_asked_for_in_json():
    found = json.loads(json.dumps(row().as_json(), allow_nan=False))
    assert set(ASKED) <= set(found)
    assert Row.of(found) == row()


def test_what_is_not_known_is_null():
    made = compared("ours", timing("a", 1e-3, count=50), unit="ms")
    assert (made.p50, made.p99, made.p999, made.theirs, made.ratio) == (
        pytest.approx(1.0),
        None,
        None,
        None,
        None,
    )
    assert Row(name="x", ours=math.inf).as_json()["ours"] is None


def test_rows_of_others_are_taken_and_a_missing_ratio_is_filled_in():
    assert Row.of({"name": "x", "ours": 2.0, "theirs": 10.0, "unit": "s"}).ratio == 5.0
    assert Row.of({"name": "x", "ours": 2.0, "theirs": None}).ratio is None
    with pytest.raises(ValueError, match="wrong"):
        Row.of({"name": "x", "wrong": 1})


def test_goals_and_limits_are_judged():
    assert row(goal=500.0).reached is True
    assert row(goal=501.0).reached is False
    assert replace(row(goal=500.0), cpu_ratio=499.0).reached is False, "both clocks count"
    assert row(limits={"p50": 2.5, "cpu_p999": 1.5}).reached is True
    assert row(limits={"p50": 1.5}).reached is False
    assert row().reached is None
    few = compared("ours", timing("a", 1e-6, count=10), limits={"p999": 5.0})
    assert few.reached is False, "what was not measured keeps no limit"
    assert report.verdicts([row(goal=501.0)])[0].startswith("NOT reached: ours beside theirs")


def test_a_skipped_row_says_why_everywhere(tmp_path):
    made = skipped("ours", "onnx is not installed: pip install it", against="ONNX")
    assert made.reached is None
    file = tmp_path / "bench.json"
    report.write(file, [made], MACHINE)
    (again,), machine = report.read(file)
    assert again == made
    assert machine == MACHINE
    assert "pip install it" in report.left_out([made])[0]
    assert "pip install it" in report.markdown([made], MACHINE)


def test_the_page_gets_the_table_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.insert(page, report.markdown([row(goal=500.0, note="noted")], MACHINE))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| ours | small | theirs | 2.00 us | 1000 us | 500x | 500x |" in text
    assert "reached: ours beside theirs: ratio 500, goal 500" in text
    assert "- ours: noted" in text
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(report.ReportError, match="lacks the marks"):
        report.insert(page, "")


def test_a_file_that_is_no_bench_json_is_refused(tmp_path):
    file = tmp_path / "bench.json"
    for content in ("{", "[]", '{"schema": 2, "rows": [], "machine": {}}', '{"schema": 1}'):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(report.ReportError, match=r"bench\.json"):
            report.read(file)
    with pytest.raises(report.ReportError, match="cannot be read"):
        report.read(tmp_path / "none.json")


def test_the_table_leaves_curves_and_skipped_rows_out():
    console = Console(width=200, file=io.StringIO())
    console.print(report.table([row(), row(axis="width", at=2.0), skipped("gone", "why")]))
    text = console.file.getvalue()
    assert text.count("2.00 us") == 1
    assert "gone" not in text


def test_answers_that_differ_stop_the_comparison():
    assert agree("x", 1e-10, 1e-9) == 1e-10
    for apart in (2e-9, math.nan):
        with pytest.raises(DifferentError, match="x"):
            agree("x", apart, 1e-9)


def test_a_part_that_is_not_there_is_a_skipped_row(monkeypatch):
    monkeypatch.setitem(parts.PARTS, "absent", "something else")
    (found,) = parts.rows_of("absent", 1.0)
    assert "benchmarks.absent" in found.skipped


def test_curves_are_measured_only_for_plots_or_by_name():
    assert "scaling" not in parts.chosen([], plots=False)
    assert "scaling" in parts.chosen([], plots=True)
    assert parts.chosen(["scaling"], plots=False) == ["scaling"]
