"""A whole training run, small: a bundle that loads, the same twice, and bound to its recipe."""

import pytest
import torch

from models.bundle import bundle_sha256
from models.recipe import RecipeError
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


def test_the_manifest_of_the_processor_says_nothing_of_a_device(trained):
    _, manifest = trained
    assert "device" not in manifest.training


def test_a_work_directory_belongs_to_one_kind_of_device(trained, small_recipe, silent):
    at, _ = trained
    with pytest.raises(RecipeError, match="another device"):
        train(
            small_recipe,
            at / "work",
            at / "out",
            jobs=1,
            progress=silent,
            device=torch.device("meta"),
        )


def test_behaviour_cloning_trains_by_one_word_of_the_recipe(small_recipe, silent, tmp_path):
    policy = small_recipe.policy.model_copy(update={"algorithm": "bc"})
    recipe = small_recipe.model_copy(update={"policy": policy})
    manifest = train(recipe, tmp_path / "work", tmp_path / "out", jobs=1, progress=silent)
    assert manifest.policy.algorithm == "bc"
    assert "bc.policy" in manifest.training


def test_training_takes_one_thread(trained):
    """The order of sums decides the bits."""
    assert torch.get_num_threads() == 1
    assert trained
