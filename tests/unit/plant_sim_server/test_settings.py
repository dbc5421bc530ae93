from pathlib import Path

import pytest

from plant_sim.errors import ConfigurationError
from plant_sim.opcua.server import loopback
from plant_sim.settings import PlantSettings, load_settings

SHIPPED = Path(__file__).parents[3] / "config" / "plant.toml"


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plant.toml"
    path.write_text(text)
    return path


def test_the_shipped_file_says_the_defaults():
    assert load_settings(SHIPPED, {}).model_dump() == PlantSettings().model_dump()


def test_command_line_over_environment_over_file(tmp_path, monkeypatch):
    path = toml(tmp_path, "[server]\nport = 1001\ntick_s = 0.02\n[simulation]\nspeed = 10.0\n")
    assert load_settings(path, {}).server.port == 1001
    monkeypatch.setenv("TRIMTAB_PLANT_SERVER__PORT", "1002")
    assert load_settings(path, {}).server.port == 1002
    settings = load_settings(path, {"server": {"port": 1003, "host": None}, "simulation": {}})
    assert settings.server.port == 1003
    assert settings.server.host == "127.0.0.1"
    assert settings.server.tick_s == 0.02
    assert settings.simulation.speed == 10.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[simulation]\nspeed = 20000.0\n", ["simulation.speed = 20000.0", "10000"]),
        ("[simulation]\nspeed = nan\n", ["simulation.speed = nan"]),
        ('[simulation]\nscenario = "shutdown"\n', ["simulation.scenario = 'shutdown'", "startup"]),
        ("[simulation]\nspede = 1.0\n", ["simulation.spede", "unknown key"]),
        ("[server]\nport = 70000\n", ["server.port = 70000", "65535"]),
        ("[server]\ntick_s = 1.0\n", ["server.tick_s = 1.0", "0.05"]),
        ("[units]\ncount = 0\n", ["units.count = 0", "1"]),
        ("[units]\ncount = 101\n", ["units.count = 101", "100"]),
        ("[handshake]\nheartbeat_timeout_s = 0.0\n", ["handshake.heartbeat_timeout_s = 0.0"]),
        ('[handshake]\nshed_option = "HOLD"\n', ["handshake.shed_option = 'HOLD'", "SAFE"]),
        ("[sever]\n", ["sever", "unknown key"]),
        ("[server\n", ["not valid TOML"]),
    ],
)
def test_a_wrong_file_names_file_key_value_and_what_is_allowed(tmp_path, text, said):
    path = toml(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, {})
    for part in (str(path), *said):
        assert part in str(caught.value)


@pytest.mark.parametrize("value", ["abc", "[", ""])
def test_a_section_in_the_environment_that_is_no_section_is_said(monkeypatch, value):
    monkeypatch.setenv("TRIMTAB_PLANT_SERVER", value)
    with pytest.raises(ConfigurationError, match="server"):
        load_settings(None, {})


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigurationError, match="no such file"):
        load_settings(tmp_path / "none.toml", {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_hosts_are_served_in_clear(host):
    assert loopback(host) == ("127.0.0.1" if host == "localhost" else host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "plant.example", ""])  # noqa: S104
def test_other_hosts_are_refused_in_clear_with_a_way_out(host):
    with pytest.raises(ConfigurationError, match="leave --insecure out"):
        loopback(host)
