"""`trimtab hmi`: exit codes and messages before anything is served."""

import socket

import pytest
from typer.testing import CliRunner

from controller.cli import main


@pytest.fixture
def config(unit):
    """The controller.toml of the plain unit."""
    return unit.config


def trimtab(*argv: object):
    return CliRunner().invoke(main, ["hmi", *map(str, argv)])


def test_a_network_without_tls_is_refused(config):
    done = trimtab("--config", config, "--host", "0.0.0.0")  # noqa: S104 - refused
    assert done.exit_code == 2
    assert "web.host" in done.stderr
    assert "--tls-cert" in done.stderr


def test_certificates_are_read_first(config, tmp_path):
    (tmp_path / "x.pem").write_text("no certificate")
    pem = tmp_path / "x.pem"
    done = trimtab("--config", config, "--tls-cert", pem, "--tls-key", pem)
    assert done.exit_code == 2
    assert "web.tls_certificate" in done.stderr


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--config", "nowhere.toml"], 2, "nowhere.toml"),
        (["--hmi", "nowhere.toml"], 2, "nowhere.toml"),
        (["--hmi", "a.toml", "--config", "b.toml"], 2, "--hmi"),
        (["--hmi", "a.toml", "--user", "x"], 2, "--user"),
        (["--config", "a", "--config", "b", "--url", "opc.tcp://h:1"], 2, "--url"),
        (["--port", "70000"], 2, "--port"),
        (["--tls-cert", "x"], 2, "both or neither"),
    ],
)
def test_bad_input_has_a_code_and_a_message(argv, code, words):
    done = trimtab(*argv)
    assert done.exit_code == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_is_needed(config, monkeypatch):
    monkeypatch.delenv("TRIMTAB_HMI_PASSWORD")
    done = trimtab("--config", config)
    assert done.exit_code == 2
    assert "TRIMTAB_HMI_PASSWORD" in done.stderr


def test_a_bundle_that_is_none(config, tmp_path):
    config.write_text(config.read_text() + f"[bundle]\npath = '{tmp_path / 'none'}'\n")
    done = trimtab("--config", config)
    assert done.exit_code == 3
    assert "manifest.json" in done.stderr


def test_a_port_that_is_taken(config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = trimtab("--config", config, "--port", taken.getsockname()[1])
    assert done.exit_code == 2
    assert "web.port" in done.stderr


def test_two_units_of_one_name(config, tmp_path):
    fleet = tmp_path / "hmi.toml"
    fleet.write_text(f"[[units]]\nname = 'a'\nconfig = '{config}'\n" * 2)
    done = trimtab("--hmi", fleet)
    assert done.exit_code == 2
    assert "a name of its own" in done.stderr
