"""The whole command on the real plant, short: rows, references, what is kept, what is refused."""

import json
import math
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from models.bundle import default_bundle
from models.cli import app
from models.evaluate import evaluate
from models.evaluation.cache import load_trend
from models.evaluation.plan import Plan

COLUMNS = [
    "controller", "suite", "scenario", "dataset_seed", "start_seed", "start", "sample_time_s",
    "return", "score", "offset_P", "offset_T", "peak_T", "settling_h", "overshoot_pct", "iae_P",
    "iae_T", "movement", "violated", "cpu_us_per_move",
]  # fmt: skip

SHORT = """
extends = "polymer-cstr"
[source]
scenarios = ["grade_down"]
[evaluation]
published = 5
choice_starts = 1
hours = { "300" = 5.0 }
last_hours = 1.0
"""


class Silent:
    def stage(self, name, total):
        """Nothing to show."""

    def done(self, steps, losses):
        """Nothing to show."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    at = tmp_path_factory.mktemp("evaluate")
    (at / "short.toml").write_text(SHORT)
    return at


def plan(place, **changes):
    plain = {
        "bundles": [default_bundle()],
        "suites": ["nominal"],
        "starts": 1,
        "seed": 7,
        "recipe": str(place / "short.toml"),
        "controllers": ["sequence", "pi_median", "pi_best", "optimum"],
    }
    return Plan(**(plain | changes))


def run(place, **changes):
    return evaluate(plan(place, **changes), place / "cache", jobs=1, progress=Silent())


@pytest.fixture(scope="module")
def result(place):
    return run(place)


def test_a_row_an_episode_with_every_column(result):
    assert {row["controller"] for row in result["rows"]} == {
        "sequence", "pi_median", "pi_best", "optimum",
    }  # fmt: skip
    for row in result["rows"]:
        assert set(COLUMNS) <= set(row)
        assert len(row["start"]) == 5
        assert row["dataset_seed"] == (1 if row["controller"] == "sequence" else None)


def test_the_score_is_that_of_the_references_beside_it(result):
    (reference,) = result["references"]
    by_name = {row["controller"]: row for row in result["rows"]}
    pi, optimum = reference["pi_return"], reference["optimum_return"]
    assert by_name["optimum"]["return"] == optimum
    assert by_name["pi_median"]["return"] == pytest.approx(pi, rel=1e-12)
    assert by_name["pi_median"]["tuning"] == reference["pi_tuning"]
    score = 100.0 * (by_name["sequence"]["return"] - pi) / (optimum - pi)
    assert by_name["sequence"]["score"] == pytest.approx(score)
    assert result["cells"][0]["score"] == pytest.approx(score)
    (sums,) = result["published"]["return_sums"]
    assert sorted(sums["sums"])[2] == pytest.approx(pi)


def test_a_second_run_computes_nothing_and_says_the_same(place, result):
    again = run(place)
    assert again["episodes"]["computed"] == 0
    assert again["rows"] == result["rows"]
    assert again["cells"] == result["cells"]


def test_only_what_is_missing_is_computed(place, result):
    row = next(row for row in result["rows"] if row["controller"] == "sequence")
    kept = place / "cache" / row["trend"][:2] / f"{row['trend']}.npz"
    kept.write_bytes(b"damaged")
    again = run(place)
    assert again["episodes"]["computed"] == 1
    repeated = next(row for row in again["rows"] if row["controller"] == "sequence")
    assert repeated["return"] == row["return"]


def test_a_trend_is_kept_beside_every_row(place, result):
    for row in result["rows"]:
        trend = load_trend(place / "cache", row["trend"])
        assert len(trend["hours"]) == len(trend["cv"]) == len(trend["mv"]) == 61
        assert trend["peaks"].max() == pytest.approx(row["peak_T"], rel=1e-6)


@pytest.mark.usefixtures("result")
def test_the_command_writes_strict_json_and_a_report(place):
    out = place / "out.json"
    arguments = ["evaluate", "--starts", "1", "--seed", "7", "--jobs", "1", "--sample-time", "300"]
    arguments += ["--controllers", "sequence,optimum", "--recipe", str(place / "short.toml")]
    said = CliRunner().invoke(
        app,
        [
            *arguments,
            "--cache",
            str(place / "cache"),
            "--json",
            str(out),
            "--report",
            str(place / "docs" / "benchmark.md"),
        ],
    )
    assert said.exit_code == 0, said.output
    assert (place / "docs" / "images" / "benchmark-trends-grade_down.svg").exists()
    assert "`sequence`: score | nominal | at least" in (place / "docs/benchmark.md").read_text()
    assert "sequence" in said.output

    def refuse(word):
        raise AssertionError(word)

    written = json.loads(out.read_text(), parse_constant=refuse)
    assert {"rows", "references", "cells", "worst", "command", "versions"} <= set(written)
    assert all(math.isfinite(row["return"]) for row in written["rows"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--suite", "nominl"], 2, "did you mean 'nominal'"),
        (["--controllers", "sequnce"], 2, "did you mean 'sequence'"),
        (["--sample-time", "1800"], 2, "--recipe polymer-cstr-1800"),
        (["--bundle", "/nowhere"], 3, "/nowhere/manifest.json"),
        (["--recipe", "nothing"], 2, "nothing.toml"),
    ],
)
def test_what_cannot_be_run_says_why(tmp_path, arguments, code, words):
    said = CliRunner().invoke(
        app, ["evaluate", *arguments, "--cache", str(tmp_path), "--json", str(tmp_path / "o.json")]
    )
    assert said.exit_code == code
    assert words in said.output.replace("\n", "")
    assert not (tmp_path / "o.json").exists()


def test_two_bundles_of_one_dataset_seed_are_refused(place, tmp_path):
    import shutil

    from models.evaluation.pilot import EvaluationError

    twin = tmp_path / "twin"
    shutil.copytree(default_bundle(), twin)
    with pytest.raises(EvaluationError, match="dataset seed 1"):
        run(place, bundles=[default_bundle(), twin])


def test_a_missing_solver_is_named_with_who_needs_it(monkeypatch):
    from models.evaluation import yardsticks
    from models.evaluation.pilot import EvaluationError

    monkeypatch.setattr(yardsticks.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EvaluationError, match=r"casadi.*optimum.*pip install .*'\.\[dev\]'"):
        yardsticks._check_installed({"optimum": "casadi"}, {"optimum"})


def test_evaluating_loads_no_torch():
    """It costs every worker process seconds and hundreds of megabytes."""
    code = (
        "import sys, models.evaluate, plant_sim.yardstick.pilots as pilots;"
        "pilots.published(1, 0);"
        "print(*{'torch', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
