"""`trimtab-models` on bundles and recipes: what it prints, and its exit codes."""

from typer.testing import CliRunner

from models.bundle import bundle_sha256, default_bundle
from models.cli import app


def test_the_recipes_are_listed_with_a_line_each():
    result = CliRunner().invoke(app, ["recipes"])
    assert result.exit_code == 0
    assert "polymer-cstr-historian" in result.output
    assert "published tunings" in result.output


def test_the_command_says_what_is_wrong_and_exits_2(tmp_path):
    result = CliRunner().invoke(app, ["train", "--recipe", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert "no such recipe" in result.output


def test_a_device_that_is_unknown_stops_the_training_before_any_work(tmp_path):
    work = tmp_path / "work"
    result = CliRunner().invoke(app, ["train", "--device", "gpu", "--work", str(work)])
    assert result.exit_code == 2
    assert "--device gpu: unknown; give cpu, cuda or cuda:N" in " ".join(result.output.split())
    assert not work.exists()


def test_show_refuses_a_directory_without_a_bundle(tmp_path):
    result = CliRunner().invoke(app, ["show", str(tmp_path)])
    assert result.exit_code == 3
    assert "no such file" in result.output


def test_show_prints_the_card():
    result = CliRunner().invoke(app, ["show"])
    assert result.exit_code == 0
    assert "polymer-cstr" in result.output
    assert f"bundle sha256 {bundle_sha256(default_bundle())}" in result.output
