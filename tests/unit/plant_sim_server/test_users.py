import os
import tomllib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from plant_sim.errors import ConfigurationError
from plant_sim.opcua.users import RoleUsers, load_users
from plant_sim.unit.tags import Role

PASSWORD = "correct horse battery"  # noqa: S105


def users_file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, errors="surrogateescape")
    path.chmod(mode)
    return path


def test_the_right_password_gives_a_fresh_user_each_time():
    users = RoleUsers({"anna": (Role.OPERATOR, PASSWORD)})
    first = users.get_user(None, "anna", PASSWORD)
    second = users.get_user(None, "anna", PASSWORD)
    assert first.plant_role is Role.OPERATOR
    assert first is not second
    assert first != second


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("anna", "wrong"),
        ("anna", ""),
        ("anna", None),
        ("admin", PASSWORD),
        ("Admin", "admin"),
        ("", ""),
        (None, None),
    ],
)
def test_everything_else_gives_nobody(name, password):
    users = RoleUsers({"anna": (Role.OPERATOR, PASSWORD)})
    assert users.get_user(None, name, password) is None


def test_no_password_is_logged_or_shown():
    users = RoleUsers({"anna": (Role.OPERATOR, PASSWORD)})
    with capture_logs() as logs:
        users.get_user(None, "anna", PASSWORD)
        users.get_user(None, "anna", PASSWORD + "x")
    assert len(logs) == 2
    assert PASSWORD not in repr(logs)
    assert PASSWORD not in repr(vars(users))


def test_a_missing_file_is_made_with_one_random_user_a_role(tmp_path):
    path = tmp_path / "users.toml"
    users = load_users(path)
    assert path.stat().st_mode & 0o777 == 0o600
    content = tomllib.loads(path.read_text())["users"]
    assert {name: entry["role"] for name, entry in content.items()} == {r: r for r in Role}
    assert len({entry["password"] for entry in content.values()}) == 4
    # a '-' in front would be an option to `uawrite --password "$(cat ...)"`
    assert all(entry["password"].isalnum() for entry in content.values())
    assert users.get_user(None, "apc", content["apc"]["password"]).plant_role is Role.APC
    other = tmp_path / "other.toml"
    load_users(other)
    assert other.read_text() != path.read_text()
    assert sorted(tmp_path.iterdir()) == [other, path]  # nothing half written is left


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    text = f'[users.anna]\nrole = "operator"\npassword = "{PASSWORD}"\n'
    path = users_file(tmp_path / "users.toml", text, mode)
    with pytest.raises(ConfigurationError, match="chmod 600") as caught:
        load_users(path)
    assert f"{mode:04o}" in str(caught.value)


def test_systemd_credentials_may_show_a_group_bit(tmp_path, monkeypatch):
    text = f'[users.anna]\nrole = "operator"\npassword = "{PASSWORD}"\n'
    path = users_file(tmp_path / "users.toml", text, 0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_users(path).get_user(None, "anna", PASSWORD)
    path.chmod(0o444)
    with pytest.raises(ConfigurationError):
        load_users(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[users.anna]\nrole = "king"\npassword = "12345678"\n', "users.anna.role: "),
        ('[users.anna]\nrole = "operator"\n', "users.anna.password"),
        ('[users.anna]\nrole = "operator"\npassword = "secret!"\n', "users.anna.password"),
        ('[users.anna]\nrole = "operator"\npassword = "12345678"\nage = 3\n', "users.anna.age"),
        ("[users]\n", "users"),
        ("", "users"),
        ("[users", "not valid TOML"),
        ('[users]\nanna = "secret!"\n', "users.anna: "),
        ('users = "secret!"\n', "users: "),
        ('[users.anna]\nrole = "secret!"\npassword = "12345678"\n', "users.anna.role: "),
        ('[users.anna]\nrole = "apc"\npassword = ["secret!"]\n', "users.anna.password: "),
        ("[users.anna]\npassword = secret!\n", "(at line 2, column 12)"),
        ('["secret!"]\n["secret!"]\n', "(at line 2, column 11)"),
        ("secret! \udcff", "not UTF-8 text"),
    ],
)
def test_a_wrong_file_says_what_is_wrong_and_no_password(tmp_path, text, said):
    path = users_file(tmp_path / "users.toml", text)
    with pytest.raises(ConfigurationError) as caught:
        load_users(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "secret!" not in str(caught.value)


def test_what_is_no_regular_file_is_refused_and_not_to_be_changed(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/null")):
        with pytest.raises(ConfigurationError, match="not a regular file") as caught:
            load_users(path)
        assert "chmod" not in str(caught.value)


def test_a_file_that_cannot_be_made_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be made"):
        load_users(tmp_path / "no" / "users.toml")
