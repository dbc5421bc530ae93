"""The wheel holds three packages and what they need, and works far from the checkout."""

import json
import os
import signal
import subprocess
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

PACKAGES = {"controller", "models", "plant_sim"}


def names(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        return archive.namelist()


def metadata(wheel: Path, name: str) -> str:
    with ZipFile(wheel) as archive:
        (found,) = [item for item in archive.namelist() if item.endswith(f".dist-info/{name}")]
        return archive.read(found).decode()


def test_there_are_exactly_three_top_level_names(wheel: Path):
    top = {name.split("/")[0] for name in names(wheel)}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES
    assert len(top) == len(PACKAGES) + 1


def test_configuration_recipe_and_bundle_travel_along(wheel: Path):
    inside = set(names(wheel))
    assert {
        "controller/config/controller.toml",
        "controller/config/tags.toml",
        "controller/config/hmi.toml",
        "controller/hmi/templates/unit.html",
        "controller/hmi/static/favicon.svg",
        "controller/config/examples/foreign_tags.toml",
        "controller/config/prometheus/prometheus.yml",
        "controller/config/prometheus/rules/alerts.yml",
        "controller/config/prometheus/rules/recording.yml",
        "controller/config/alertmanager/alertmanager.yml",
        "controller/config/grafana/trimtab.json",
        "controller/config/grafana/fleet.json",
        "controller/config/grafana/provisioning/dashboards/trimtab.yml",
        "controller/config/grafana/provisioning/datasources/prometheus.yml",
        "plant_sim/config/plant.toml",
        "models/recipes/polymer-cstr.toml",
        "models/artifacts/polymer-cstr/manifest.json",
        "models/artifacts/polymer-cstr/README.md",
    } <= inside
    assert any(name.endswith(".safetensors") for name in inside)


def test_nothing_of_the_workshop_travels_along(wheel: Path):
    for name in names(wheel):
        assert not name.endswith((".pyc", ".db", ".csv", ".log")), name
        assert "/tests/" not in name, name
        assert "__pycache__" not in name, name


def test_the_metadata_names_commands_licence_and_the_range_of_torch(wheel: Path):
    scripts = metadata(wheel, "entry_points.txt")
    for line in (
        "trimtab = controller.cli:main",
        "trimtab-plant = plant_sim.cli:main",
        "trimtab-models = models.cli:main",
    ):
        assert line in scripts
    fields = Parser().parsestr(metadata(wheel, "METADATA"))
    assert fields["License-Expression"] == "Apache-2.0"
    assert "torch<2.14,>=2.5" in fields.get_all("Requires-Dist")
    assert "Apache License" in metadata(wheel, "licenses/LICENSE")


def test_the_packages_come_from_the_wheel(installed: Path, tmp_path: Path, environment):
    code = "import controller, models, plant_sim; print(controller.__file__, models.__file__)"
    done = subprocess.run(
        [installed / "python", "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    for path in done.stdout.split():
        assert Path(path).is_relative_to(installed.parent)


@pytest.mark.timeout(300)
def test_the_quick_demo_passes_from_the_wheel_with_torch_out_of_reach(
    installed: Path, tmp_path: Path, environment
):
    """Far from the checkout, in a folder whose names would shadow the packages, without torch."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "torch.py").write_text('raise ImportError("torch is out of reach")\n')
    for package in PACKAGES:
        (tmp_path / package).mkdir()
    done = subprocess.run(
        [installed / "trimtab", "demo", "--quick", "--headless", "--out", "runs"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(blocked)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert list(summary) == ["startup", "grade_up", "grade_down"]
    for entry in summary.values():
        assert entry["uncertified_writes"] == 0
        assert entry["writes"] > 20
        assert entry["peak_T"] <= 365.0
        assert entry["entry_bump_percent"] <= 0.5 + 1e-9
    assert (run / "trends.png").stat().st_size > 20_000
    assert "**Passed.**" in (run / "summary.md").read_text()


@pytest.mark.timeout(180)
def test_ctrl_c_sheds_reports_and_leaves_nothing_behind(
    installed: Path, tmp_path: Path, environment
):
    with subprocess.Popen(
        [installed / "trimtab", "demo", "--headless", "--out", "runs"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        for line in demo.stdout:
            if "the controller is active" in line:
                break
        children = _children(demo.pid)
        os.kill(demo.pid, signal.SIGINT)
        rest = demo.stdout.read()
    assert demo.returncode == 130, rest
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert len(children) >= 2
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    (run,) = (tmp_path / "runs").iterdir()
    assert list(json.loads((run / "summary.json").read_text())) == ["startup"]
    assert not json.loads((run / "run.json").read_text())["passed"]
    assert "controller stopped" in (run / "log/plant.log").read_text()


def _children(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ("--bundle nowhere", 3, "nowhere/manifest.json: no such file"),
        ("--out /dev/null", 2, "--out /dev/null: cannot be written"),
        ("--speed 0", 2, "--speed"),
        ("--seed x", 2, "--seed"),
    ],
)
def test_bad_input_is_answered_with_a_code_and_a_message(
    installed: Path, environment, given: str, code: int, words: str
):
    done = subprocess.run(
        [installed / "trimtab", "demo", "--headless", *given.split()],
        cwd=installed,
        env=environment(COLUMNS="200"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
