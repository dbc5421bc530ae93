"""The systemd units: free of warnings, and closed enough."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from controller.cli import main as controller_app
from controller.hmi.listening import SPARE
from controller.hmi.logins import MOST_LOGINS
from plant_sim.cli import main as plant_app

FOLDER = Path(__file__).parents[3] / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
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


def test_the_units_are_there():
    names = ["trimtab-hmi.service", "trimtab-plant.service", "trimtab@.service"]
    assert [unit.name for unit in UNITS] == names


def test_systemd_has_nothing_to_say_about_all_of_them_together(analyze: str, tmp_path: Path):
    """With the target that they belong to; a name that leads nowhere would be told."""
    files = [tmp_path / file.name.replace("@.", "@R101.") for file in UNITS]
    for source, file in zip(UNITS, files, strict=True):
        text = source.read_text()
        file.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text))
    target = tmp_path / "trimtab.target"
    target.write_text((FOLDER / target.name).read_text())
    done = subprocess.run(
        [analyze, "verify", *files, target], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_controller_has_a_password_a_key_and_certificates_of_its_own():
    text = (FOLDER / "trimtab@.service").read_text()
    paths = re.findall(r"(?m)^(?:LoadCredential=\w+:|Environment=\w+=)(/etc/\S+)", text)
    assert len(paths) == 3
    assert all(path.startswith("/etc/trimtab/%i") for path in paths)


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
        "PartOf=trimtab.target",
        "WantedBy=trimtab.target",
        "NotifyAccess=main",
    ],
)
def test_the_unit_says(unit_file: Path, line: str):
    assert line in unit_file.read_text().splitlines()


@pytest.mark.parametrize("unit_file", UNITS, ids=lambda unit: unit.name)
def test_secrets_come_as_credentials_and_state_has_a_place(unit_file: Path):
    text = unit_file.read_text()
    assert re.search(r"^LoadCredential=\S+:/etc/trimtab/", text, flags=re.MULTILINE)
    assert re.search(r"^StateDirectory=trimtab", text, flags=re.MULTILINE)


def setting(name: str, key: str) -> list[str]:
    text = (FOLDER / name).read_text()
    return re.findall(rf"^{key}=(.*)$", text, flags=re.MULTILINE)


def test_a_journal_is_read_by_the_group_and_written_by_its_controller_alone():
    assert setting("trimtab@.service", "User") == ["trimtab_%i"]
    assert setting("trimtab@.service", "Group") == ["trimtab"]
    assert setting("trimtab@.service", "UMask") == ["0027"]
    assert setting("trimtab@.service", "StateDirectoryMode") == ["0750"]
    assert setting("trimtab-hmi.service", "SupplementaryGroups") == ["trimtab"]
    assert setting("trimtab-hmi.service", "BindReadOnlyPaths") == ["-/var/lib/private/trimtab"]
    assert "\ng trimtab -\n" in (FOLDER / "trimtab.sysusers").read_text()


def test_the_screens_have_an_account_and_a_key_of_their_own():
    credentials = dict(item.split(":") for item in setting("trimtab-hmi.service", "LoadCredential"))
    controllers = dict(item.split(":") for item in setting("trimtab@.service", "LoadCredential"))
    assert not set(credentials.values()) & set(controllers.values())
    assert set(credentials) == {"trimtab_hmi_password", "trimtab_key"}


def test_the_screens_have_files_for_all_whom_they_let_in():
    """As many viewers, and as many operators on as many plants, as the settings allow."""
    most = SPARE + 1000 + MOST_LOGINS * 200
    assert int(setting("trimtab-hmi.service", "LimitNOFILE")[0]) > most


def test_the_screens_yield_to_a_scan():
    assert int(setting("trimtab-hmi.service", "Nice")[0]) > 0
    assert int(setting("trimtab-hmi.service", "CPUWeight")[0]) < 100


def test_a_dcs_that_is_down_at_boot_is_tried_until_it_is_there():
    """Exit code 4 is a plant that refuses, or none; systemd gives up on no such start."""
    assert setting("trimtab@.service", "StartLimitIntervalSec") == ["0"]
    assert setting("trimtab@.service", "RestartSec") == ["10"]
    assert setting("trimtab@.service", "RestartPreventExitStatus") == ["2 3"]


def test_disabling_one_service_leaves_the_target_to_the_others():
    """`Also=` would take the target, and with it everything else, out of the boot."""
    assert [setting(unit.name, "Also") for unit in UNITS] == [[], [], []]
    assert setting("trimtab.target", "WantedBy") == ["multi-user.target"]


@pytest.mark.parametrize("unit_file", UNITS, ids=lambda unit: unit.name)
def test_a_restart_is_not_tried_where_it_changes_nothing(unit_file: Path):
    assert "2" in setting(unit_file.name, "RestartPreventExitStatus")[0].split()


@pytest.mark.parametrize("unit_file", UNITS, ids=lambda unit: unit.name)
def test_the_command_is_one_that_the_program_takes(unit_file: Path):
    """Its options are checked by the program's own parser; nothing is run."""
    program, *words = setting(unit_file.name, "ExecStart")[0].split()
    app = {"trimtab": controller_app, "trimtab-plant": plant_app}[Path(program).name]
    group = get_command(app)
    if words[0] not in group.commands:
        pytest.fail(f"{Path(program).name} has no command {words[0]}")
    context = group.make_context(program, list(words))
    name, command, rest = group.resolve_command(context, list(words))
    command.make_context(name, rest, parent=context)
