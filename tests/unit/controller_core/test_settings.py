"""controller.toml: defaults, precedence, secrets, and errors that a person can act on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.configuration.settings import default_config_dir, load_settings, read_password
from controller.errors import ConfigError

MINIMAL = "[scan]\nperiod_s = 300.0\n"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("TRIMTAB_") or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)


def written(tmp_path, text):
    path = tmp_path / "controller.toml"
    path.write_text(text)
    return path


def test_the_shipped_file_loads_and_finds_its_tags():
    settings = load_settings(default_config_dir() / "controller.toml")
    assert settings.scan.period_s == 300.0
    assert settings.scan.deadline_s == 150.0
    assert settings.tags.path.is_file()
    assert (settings.metrics.host, settings.metrics.port) == ("127.0.0.1", 9464)


def test_a_minimal_file_has_defaults(tmp_path):
    settings = load_settings(written(tmp_path, MINIMAL))
    assert settings.tags.path == tmp_path / "tags.toml"
    assert settings.bundle.path is None
    assert settings.journal.path == Path("runs/journal.db")
    assert not settings.mode.read_only
    assert settings.password is None


@pytest.mark.parametrize(
    ("text", "tick", "heartbeat"),
    [
        ("period_s = 300.0", 1.0, 3.0),
        ("period_s = 0.1", 0.1, 1.0),
        ("period_s = 0.5\ntick_s = 0.4", 0.4, pytest.approx(1.2)),
        ("period_s = 300.0\nheartbeat_timeout_s = 7.0", 1.0, 7.0),
    ],
)
def test_the_tick_is_never_longer_than_a_scan(tmp_path, text, tick, heartbeat):
    scan = load_settings(written(tmp_path, "[scan]\n" + text)).scan
    assert (scan.supervision_s, scan.heartbeat_limit_s) == (tick, heartbeat)


def test_precedence_command_line_environment_secret_file(tmp_path, monkeypatch):
    path = written(
        tmp_path, MINIMAL + '[server]\nuser = "file"\nowner = "file"\nurl = "opc.tcp://file:1"\n'
    )
    (tmp_path / "trimtab_password").write_text("from-secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("TRIMTAB_SERVER__USER", "environment")
    monkeypatch.setenv("TRIMTAB_SERVER__OWNER", "environment")
    settings = load_settings(path, {"server": {"owner": "line"}})
    assert settings.server.url == "opc.tcp://file:1"
    assert settings.server.user == "environment"
    assert settings.server.owner == "line"
    assert read_password(settings).get_secret_value() == "from-secret"
    monkeypatch.setenv("TRIMTAB_PASSWORD", "from-environment")
    assert read_password(load_settings(path)).get_secret_value() == "from-environment"


def test_a_password_is_never_printed(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_PASSWORD", "hush-hush")
    settings = load_settings(written(tmp_path, MINIMAL))
    assert "hush-hush" not in repr(settings)


def test_a_password_file(tmp_path):
    secret = tmp_path / "apc.password"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    path = written(tmp_path, MINIMAL + '[server]\npassword_file = "apc.password"\n')
    assert read_password(load_settings(path)).get_secret_value() == "open sesame"
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_password(load_settings(path))
    secret.unlink()
    with pytest.raises(ConfigError, match=r"server\.password_file"):
        read_password(load_settings(path))


def test_settings_are_frozen(tmp_path):
    settings = load_settings(written(tmp_path, MINIMAL))
    with pytest.raises(ValueError, match="frozen"):
        settings.scan.period_s = 1.0


WRONG = [
    # (text, key, what was received, a word of what is allowed, a word of what to do)
    ("", "scan", "nothing", "required", 'add the key "scan"'),
    ("[scan]\n", "scan.period_s", "nothing", "required", "add"),
    ("[scan]\nperiod_s = 0", "scan.period_s", "0", "greater than 0", "correct"),
    ("[scan]\nperiod_s = inf", "scan.period_s", "inf", "finite", "correct"),
    ('[scan]\nperiod_s = "fast"', "scan.period_s", "fast", "number", "correct"),
    ("[scan]\nperiod = 300", "scan.period_s", "nothing", "required", "add"),
    (MINIMAL + "perod_s = 1.0", "scan.perod_s", "1.0", "period_s", 'rename it to "period_s"'),
    (MINIMAL + "deadline_fraction = 1.5", "scan.deadline_fraction", "1.5", "less than", ""),
    (MINIMAL + "[metrcs]\nport = 1", "metrcs", "port", "metrics", 'rename it to "metrics"'),
    (MINIMAL + '[metrics]\nhost = "10.0.0.1"', "metrics.host", "10.0.0.1", "127.0.0.1", ""),
    (MINIMAL + "[metrics]\nport = 70000", "metrics.port", "70000", "65535", ""),
    (MINIMAL + '[server]\nurl = "http://x"', "server.url", "http://x", "opc.tcp://host:port", ""),
    (MINIMAL + '[server]\nurl = "opc.tcp://"', "server.url", "opc.tcp://", "host:port", ""),
    (MINIMAL + '[server]\nurl = "opc.tcp://x:y"', "server.url", "x:y", "host:port", ""),
    (MINIMAL + '[server]\nurl = "opc.tcp://apc:hush@x:1"', "server.url", "a user or a password",
     "password_file", "correct"),
    (MINIMAL + '[server]\nurl = "opc.tcp://hush@x:1"', "server.url", "a user", "host:port", ""),
    (MINIMAL + '[server]\nurl = "opc.tcp://a:hu[sh@x:1"', "server.url", "a user", "host", ""),
    (MINIMAL + '[server]\nurl = "opc.tcp://a:hu/sh@x:1"', "server.url", "a user", "host", ""),
    (MINIMAL + '[server]\nurl = "opc.tcp://a:1/hush@x:1"', "server.url", "a user", "host", ""),
    (MINIMAL + '[server]\nurl = "opc.tcp://a:1?hush@x:1"', "server.url", "a user", "host", ""),
    (MINIMAL + '[server]\nurls = "opc.tcp://x"', "server.urls", "opc.tcp://x", "url", '"url"'),
    (MINIMAL + '[server]\npassword = "hush"', "server.password", "a password", "no password",
     "mode 0600"),
    ('password = "hush"\n' + MINIMAL, "password", "a password", "no password", "mode 0600"),
    (MINIMAL + '[mode]\noperator_mode = "auto"', "mode.operator_mode", "auto", "'manual'", ""),
    (MINIMAL + "[mode]\nread_only = 3", "mode.read_only", "3", "boolean", ""),
    (MINIMAL + '[bundle]\nmanifest_sha256 = "abc"', "bundle.manifest_sha256", "abc", "64 hex", ""),
    (MINIMAL + '[journal]\non_failure = "panic"', "journal.on_failure", "panic", "'shed'", ""),
    (MINIMAL + '[log]\nlevel = "loud"', "log.level", "loud", "'info'", ""),
    (MINIMAL + '[policy]\nfactory = "mine"', "policy.factory", "mine", "module:function", ""),
    (MINIMAL + '[policy]\nfactory = "a/b.py:f"', "policy.factory", "a/b", "module:function", ""),
    (MINIMAL + "[policy]\ntimeout_s = 1.0", "policy", "1.0", "either factory or onnx", "correct"),
    (MINIMAL + '[policy]\nfactory = "a:b"\nonnx = "c"', "policy", "a:b", "either", "correct"),
    (MINIMAL + '[policy]\nfactory = "a:b"\npyhton = "x"', "policy.pyhton", "x", "python",
     'rename it to "python"'),
    ("[scan\nperiod_s = 1", "", "line 1", "TOML", "correct the file"),
]  # fmt: skip


def test_a_foreign_policy_is_found_beside_the_file(tmp_path):
    assert load_settings(written(tmp_path, MINIMAL)).policy is None
    text = MINIMAL + '[policy]\nfactory = "plant.policies:make"\npython = "venv/bin/python"'
    policy = load_settings(written(tmp_path, text)).policy
    assert policy.folder == tmp_path
    assert policy.python == tmp_path / "venv/bin/python"
    assert policy.onnx is None
    text = MINIMAL + '[policy]\nonnx = "nets/pi.onnx"'
    assert load_settings(written(tmp_path, text)).policy.onnx == tmp_path / "nets/pi.onnx"


def test_a_foreign_policy_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_POLICY__FACTORY", "plant.policies:make")
    settings = load_settings(written(tmp_path, MINIMAL))
    assert settings.policy.factory == "plant.policies:make"


@pytest.mark.parametrize("case", WRONG, ids=[f"{case[1]}={case[2]}" for case in WRONG])
def test_what_is_wrong_is_named(tmp_path, case):
    text, key, received, allowed, action = case
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    error = caught.value
    assert error.key == key
    assert "hush" not in str(error)
    first, second, third, fourth = str(error).splitlines()[:4]
    assert first.startswith(str(path))
    assert received in second
    assert allowed in third
    assert action in fourth


def test_a_wrong_environment_variable_is_named_as_such(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_SCAN__PERIOD_S", "-1")
    with pytest.raises(ConfigError, match="environment variable TRIMTAB_SCAN__PERIOD_S"):
        load_settings(written(tmp_path, MINIMAL))


def test_a_whole_section_in_one_variable_that_is_not_json(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_SCAN", "nonsense")
    with pytest.raises(ConfigError, match="TRIMTAB_"):
        load_settings(written(tmp_path, MINIMAL))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="give the path of an existing file"):
        load_settings(tmp_path / "none.toml")
