"""The comparisons compute the same thing, and the cheapest of them runs in a moment."""

import json

import numpy as np
import pytest
import torch

from benchmarks import onnx_graphs, ours, plots, scaling
from benchmarks.__main__ import main
from benchmarks.rows import Row
from benchmarks.scalar_case import scalar_case
from benchmarks.scalar_correction import check_descent, check_onnx, to_gap
from benchmarks.sequence_correction import bench, check
from benchmarks.synthetic import Size, synthetic
from benchmarks.torch_sequence import TorchSequence

needs_onnx = pytest.mark.skipif(bool(onnx_graphs.missing()), reason=onnx_graphs.missing() or "-")


@pytest.fixture(scope="module")
def case():
    return scalar_case(width=16, seed=3)


def test_gradient_mode_is_float64_torch_to_1e9(case):
    assert check_descent(case) <= 1e-9


def test_torch_reaches_the_same_minimum(case):
    solve = to_gap(case)
    for features, action in list(zip(case.features, case.actions, strict=True))[:20]:
        mine, theirs = ours.scalar_minimise(case.model, features, action), solve()
        assert theirs.cost == pytest.approx(mine.cost, abs=2.0 * ours.GAP)
        assert np.abs(theirs.z.numpy() - mine.action).max() < 1e-3


def test_the_questions_are_not_all_answered_in_a_corner(case):
    found = [
        ours.scalar_minimise(case.model, features, action).action
        for features, action in zip(case.features, case.actions, strict=True)
    ]
    assert np.mean(np.abs(np.array(found)) < 1.0) > 0.3


@needs_onnx
def test_the_onnx_graph_is_the_same_descent(case):
    check_onnx(case)


def test_all_answers_agree_on_recorded_scans():
    assert check(bench()).startswith("K = 50 ends ")


@pytest.mark.parametrize("size", [Size(blocks=4), Size(width=16, variables=5)])
def test_a_synthetic_model_has_the_cost_that_torch_says(size):
    drawn = synthetic(size)
    torchs = TorchSequence(drawn.parts)
    for question in drawn.questions[:5]:
        solved = ours.sequence_correct(drawn.model, question)
        asked = torchs.question(question)
        assert solved.gap <= question.gap_absolute + question.gap_relative * solved.cost
        cost = torchs.collapse(asked).cost(torch.as_tensor(solved.z)).item()
        assert cost == pytest.approx(solved.cost, rel=1e-9)
        theirs = torchs.minimise(asked, absolute=question.gap_absolute, relative=1e-6)
        assert theirs.cost == pytest.approx(solved.cost, rel=1e-5)


def test_every_point_of_a_curve_is_a_row_and_is_drawn(tmp_path):
    rows = scaling.sequence_curve("blocks", {n: Size(blocks=n) for n in (4, 6)}, 0.01, 0)
    assert [row.at for row in rows] == [4, 6]
    assert all(row.ratio is not None for row in rows)
    written = plots.draw([*rows, Row(name="elsewhere", ours=1.0)], tmp_path / "new")
    assert {path.suffix for path in written} == {".svg", ".png"}
    assert all(path.stat().st_size > 5000 for path in written)
    assert plots.draw(rows[:1], tmp_path / "none") == []


def test_rows_of_many_plants_are_drawn_over_their_number(tmp_path):
    rows = [Row(name="step", size=f"{n} plants, 300 s", ours=float(n), unit="us") for n in (1, 64)]
    names = {path.name for path in plots.draw(rows, tmp_path)}
    assert names == {"cost-plants-at-once.svg", "cost-plants-at-once.png"}


def test_the_command_measures_and_reports(tmp_path, capsys):
    out = tmp_path / "bench.json"
    assert main(["--only", "scalar", "--seconds", "0.01", "--out", str(out)]) == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["machine"]["libraries"]["numpy"] == np.__version__
    first = document["rows"][0]
    assert first["goal"] == 500.0
    assert first["ratio"] == pytest.approx(first["theirs"] / first["ours"])
    assert "reached: scalar PICNN" in capsys.readouterr().out
    assert main(["report", str(out)]) == 0
    assert "scalar PICNN, gradient mode" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "none.json")]) == 2
