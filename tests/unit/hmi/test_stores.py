"""Which units know the same users, and what strangers are told."""

from dataclasses import replace
from pathlib import Path

import pytest

from controller.hmi.errors import RefusedError
from controller.hmi.fleet import prepare
from controller.hmi.placeless import placeless
from controller.hmi.settings import load_hmi
from controller.hmi.stores import choices, chosen, preset


@pytest.fixture
def fleet(tmp_path, unit, monkeypatch):
    """Five units: two as they are, one with an account of its own, two of named users."""
    monkeypatch.setenv("TRIMTAB_HMI_PASSWORD", "secret")
    more = ("", "", "account = {user = 'viewer'}", "users = 'site'", "users = 'site'")
    tables = [
        f"[[units]]\nname = 'U{number}'\nconfig = '{unit.config}'\n{text}\n"
        for number, text in enumerate(more)
    ]
    path = tmp_path / "hmi.toml"
    path.write_text("\n".join(tables))
    return prepare(load_hmi(path))


def names(units):
    return [unit.name for unit in units]


@pytest.mark.parametrize(
    ("name", "members"),
    [("U0", "U0 U1"), ("U1", "U0 U1"), ("U2", "U2"), ("U3", "U3 U4"), ("U4", "U3 U4")],
)
def test_a_password_is_for_plants_that_know_the_same_users(fleet, name, members):
    assert names(chosen(fleet, name)) == members.split()


def test_a_choice_has_to_be_made_where_there_is_one(fleet):
    with pytest.raises(RefusedError, match="one of U0, U2, U3"):
        chosen(fleet, None)
    with pytest.raises(RefusedError, match="no unit"):
        chosen(fleet, "U9")
    assert [choice["unit"] for choice in choices(fleet)] == ["U0", "U2", "U3"]
    assert choices(fleet)[0]["title"] == "U0, U1"


@pytest.mark.parametrize(
    ("page", "choice"),
    [
        ("/units/U2", "U2"),
        ("/units/U%34/history?from=2020", "U3"),
        ("/units/U1?x=1", "U0"),
        ("", ""),
        ("/", ""),
        ("/units/U9", ""),
        ("//units/U2", ""),
        ("https://there.example/units/U2", ""),
    ],
)
def test_nothing_but_the_page_that_was_asked_for_chooses_the_plant(fleet, page, choice):
    assert preset(fleet, page) == choice


def test_many_units_are_not_all_named(unit):
    many = {f"U{number}": replace(unit, title=f"U{number}") for number in range(7)}
    other = {"other": replace(unit, name="other", users="others")}
    assert choices({**many, **other})[0]["title"] == "U0, U1, U2, U3 and 3 more"
    assert choices(many) == []
    assert len(chosen(many, None)) == 7
    assert chosen({}, None) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("is not in /etc/trimtab/hmi-pki/trusted", "is not in trusted"),
        ("[Errno 13] Permission denied: '/var/lib/x/journal.db'", "'journal.db'"),
        ("no connection to opc.tcp://127.0.0.1:4840/a/b", "opc.tcp://127.0.0.1:4840/a/b"),
        ("opc.tcp://plant.example/UA/Server", "opc.tcp://plant.example/UA/Server"),
        ("opc.tcp://[::1]:4840/a/b", "opc.tcp://[::1]:4840/a/b"),
        ("1/2 of kg/m3/h", "1/2 of kg/m3/h"),
        ("urn:HOST:a/b/c", "urn:HOST:a/b/c"),
        ("sees file:///var/lib/x/a.pkl", "sees file:a.pkl"),
        ("sees file://localhost/var/lib/x/a.pkl", "sees file:a.pkl"),
        ("sqlite:///var/lib/x/j.db?mode=ro", "sqlite:j.db?mode=ro"),
        ("open:/var/lib/x", "open:x"),
        ("in //var/lib/x", "in x"),
        ("http://hmi.example/a/b?c=/d/e and /srv/a/b", "http://hmi.example/a/b?c=/d/e and b"),
        ("opc.tcp://h:4840/a/b: /srv/a/b", "opc.tcp://h:4840/a/b: b"),
        ("opc.tcp://h:4840:/srv/a/b", "opc.tcp://h:4840:b"),
        ("https://[fe80::1%eth0]/a/b/c", "https://[fe80::1%eth0]/a/b/c"),
        ("12.5 kg/m3, 3 m3/h, 1/h", "12.5 kg/m3, 3 m3/h, 1/h"),
        ("2026/03/01 and 01/03/2026", "2026/03/01 and 01/03/2026"),
        ("in /srv/my plant/trusted now", "in trusted now"),
    ],
)
def test_folders_of_the_machine_are_not_told(text, told):
    assert placeless(text, Path("/srv/my plant/trusted"), None).endswith(told)
