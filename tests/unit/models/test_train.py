"""A whole training run, small: a bundle that loads, the same twice, and bound to its recipe."""

import dataclasses

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models.bundle import bundle_sha256, default_bundle
from models.cli import app
from models.data.envelope import envelope, rest_points
from models.data.transitions import fit_features, sequence_targets
from models.recipe import RecipeError, load_recipe, shipped_recipes
from models.runtime import Runtime
from models.train import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_recipe, silent):
    at = tmp_path_factory.mktemp("train")
    manifest = train(small_recipe, at / "work", at / "out", jobs=1, progress=silent)
    return at, manifest


def test_the_bundle_loads_and_names_its_data(trained):
    at, manifest = trained
    runtime = Runtime.load(at / "out")
    assert runtime.manifest == manifest
    assert manifest.dataset["episodes"] == 6
    assert manifest.dataset["variant"] == "mild_dither"
    assert manifest.dataset["episodes_above_limit"] == 0
    assert manifest.dataset["override_on_K"] == 363.0
    assert manifest.dataset["dither"] == "[0.3, 2.0]"
    assert "# polymer-cstr" in (at / "out" / "README.md").read_text()


def test_a_second_run_gives_the_same_bundle(trained, small_recipe, silent, tmp_path):
    at, _ = trained
    train(small_recipe, tmp_path / "work", tmp_path / "out", jobs=2, progress=silent)
    assert bundle_sha256(tmp_path / "out") == bundle_sha256(at / "out")


def test_a_finished_run_is_only_packed_again(trained, small_recipe, silent, tmp_path):
    at, manifest = trained
    again = train(small_recipe, at / "work", tmp_path / "again", jobs=1, progress=silent)
    assert again.files == manifest.files
    assert again.training == manifest.training


def test_a_work_directory_belongs_to_one_recipe(trained, small_recipe, silent):
    at, _ = trained
    other = small_recipe.model_copy(update={"seed": 99})
    with pytest.raises(RecipeError, match="another recipe or seed"):
        train(other, at / "work", at / "out", jobs=1, progress=silent)


def test_behaviour_cloning_trains_by_one_word_of_the_recipe(small_recipe, silent, tmp_path):
    policy = small_recipe.policy.model_copy(update={"algorithm": "bc"})
    recipe = small_recipe.model_copy(update={"policy": policy})
    manifest = train(recipe, tmp_path / "work", tmp_path / "out", jobs=1, progress=silent)
    assert manifest.policy.algorithm == "bc"
    assert "bc.policy" in manifest.training


def test_features_are_standardised_and_filters_start_where_the_recipe_says(
    small_recipe, small_data
):
    fitted = fit_features(small_recipe.cost.features, small_recipe, small_data)
    np.testing.assert_allclose(fitted.matrix.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(fitted.matrix.std(axis=0), 1.0, rtol=1e-6)
    last = fitted.features[-1]
    begin, _ = small_data.bounds()[0]
    assert fitted.matrix[begin, -1] * last.scale + last.offset == pytest.approx(0.0, abs=1e-9)


def test_targets_are_block_means_and_changes_of_the_data(small_recipe, small_data):
    targets = sequence_targets(small_data, small_recipe)
    begin, end = small_data.bounds()[2]
    k = begin + 40
    at = int(np.flatnonzero(targets.rows == k)[0])
    half = np.array([1.25, 25.0])
    block = small_data.mv[k + 3 : k + 5].mean(axis=0)  # samples 3 and 4: the third block
    np.testing.assert_allclose(targets.moves[at, 2], (block - small_data.mv[k]) / half, atol=1e-9)
    change = (small_data.cv[k + 4] - small_data.cv[k]) / [20.0, 5.0]
    np.testing.assert_allclose(targets.change[at, 2], change, atol=1e-9)
    near_end = int(np.flatnonzero(targets.rows == end - 4)[0])
    assert targets.reach[near_end] == 2
    assert not targets.change[near_end, 2:].any()


def test_the_envelope_holds_the_points_at_rest_and_not_the_far_side(small_recipe, small_data):
    points = rest_points(small_data, small_recipe)
    assert len(points) > 10
    for plane in envelope(small_data, small_recipe):
        assert np.all(points @ np.array(plane.normal) <= plane.limit + 1e-6)
    far = np.array([1000.0, 350.0])
    planes = envelope(small_data, small_recipe)
    assert any(far @ np.array(plane.normal) > plane.limit for plane in planes)


def test_one_controlled_variable_gets_an_interval_as_envelope(small_recipe, small_data):
    single = dataclasses.replace(small_data, cv=small_data.cv[:, :1])
    planes = envelope(single, small_recipe.model_copy(update={"cvs": small_recipe.cvs[:1]}))
    assert [plane.normal for plane in planes] == [[1.0], [-1.0]]
    assert -planes[1].limit < planes[0].limit


def test_data_that_never_rest_are_refused_with_the_way_out(small_recipe, small_data):
    rule = small_recipe.envelope.model_copy(
        update={"rest_span": dict.fromkeys(("PolymerConc", "Temperature"), 1e-9)}
    )
    with pytest.raises(RecipeError, match=r"envelope\.rest_span"):
        envelope(small_data, small_recipe.model_copy(update={"envelope": rule}))


def test_the_shipped_recipe_is_listed_and_loads():
    assert "polymer-cstr" in shipped_recipes()
    for name in shipped_recipes():
        assert load_recipe(name).name == name
        assert load_recipe(name).description


def test_the_recipes_are_listed_with_a_line_each():
    result = CliRunner().invoke(app, ["recipes"])
    assert result.exit_code == 0
    assert "polymer-cstr-historian" in result.output
    assert "published tunings" in result.output


def test_a_recipe_holds_only_what_differs_from_the_one_it_extends(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "polymer-cstr"\nname = "mine"\n[policy]\nsteps = 7\n'
        '[[cvs]]\nname = "Temperature"\nweight = 9.0\n'
    )
    mine, base = load_recipe(str(path)), load_recipe("polymer-cstr")
    assert (mine.name, mine.policy.steps) == ("mine", 7)
    assert mine.policy.batch == base.policy.batch
    assert mine.cvs[0] == base.cvs[0]
    assert mine.cvs[1] == base.cvs[1].model_copy(update={"weight": 9.0})
    heir = tmp_path / "heir.toml"
    heir.write_text('extends = "mine.toml"\nname = "heir"\n')
    assert load_recipe(str(heir)).policy == mine.policy


def test_a_recipe_that_extends_itself_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "mine.toml"\n')
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(str(path))


def test_a_published_recipe_with_dither_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "polymer-cstr"\n[behaviour]\nvariant = "published_pi"\n')
    with pytest.raises(RecipeError, match="variant published_pi"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = 3\n", "name"),
        ("name = \n", "not valid TOML"),
        ('polcy = "iql"\n', "did you mean `policy`"),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_and_key(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=words):
        load_recipe(str(path))


def test_the_command_says_what_is_wrong_and_exits_2(tmp_path):
    result = CliRunner().invoke(app, ["train", "--recipe", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert "no such recipe" in result.output


def test_show_refuses_a_directory_without_a_bundle(tmp_path):
    result = CliRunner().invoke(app, ["show", str(tmp_path)])
    assert result.exit_code == 3
    assert "no such file" in result.output


def test_show_prints_the_card():
    result = CliRunner().invoke(app, ["show"])
    assert result.exit_code == 0
    assert "polymer-cstr" in result.output
    assert f"bundle sha256 {bundle_sha256(default_bundle())}" in result.output


def test_training_takes_one_thread(trained):
    """The order of sums decides the bits."""
    assert torch.get_num_threads() == 1
    assert trained
