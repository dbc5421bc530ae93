"""The systemd units: free of warnings, and closed enough."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[3] / "systemd").glob("*.service"))
EXPOSURE = 30
"""Tenths of systemd's exposure level: 3.0."""


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is absent: apt-get install --no-install-recommends systemd")
    return found


@pytest.fixture(params=UNITS, ids=lambda unit: unit.name)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the unit whose binary exists here, as the instance R101 where it is a template."""
    text = re.sub(
        r"^ExecStart=\S+", "ExecStart=/bin/true", request.param.read_text(), flags=re.MULTILINE
    )
    copy = tmp_path / request.param.name.replace("@.", "@R101.")
    copy.write_text(text)
    return copy


def test_both_units_are_there():
    assert [unit.name for unit in UNITS] == ["trimtab-plant.service", "trimtab@.service"]


def test_systemd_has_nothing_to_say_about_the_unit(analyze: str, unit: Path):
    done = subprocess.run(
        [analyze, "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_unknown_key_would_be_noticed(analyze: str, unit: Path):
    unit.write_text(unit.read_text().replace("ProtectSystem=", "ProtectSistem="))
    done = subprocess.run(
        [analyze, "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert "ProtectSistem" in done.stderr


def test_the_exposure_is_low(analyze: str, unit: Path):
    done = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={EXPOSURE}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level is not None
    assert float(level[1]) <= EXPOSURE / 10


@pytest.mark.parametrize("unit_file", UNITS, ids=lambda unit: unit.name)
@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "WatchdogSec=10",
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "Environment=PYTHONSAFEPATH=1",
        "Restart=on-failure",
        "StartLimitBurst=5",
    ],
)
def test_the_unit_says(unit_file: Path, line: str):
    assert line in unit_file.read_text().splitlines()


@pytest.mark.parametrize("unit_file", UNITS, ids=lambda unit: unit.name)
def test_secrets_come_as_credentials_and_state_has_a_place(unit_file: Path):
    text = unit_file.read_text()
    assert re.search(r"^LoadCredential=\S+:/etc/trimtab/", text, flags=re.MULTILINE)
    assert re.search(r"^StateDirectory=trimtab", text, flags=re.MULTILINE)
