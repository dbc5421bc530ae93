"""systemd/install, run for real into a folder that stands for a machine."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from controller.configuration.settings import load_settings
from controller.hmi.settings import load_hmi

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "systemd/install"
UNITS = {"trimtab-plant.service", "trimtab@.service", "trimtab-hmi.service", "trimtab.target"}


def install(root, *arguments, code=0):
    done = subprocess.run(
        [SCRIPT, "--root", root, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def needs(program):
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is absent: apt-get install --no-install-recommends systemd")
    return found


def test_it_puts_everything_in_place_and_says_what_comes_next(tmp_path):
    said = install(tmp_path, "--unit", "R101")
    units = tmp_path / "usr/local/lib/systemd/system"
    assert {path.name for path in units.iterdir()} == UNITS
    for path in units.iterdir():
        assert path.read_text() == (ROOT / "systemd" / path.name).read_text()
    for kind in ("sysusers", "tmpfiles"):
        placed = tmp_path / f"usr/local/lib/{kind}.d/trimtab.conf"
        assert placed.read_text() == (ROOT / f"systemd/trimtab.{kind}").read_text()
    assert "certs init --pki /etc/trimtab/R101-pki --uri urn:$(hostname):trimtab:R101\n" in said
    assert "TRIMTAB_SERVER__PASSWORD_FILE=/etc/trimtab/R101.password \\\n" in said
    assert "IPAddressAllow=" in said
    assert "systemctl enable --now trimtab@R101" in said
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in tmp_path.rglob("*.service"))


def test_a_second_run_changes_nothing(tmp_path):
    install(tmp_path, "--unit", "R101")
    before = tree(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    said = install(tmp_path, "--unit", "R101")
    assert tree(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps
    assert "write " not in said
    assert "update " not in said


def test_an_edited_configuration_is_kept_and_a_unit_is_brought_up_to_date(tmp_path):
    install(tmp_path, "--unit", "R101")
    edited = tmp_path / "etc/trimtab/R101.toml"
    edited.write_text("# mine\n")
    unit = tmp_path / "usr/local/lib/systemd/system/trimtab@.service"
    unit.write_text("# of last year\n")
    said = install(tmp_path, "--unit", "R101")
    assert edited.read_text() == "# mine\n"
    assert f"kept       {edited}" in said
    assert unit.read_text() == (ROOT / "systemd/trimtab@.service").read_text()
    assert f"update     {unit}" in said


def test_every_controller_gets_a_journal_and_a_port_of_its_own(tmp_path):
    install(tmp_path, "--unit", "R101", "--unit", "R102")
    install(tmp_path, "--unit", "R101", "--unit", "R103")
    etc = tmp_path / "etc/trimtab"
    found = {name: load_settings(etc / f"{name}.toml") for name in ("R101", "R102", "R103")}
    assert [one.metrics.port for one in found.values()] == [9464, 9465, 9466]
    for name, settings in found.items():
        assert settings.journal.path == Path(f"/var/lib/trimtab/{name}/journal.db")
        assert settings.server.owner == name
        assert settings.tags.path == etc / "tags.toml"
    assert tomllib.loads((etc / "tags.toml").read_text())


def test_another_place_of_installation_is_written_into_the_units(tmp_path):
    install(tmp_path, "--prefix", "/srv/trimtab/")
    for path in (tmp_path / "usr/local/lib/systemd/system").iterdir():
        text = path.read_text()
        assert "/opt/trimtab" not in text
        assert path.suffix == ".target" or "ExecStart=/srv/trimtab/.venv/bin/trimtab" in text


def test_certificates_of_an_earlier_checkout_are_named(tmp_path):
    (tmp_path / "etc/trimtab/pki").mkdir(parents=True)
    said = install(tmp_path, "--unit", "R101", "--unit", "R102")
    assert said.count("rename") == 2
    assert "trimtab@R102 reads " in said
    (tmp_path / "etc/trimtab/R101-pki").mkdir()
    (tmp_path / "etc/trimtab/R102-pki").mkdir()
    assert "rename" not in install(tmp_path, "--unit", "R101", "--unit", "R102")


def test_a_dry_run_writes_nothing(tmp_path):
    said = install(tmp_path, "--unit", "R101", "--dry-run")
    assert "write " in said
    assert list(tmp_path.iterdir()) == []
    install(tmp_path, "--unit", "R101")
    before = tree(tmp_path)
    assert "remove " in install(tmp_path, "--uninstall", "--dry-run")
    assert tree(tmp_path) == before


def test_uninstalling_leaves_what_is_the_administrators(tmp_path):
    install(tmp_path, "--unit", "R101")
    journal = tmp_path / "var/lib/trimtab/R101/journal.db"
    journal.parent.mkdir(parents=True)
    journal.touch()
    said = install(tmp_path, "--uninstall")
    left = {
        str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    }
    assert left == {"etc/trimtab", "var/lib/trimtab/R101"}
    assert "stays" in said
    assert install(tmp_path, "--uninstall").startswith("stays")


def test_an_older_unit_that_hides_the_new_one_is_named(tmp_path):
    older = tmp_path / "etc/systemd/system/trimtab@.service"
    older.parent.mkdir(parents=True)
    older.write_text("[Service]\n")
    assert str(older) in install(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--unit", "R 101"), "letters, digits"),
        (("--unit", "../R101"), "letters, digits"),
        (("--unit", "R" * 21), "at most 20"),
        (("--unit", "plant"), "another file"),
        (("--unit",), "needs a value"),
        (("--prefix", "opt"), "absolute path"),
        (("--prefix", "/a b|c"), "absolute path"),
        (("--force",), "no option"),
    ],
)
def test_a_wrong_option_writes_nothing(tmp_path, arguments, said):
    assert said in install(tmp_path, *arguments, code=2)
    assert list(tmp_path.iterdir()) == []


def test_without_a_root_it_wants_to_be_root(tmp_path):
    """Somebody else is who `id` says; nothing is reached before the refusal."""
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert "as root" in done.stderr


def test_systemd_takes_the_group(tmp_path):
    install(tmp_path)
    done = subprocess.run(
        [needs("systemd-sysusers"), "--dry-run", f"--root={tmp_path}",
         tmp_path / "usr/local/lib/sysusers.d/trimtab.conf"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "group 'trimtab'" in done.stdout + done.stderr


def test_systemd_makes_the_folders_and_closes_the_secrets(tmp_path):
    """systemd 252 has no dry run of this: it is run for real, below the folder."""
    if os.geteuid() != 0:
        pytest.skip("folders of root can be made by root only")
    program = needs("systemd-tmpfiles")
    install(tmp_path, "--unit", "R101")
    etc = tmp_path / "etc/trimtab"
    secrets = [etc / "R101.password", etc / "users.toml", etc / "hmi.key"]
    secrets.append(etc / "R101-pki/own/private_key.pem")
    open_to_all = [etc / "R101.toml", etc / "R101-pki/own/certificate.der"]
    for file in (*secrets, *open_to_all):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        file.chmod(0o644)
    done = subprocess.run(
        [program, "--create", f"--root={tmp_path}",
         tmp_path / "usr/local/lib/tmpfiles.d/trimtab.conf"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [file.stat().st_mode & 0o777 for file in secrets] == [0o600] * 4
    assert [file.stat().st_mode & 0o777 for file in open_to_all] == [0o644] * 2
    private = tmp_path / "var/lib/private"
    assert private.stat().st_mode & 0o777 == 0o700
    assert (private / "trimtab").stat().st_mode & 0o777 == 0o755


def test_the_screens_show_every_unit_that_was_named(tmp_path):
    install(tmp_path, "--unit", "R101", "--unit", "R102")
    etc = tmp_path / "etc/trimtab"
    settings = load_hmi(etc / "hmi.toml")
    assert [unit.name for unit in settings.units] == ["R101", "R102"]
    assert [unit.config for unit in settings.units] == [etc / "R101.toml", etc / "R102.toml"]
    assert "kept" in install(tmp_path, "--unit", "R103")
    assert len(load_hmi(etc / "hmi.toml").units) == 2


def on_a_machine(tmp_path, *arguments):
    """What the script asks of systemd: as on a machine that runs it, with tools that only note."""
    folder = tmp_path / "checkout"
    if not folder.exists():
        shutil.copytree(ROOT / "systemd", folder / "systemd")
        (folder / "config").symlink_to(ROOT / "config")
        script = folder / "systemd/install"
        text = script.read_text()
        asked = "if [[ -z $root && -d /run/systemd/system ]]"
        assert text.count(asked) == 1
        script.write_text(text.replace(asked, "if true"))
        (folder / "bin").mkdir()
        for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles"):
            tool = folder / "bin" / name
            tool.write_text(f"#!/bin/sh\n[ $1 = list-units ] || echo {name} $* >>{folder}/asked\n")
            tool.chmod(0o755)
    asked = folder / "asked"
    asked.write_text("")
    done = subprocess.run(
        [folder / "systemd/install", "--root", tmp_path / "machine", *arguments],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, asked.read_text().splitlines()


def test_the_target_is_enabled_with_the_units_and_disabled_before_they_go(tmp_path):
    said, asked = on_a_machine(tmp_path, "--dry-run")
    assert "enable     trimtab.target" in said
    assert asked == []
    _, asked = on_a_machine(tmp_path)
    enable = "systemctl --quiet enable trimtab.target"
    assert asked[-2:] == ["systemctl daemon-reload", enable]
    said, asked = on_a_machine(tmp_path, "--uninstall", "--dry-run")
    assert "disable    trimtab.target" in said
    assert asked == []
    said, asked = on_a_machine(tmp_path, "--uninstall")
    assert asked == ["systemctl --quiet disable trimtab.target", "systemctl daemon-reload"]
    assert said.index("disable ") < said.index("remove ")
    assert on_a_machine(tmp_path, "--uninstall")[1] == ["systemctl daemon-reload"]
