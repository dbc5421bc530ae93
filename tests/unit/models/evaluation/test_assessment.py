"""`assess` against the NumPy runtime, on the small bundle and its data."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from models.bundle import load_manifest, load_weights
from models.cli import app
from models.data.holdout import hold_out
from models.data.simulated import generate
from models.data.transitions import sequence_targets
from models.evaluation.assessed_correction import Question, policy_increments, scans_of
from models.evaluation.assessment import assess
from models.evaluation.pilot import EvaluationError
from models.learning.calibration import online_features, predictions
from models.learning.devices import CPU
from models.learning.reference import Reference
from models.online.correction import minimise
from models.runtime import Advice, AdviceRequest, ProcessSample, Runtime


@pytest.fixture(scope="module")
def question(calibrated, held_out_recipe, small_data):
    at, manifest = calibrated
    data = hold_out(small_data, held_out_recipe).held_out
    return Question(
        manifest=manifest,
        reference=Reference.load(at),
        data=data,
        recipe=held_out_recipe,
        features=online_features(data, manifest),
        rows=np.arange(3, 170, 7),
    )


@pytest.fixture(scope="module")
def found(calibrated, held_out_recipe, small_data):
    at, _ = calibrated
    return assess(at, small_data, held_out_recipe, states=40, seed=1, device=CPU)


def test_predictions_are_those_of_the_runtime(calibrated, question):
    at, manifest = calibrated
    targets = sequence_targets(question.data, question.recipe)
    features = question.features[targets.rows]
    ours = question.reference.changes(features, targets.moves)
    runtime = predictions(manifest, load_weights(at), features, targets.moves, CPU)
    np.testing.assert_allclose(ours, runtime, rtol=0.0, atol=1e-9)


def test_the_policy_is_that_of_the_runtime(calibrated, question):
    at, manifest = calibrated
    runtime = Runtime.load(at)
    seen = online_features(question.data, manifest, manifest.policy.features)
    theirs = np.array([np.tanh(runtime._policy(row)) for row in seen]) * runtime._increment
    ours = policy_increments(question, manifest.policy, "policy.net")
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("radius", [None, 0.05])
def test_the_correction_is_that_of_the_runtime(calibrated, question, radius):
    """The same problem in both, and the same minimum."""
    at, manifest = calibrated
    cost = manifest.cost.model_copy(update={"trust_radius": radius})
    manifest = manifest.model_copy(update={"cost": cost})
    reference = Reference(manifest, load_weights(at))
    asked = Question(
        **{name: getattr(question, name) for name in Question.__slots__}
        | {"manifest": manifest, "reference": reference}
    )
    scans = scans_of(asked)
    best = reference.minimise(scans).flatten(1).numpy()
    model = Runtime(manifest, load_weights(at)).model
    for i, row in enumerate(asked.rows):
        problem = model.problem(
            model.response(asked.features[row]),
            now=asked.data.cv[row],
            error=asked.data.sp[row] - asked.data.cv[row],
            bias=np.zeros((model.n_blocks, model.n_cv)),
            policy=scans.policy[i].numpy(),
            low=scans.low[i].numpy(),
            high=scans.high[i].numpy(),
        )
        solved = minimise(
            problem, best[i] * 0.0, gap_absolute=1e-10, gap_relative=1e-13, max_iterations=100
        )
        np.testing.assert_allclose(best[i], solved.z, atol=1e-6)


def test_a_state_is_corrected_as_in_the_first_scan_of_the_controller(calibrated, question):
    """At the first row of an episode nothing has been learned on line, so both ask the same."""
    at, manifest = calibrated
    runtime, data = Runtime.load(at), question.data
    rows = np.array([begin for begin, _ in data.episodes()])
    asked = Question(
        **{name: getattr(question, name) for name in Question.__slots__} | {"rows": rows}
    )
    scans = scans_of(asked)
    best = question.reference.minimise(scans)[:, 0].numpy()
    low, high = (np.array([getattr(mv, side) for mv in manifest.mvs]) for side in ("low", "high"))
    none, compared = np.zeros(len(low), dtype=np.bool_), 0
    for i, row in enumerate(rows):
        mv = data.mv[row]
        request = AdviceRequest(
            sample=ProcessSample(
                plant_time_s=0.0, cv=data.cv[row], sp=data.sp[row], mv=mv, dv=data.dv[row]
            ),
            low=low,
            high=high,
            range_low=low,
            range_high=high,
            windup_low=none,
            windup_high=none,
            freeze=False,
        )
        advice, _ = runtime.advise(request, runtime.initial_memory())
        if isinstance(advice, Advice):
            half, compared = (high - low) / 2.0, compared + 1
            np.testing.assert_allclose(
                scans.policy[i].numpy(), (advice.policy_move - mv) / half, atol=1e-12
            )
            np.testing.assert_allclose(best[i], (advice.move - mv) / half, atol=1e-4)
    assert compared > 0


def test_only_held_out_episodes_of_the_bundles_own_data_are_judged(
    found, calibrated, held_out_recipe
):
    _, manifest = calibrated
    assert found["data"]["held_out"]
    assert found["data"]["episodes"] == len(manifest.conformal.episodes) < 6
    fresh = generate(held_out_recipe.model_copy(update={"seed": 5}), jobs=1)
    other = assess(calibrated[0], fresh, held_out_recipe, states=5, seed=1, device=CPU)
    assert not other["data"]["held_out"]
    assert not other["data"]["learned_from"]
    assert other["data"]["episodes"] == 6


def test_the_figures_are_what_they_are_called(found, calibrated, question):
    _, manifest = calibrated
    targets = sequence_targets(question.data, question.recipe)
    runtime = question.reference.changes(question.features[targets.rows], targets.moves)
    scale = np.array([cv.scale for cv in manifest.cvs])
    first = (targets.change * scale - runtime)[targets.reach > 0, 0, 1]
    row = found["prediction"][1]
    assert (row["cv"], row["hours"]) == ("Temperature", pytest.approx(300 / 3600))
    assert row["count"] == len(first)
    assert row["rms"] == pytest.approx(np.sqrt(np.mean(first**2)))
    assert row["inside"] == pytest.approx(np.mean(np.abs(first) <= manifest.conformal.bands[0][1]))
    assert [r["policy"] for r in found["policies"]] == ["bundle", "bundle", "bc", "bc"]
    corrected = found["correction"]
    assert corrected["states"] == 40
    assert corrected["certified"] == 1.0
    assert 0.0 <= corrected["bulge"] < 1e-12
    assert json.dumps(found, allow_nan=False)


def test_a_recipe_that_cuts_other_blocks_is_refused(calibrated, held_out_recipe, small_data):
    cost = held_out_recipe.cost.model_copy(update={"blocks": [1, 2]})
    other = held_out_recipe.model_copy(update={"cost": cost})
    with pytest.raises(EvaluationError, match=r"cost.blocks is \[1, 2\], the bundle's is"):
        assess(calibrated[0], small_data, other, states=5, seed=1, device=CPU)


def test_the_command_judges_a_kept_dataset(calibrated, tmp_path):
    at, manifest = calibrated
    kept, out = at.parent / "work" / "dataset.safetensors", tmp_path / "found.json"
    options = ["--bundle", str(at), "--data", str(kept), "--states", "10", "--json", str(out)]
    result = CliRunner().invoke(app, ["assess", *options])
    assert result.exit_code == 0, result.output
    assert "held out of the training; cpu" in result.output
    assert "100.00% certified" in result.output
    assert json.loads(out.read_text())["bundle"]["name"] == load_manifest(at).name
    assert manifest.name in json.loads(out.read_text())["bundle"]["name"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--device", "tpu"], 2, "give cpu, cuda or cuda:N"),
        (["--data", "none.safetensors"], 3, "is no dataset of a work directory"),
        (["--data", "none.parquet"], 3, "none.parquet"),
        (["--recipe", "nowhere.toml"], 2, "no such recipe"),
    ],
)
def test_the_command_says_what_is_wrong(options, code, words):
    result = CliRunner().invoke(app, ["assess", *options])
    assert result.exit_code == code
    assert words in " ".join(result.output.split())
