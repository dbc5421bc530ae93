"""The report from results made by the real summary of rows that are made up here."""

import json
from copy import deepcopy

import numpy as np
import pytest
from typer.testing import CliRunner

from models.cli import app
from models.evaluation.cache import Cache
from models.evaluation.pilot import EvaluationError
from models.evaluation.references import Reference
from models.evaluation.suites import cases_of, start_seeds
from models.evaluation.summary import cells_of, complete_row, reference_rows
from models.recipe.evaluation import Requirement
from models.report.charts import draw_pareto
from models.report.results import together
from models.report.verdicts import judge

STARTS = 4
LEVELS = {"pi_median": 0.0, "iql": 60.0, "iql_plus": 90.0, "sequence": 98.5, "optimum": 100.0}


def measured(score, rng):
    return {
        "start": [0.0] * 5, "return": -100.0 + score + rng.normal(0.0, 0.1), "offset_P": 0.01,
        "offset_T": -0.005, "peak_T": 361.0, "settling_h": 5.0, "overshoot_pct": 1.0, "iae_P": 9.0,
        "iae_T": 2.0, "movement": 3.0, "violated": False, "refused": None, "cpu_us_per_move": 50.0,
        "policy_distance": 0.1,
    }  # fmt: skip


@pytest.fixture(scope="module")
def result(recipe, setting):
    """Two dataset seeds, of which the second is worse by a point, in two suites, and a sweep."""
    rng, seeds = np.random.default_rng(0), start_seeds(7, STARTS)
    pi, optimum = np.full(STARTS, -100.0), np.zeros(STARTS)
    cases = cases_of(recipe, ["nominal", "mismatch"])
    reference = Reference(published=pi[None], median=0, optimum=optimum)
    rows = []
    ties = {f"sweep_r{r}_w{w}": (r, w) for r in (0.1, None) for w in (0.0, 8.0)}
    for case in cases:
        levels = LEVELS | {name: 95.0 for name in ties if case.suite == "nominal"}
        for name, level in levels.items():
            alone = name in {"pi_median", "optimum"}
            for dataset_seed in [None] if alone else [1, 2]:
                score = level - (0 if alone else dataset_seed - 1)
                for at, seed in enumerate(seeds):
                    head = {
                        "controller": name, "suite": case.suite, "scenario": case.name,
                        "dataset_seed": dataset_seed, "start_seed": seed, "sample_time_s": 300.0,
                        "reachable": case.suite == "nominal" or at > 0,
                        "trend": f"{name}-{case.name}",
                    }  # fmt: skip
                    tie = ties.get(name)
                    about = {} if tie is None else {"trust_radius": tie[0], "proximal": tie[1]}
                    about |= {} if tie is None else {"policy": "iql"}
                    rows.append(complete_row(measured(score, rng), head, reference, at) | about)
    by_case = {(case.suite, case.name): reference for case in cases}
    return {
        "command": "trimtab-models evaluate --seed 7", "rows": rows,
        "cells": cells_of(rows, by_case, setting),
        "references": [r for case in cases for r in reference_rows(case, reference, seeds, ["pi"])],
        "published": {
            "tunings": ["pi"], "best": None, "best_chosen_by": "mean",
            "best_chosen_on": {"suite": "nominal", "seed": 500, "starts": 12},
        },
        "setting": {
            "recipe": "polymer-cstr", "sample_time_s": 300.0, "hours": 6.0, "seed": 7,
            "start_seeds": seeds, "last_hours": 10.0, "limits": {"Temperature": 365.0},
            "symbols": {"PolymerConc": "P", "Temperature": "T"},
        },
        "bundles": [
            {
                "dataset_seed": seed, "dataset": {"variant": "mild_dither"},
                "weights_sha256": "0" * 64, "proximal": 8.0, "trust_radius": None,
            }
            for seed in (1, 2)
        ],
        "not_available": ["nmpc"],
    }  # fmt: skip


def of_other_data(result, variant):
    other = deepcopy(result)
    for bundle in other["bundles"]:
        bundle["dataset"]["variant"] = variant
    return other


def verdict(result, **requirement):
    whole = together(result if isinstance(result, list) else [("out.json", result)])
    suites = ["nominal", "mismatch", "noise"]
    return judge(whole, [Requirement.model_validate(requirement)], suites)


def test_the_worst_dataset_seed_is_judged(result):
    ask = {"controller": "sequence", "figure": "score", "suites": ["nominal"]}
    (kept,) = verdict(result, **ask, at_least=97.0)
    (missed,) = verdict(
        result, **ask, at_least={"startup": 97.0, "grade_down": 98.0, "grade_up": 1}
    )
    assert kept.reached is True
    assert kept.measured == pytest.approx(dict.fromkeys(kept.measured, 97.5), abs=0.3)
    assert missed.reached is False
    assert missed.required == "at least 97 / 98 / 1"


def test_what_was_not_run_is_not_reached(result):
    ask = {"figure": "score", "at_least": 1.0}
    assert verdict(result, controller="sequence", suites=["noise"], **ask)[0].reached is None
    assert verdict(result, controller="held_action", suites=["nominal"], **ask)[0].reached is None
    (other,) = verdict(
        result, controller="sequence", suites=["nominal"], variant="published_pi", **ask
    )
    assert other.reached is None


def test_an_offset_counts_where_the_setpoint_can_be_held(result):
    worse = deepcopy(result)
    for row in worse["rows"]:
        if not row["reachable"]:
            row["offset_P"] = -7.0
    ask = {"controller": "sequence", "figure": "offset", "suites": ["mismatch"], "at_most": 0.02}
    (kept,) = verdict(worse, **ask)
    assert kept.reached is True
    assert kept.note == "6 of 24 episodes ask for what the plant cannot hold"
    for row in worse["rows"]:
        row["reachable"] = None
    assert verdict(worse, **ask)[0].reached is False


def test_violations_need_episodes(result):
    ask = {"controller": "sequence", "figure": "violated", "at_most": 0, "suites": ["nominal"]}
    assert verdict(result, **ask, episodes=24)[0].reached is True
    assert verdict(result, **ask, episodes=25)[0].reached is None
    worse = deepcopy(result)
    next(c for c in worse["cells"] if c["controller"] == "sequence")["violated"] = 1
    assert verdict(worse, **ask, episodes=200)[0].reached is False


def test_a_lead_is_the_smallest_over_dataset_seeds(result):
    worse = deepcopy(result)
    for cell in worse["cells"]:
        if (cell["controller"], cell["dataset_seed"]) == ("iql", 2):
            cell["score"] = 99.0
    ask = {"controller": "iql_plus", "figure": "score", "suites": ["nominal"], "above": ["iql"]}
    assert verdict(result, **ask)[0].reached is True
    (lost,) = verdict(worse, **ask)
    assert lost.reached is False
    assert max(lost.measured.values()) < 0.0


def test_other_data_are_rows_of_their_own(result):
    both = [("a.json", result), ("b.json", of_other_data(result, "historian"))]
    whole = together(both)
    assert whole.variant == "mild_dither"
    assert {"sequence", "sequence (historian)", "optimum"} <= set(whole.controllers())
    assert "optimum (historian)" not in whole.controllers()
    assert len([c for c in whole.cells if c["controller"] == "optimum"]) == 6
    with pytest.raises(EvaluationError, match=r"b\.json.*already.*each bundle once"):
        together([("a.json", result), ("b.json", result)])


def test_results_on_other_starts_are_refused(result):
    other = of_other_data(result, "historian")
    other["setting"] = other["setting"] | {"seed": 8}
    with pytest.raises(EvaluationError, match=r"b\.json: setting\.seed is 8, that of a\.json is 7"):
        together([("a.json", result), ("b.json", other)])


def test_the_command_writes_text_and_pictures(result, tmp_path):
    cache = Cache(tmp_path / "cache")
    hours = np.arange(5.0)
    trend = {"hours": hours, "cv": np.ones((5, 2)), "mv": np.ones((5, 2)), "setpoint": np.ones(2)}
    for name in LEVELS:
        cache.save(f"{name}-startup", {}, trend)
    arguments = ["report", "--cache", str(cache.directory)]
    for name, whole in (("a", result), ("b", of_other_data(result, "published_pi"))):
        (tmp_path / f"{name}.json").write_text(json.dumps(whole))
        arguments += ["--json", str(tmp_path / f"{name}.json")]
    out = tmp_path / "docs" / "benchmark.md"
    said = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert said.exit_code == 0, said.output
    text = out.read_text()
    assert "`sequence`: score | nominal | at least 98 / 97.5 / 98 |" in text
    assert "`sequence (published_pi)`" in text
    assert "trimtab-models evaluate --seed 7" in text
    names = sorted(path.name for path in (out.parent / "images").glob("*"))
    assert names == [
        "benchmark-offsets-mismatch.svg", "benchmark-offsets-nominal.svg", "benchmark-pareto.svg",
        "benchmark-sweep-nominal.svg", "benchmark-trends-startup.svg",
    ]  # fmt: skip
    assert all(f"(images/{name})" in text for name in names)


def test_a_picture_is_the_same_byte_by_byte(result, tmp_path):
    whole = together([("out.json", result)])
    paths = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for path in paths:
        draw_pareto(whole, ["nominal"], list(LEVELS), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(
    ("content", "words"), [("{}", "lacks rows"), ("nothing", "cannot be read"), (None, "out.json")]
)
def test_what_is_no_result_is_named(tmp_path, content, words):
    path = tmp_path / "out.json"
    if content is not None:
        path.write_text(content)
    said = CliRunner().invoke(app, ["report", "--json", str(path), "--out", str(tmp_path / "r.md")])
    assert said.exit_code == 2
    assert words in said.output.replace("\n", "")
