"""What is refused before anything is asked: queries, bodies, logins, hosts, settings."""

from pathlib import Path

import pytest
from starlette.requests import Request

from controller.errors import ConfigError
from controller.hmi.accounts import read_account
from controller.hmi.errors import RefusedError
from controller.hmi.fleet import prepare
from controller.hmi.gate import host_names, host_of
from controller.hmi.query import filled, instant, number_of, only, parameters, table, text_of, whole
from controller.hmi.settings import for_units, load_hmi
from controller.hmi.web_settings import WebSettings


def request(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


def test_parameters_are_known_and_given_once():
    assert parameters(request("a=1&b=2"), "a", "b") == {"a": "1", "b": "2"}
    for query in ("c=1", "a=1&a=2", "<script>=1"):
        with pytest.raises(RefusedError):
            parameters(request(query), "a", "b")


@pytest.mark.parametrize("text", ["", "-1", "+5", "1.0", "1e3", "x", "٣", "11", "9" * 400, " 5"])
def test_whole_numbers_are_strict(text):
    with pytest.raises(RefusedError, match="from 0 to 10"):
        whole(text, "n", low=0, high=10, otherwise=3)
    assert whole(None, "n", low=0, high=10, otherwise=3) == 3


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-13-01", "0001-01-01T00:00:00+23:59"])
def test_instants_are_iso_8601(text):
    with pytest.raises(RefusedError, match="an instant"):
        instant(text, "from")


def test_an_instant_without_a_zone_is_utc():
    assert instant("2026-01-01T00:00", "from") == instant("2026-01-01T01:00:00+01:00", "from")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b"{", b"\xff\xfe", b'{"a": NaN}', b'{"a": Infinity}', b"[" * 100_000],
)
def test_a_body_is_a_json_object(body):
    with pytest.raises(RefusedError):
        table(body)


@pytest.mark.parametrize("value", [None, True, "1", 10**400, [1], {}])
def test_numbers_are_finite(value):
    with pytest.raises(RefusedError, match="finite"):
        number_of({"value": value}, "value")


@pytest.mark.parametrize(
    "value", [None, 3, "x" * 11, "a\nb", "a\x00", "\x7f", "\x9b", "\u2028", "\ud800"]
)
def test_texts_are_short_and_printable(value):
    with pytest.raises(RefusedError, match="text"):
        text_of({"t": value}, "t", 10)
    with pytest.raises(RefusedError, match="unknown key"):
        only({"t": 1, "u": 2}, "t")


def test_a_text_that_is_not_empty():
    assert filled({"t": " a "}, "t", 10) == " a "
    assert filled({"t": "  "}, "t", 10, blank=True) == "  "
    for value, blank in (("", False), ("", True), ("  ", False), (None, True)):
        with pytest.raises(RefusedError, match="text"):
            filled({"t": value}, "t", 10, blank=blank)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("127.0.0.1:8080", "127.0.0.1"),
        ("LocalHost", "localhost"),
        ("[::1]:80", "::1"),
        ("evil.example:8080", "evil.example"),
        ("", ""),
    ],
)
def test_hosts_lose_their_port(header, name):
    assert host_of(header) == name


def test_names_of_this_server():
    assert "evil.example" not in host_names(WebSettings())
    named = WebSettings(names=("HMI.plant.example",))
    assert {"hmi.plant.example", "localhost", "::1"} <= host_names(named)


def hmi_toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hmi.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "units: nothing|add the key"),
        ("[[units]]\nconfig = 'a'\ntitel = 'b'", 'rename it to "title"'),
        ("[web]\nprot = 1\n[[units]]\nconfig = 'a'", 'rename it to "port"'),
        ("[web]\nport = 70000\n[[units]]\nconfig = 'a'", "65535"),
        ("[web]\nhost = '0.0.0.0'\n[[units]]\nconfig = 'a'", "web.host"),
        ("[web]\ntls_key = 'k'\n[[units]]\nconfig = 'a'", "both or neither"),
        ("[web]\nnames = ['a/b']\n[[units]]\nconfig = 'a'", "without port"),
        ("[[units]]\nconfig = 'a'\nname = '../x'", "letters, digits"),
        ("[login]\nidle_s = 0\n[[units]]\nconfig = 'a'", "idle_s"),
        ("[account]\npassword = 'x'\n[[units]]\nconfig = 'a'", "password_file"),
        ("[account]\nuser = ''\n[[units]]\nconfig = 'a'", "account.user"),
        ("[web]\nproxies = ['proxy.example']\n[[units]]\nconfig = 'a'", "the address or network"),
        ("[web]\nproxies = ['0.0.0.0/0']\n[[units]]\nconfig = 'a'", "the address or network"),
        ("[web]\nproxies = ['10.1.2.3/8']\n[[units]]\nconfig = 'a'", "the address or network"),
        ("[[units]]\nconfig = 'a'\nusers = ''", "users"),
        ("viewers_per_address = 0\n[[units]]\nconfig = 'a'", "viewers_per_address"),
        ("viewers = 0\n[[units]]\nconfig = 'a'", "viewers"),
        ("not toml", "TOML"),
    ],
)
def test_a_wrong_hmi_toml_is_refused_in_words(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        load_hmi(hmi_toml(tmp_path, text))
    assert any(word in str(caught.value) for word in words.split("|"))


def test_paths_are_relative_to_the_file_and_the_command_line_wins(tmp_path):
    text = "[web]\nport = 1\n[[units]]\nconfig = 'a.toml'\naccount = {password_file = 'p'}"
    settings = load_hmi(hmi_toml(tmp_path, text), {"port": 2, "host": None})
    assert settings.web.port == 2
    assert settings.units[0].config == tmp_path / "a.toml"
    assert settings.units[0].account.password_file == tmp_path / "p"


def test_a_network_needs_tls():
    with pytest.raises(ConfigError, match="tls_certificate"):
        for_units([Path("a.toml")], None, {"host": "0.0.0.0"})  # noqa: S104 - refused
    tls = {"host": "0.0.0.0", "tls_certificate": Path("c"), "tls_key": Path("k")}  # noqa: S104
    assert for_units([Path("a.toml")], None, tls).web.encrypted


def test_the_password_comes_from_environment_credential_or_file(tmp_path, monkeypatch):
    secret = tmp_path / "password"
    secret.write_text("from file\n")
    secret.chmod(0o600)
    account = for_units([Path("a")], None).account
    monkeypatch.delenv("TRIMTAB_HMI_PASSWORD", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert read_account(account) is None
    with_file = account.model_copy(update={"password_file": secret})
    assert read_account(with_file).get_secret_value() == "from file"
    (tmp_path / "trimtab_hmi_password").write_text("credential")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_account(with_file).get_secret_value() == "credential"
    monkeypatch.setenv("TRIMTAB_HMI_PASSWORD", "environment")
    assert read_account(with_file).get_secret_value() == "environment"
    secret.chmod(0o644)
    monkeypatch.delenv("TRIMTAB_HMI_PASSWORD")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match="chmod 600"):
        read_account(with_file)


def test_the_password_file_of_a_units_own_account_comes_first(tmp_path, unit, monkeypatch):
    """Else every unit is sent the password of another's user."""
    (tmp_path / "password").write_text("of this unit")
    (tmp_path / "password").chmod(0o600)
    config = f"config = '{unit.config}'"
    text = f"""
[account]
password_file = 'password'
[[units]]
{config}
name = "own"
account = {{user = "viewer", password_file = 'password'}}
[[units]]
{config}
name = "own-user"
account = {{user = "viewer"}}
[[units]]
{config}
name = "common"
"""
    monkeypatch.setenv("TRIMTAB_HMI_PASSWORD", "common")
    units = prepare(load_hmi(hmi_toml(tmp_path, text)))
    assert {name: made.password for name, made in units.items()} == {
        "own": "of this unit",
        "own-user": "common",
        "common": "common",
    }


def test_own_certificates_take_the_place_of_the_controllers(tmp_path, unit):
    from controller.hmi.fleet import _certificates

    text = "[security]\npki = 'mine'\n[[units]]\nconfig = 'a'"
    whole = load_hmi(hmi_toml(tmp_path, text))
    settings = unit.settings.model_copy(
        update={"security": unit.settings.security.model_copy(update={"key": Path("/theirs.pem")})}
    )
    mine = _certificates(settings, whole)
    assert mine.key_file == tmp_path / "mine" / "own" / "private_key.pem"
    assert mine.trusted_folder == tmp_path / "mine" / "trusted"
    kept = _certificates(settings, for_units([Path("a")], None))
    assert kept.key_file == Path("/theirs.pem")
