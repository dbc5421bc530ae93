"""The process: start, refusals, trend, clean end; and the other commands."""

import asyncio
import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from asyncua import ua

from plant_sim.trend import COLUMNS

COMMAND = [sys.executable, "-m", "plant_sim.cli"]


class Silent:
    def datachange_notification(self, node, value, data):
        pass


def run(*arguments, cwd=None):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
    )


def assert_refused(result, code, *said):
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    for part in said:
        assert part in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_with_clients_on(start_plant, number):
    plant = start_plant("--speed", "3000")
    assert plant.ready["pid"] == plant.process.pid
    async with contextlib.AsyncExitStack() as stack:
        peer = await stack.enter_async_context(plant.peer("observer"))
        subscription = await peer.client.create_subscription(50, Silent())
        await subscription.subscribe_data_change(peer.client.get_node(peer.ids["Sim/PlantTime"]))
        plant.process.send_signal(number)
        assert await asyncio.to_thread(plant.process.wait, 10) == 0
        with contextlib.suppress(Exception):  # the server is gone: leaving cannot be polite
            await stack.aclose()
    assert not (plant.directory / "ready.json").exists()
    log = plant.log.read_text()
    assert "Traceback" not in log
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events[-1] == "stopped"
    assert events.index("kernels") < events.index("ready")
    for password in plant.passwords.values():
        assert password not in log


async def test_trend_agrees_with_the_truth_and_counts_episodes(start_plant):
    plant = start_plant("--speed", "3000", "--scenario", "grade_down", "--seed", "2")
    async with plant.peer("engineer") as engineer:
        await engineer.put("Sim/Paused", True)  # noqa: FBT003
        await engineer.do("Sim/Reset", "startup", 4)
        await engineer.do("Sim/Step", 600.0)
        truth = await engineer.read("Sim/Truth/PolymerConc", "Sim/Truth/PeakTemperature")
    assert plant.stop() == 0
    with plant.trend.open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {row["scenario"] for row in rows if row["episode"] == "0"} == {"grade_down"}
    last = [row for row in rows if row["episode"] == "1"]
    assert [float(row["plant_time_s"]) for row in last] == [60.0 * n for n in range(11)]
    assert float(last[-1]["P"]) == truth[0]
    assert max(float(row["peak_T"]) for row in last) == truth[1]
    for row in rows:
        assert float(row["peak_T"]) >= float(row["T"])


def test_trend_is_on_disk_within_seconds(start_plant):
    plant = start_plant("--speed", "3000")
    end_s = time.monotonic() + 4.0
    while len(plant.trend.read_text().splitlines()) < 10:
        assert time.monotonic() < end_s
        time.sleep(0.1)


def test_a_port_in_use_is_exit_4(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run(
            "serve", "--insecure", "--port", port, "--credentials", tmp_path / "users.toml"
        )
    assert_refused(result, 4, f"127.0.0.1:{port}", "--port")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), ("server.host = '0.0.0.0'", "127.0.0.0/8", "--insecure")),  # noqa: S104
        (("--speed", "0"), ("simulation.speed = 0.0", "0.1")),
        (("--trend", "no/where.csv"), ("files.trend = 'no/where.csv'",)),
        (("--history", "no/where.db"), ("history.file = 'no/where.db'",)),
        (("--history", "users.toml"), ("history.file = 'users.toml'", "files.credentials")),
        (("--speeed", "1"), ("No such option",)),
    ],
)
def test_a_wrong_setting_is_exit_2(tmp_path, arguments, said):
    given = ("--port", "0", "--credentials", "users.toml", *arguments)
    result = run("serve", "--insecure", *given, cwd=tmp_path)
    assert_refused(result, 2, *said)


async def test_encrypted_it_listens_on_every_interface(start_plant, make_identity):
    plant = start_plant("--secure", "--host", "0.0.0.0")  # noqa: S104
    host, port = plant.endpoint.removeprefix("opc.tcp://").split(":")
    assert host == socket.gethostname()
    trusted = make_identity()
    plant.trust(trusted)
    plant.endpoint = f"opc.tcp://127.0.0.1:{port}"
    async with plant.peer("observer", trusted) as observer:
        assert await observer.read("APC/HeartbeatOut") >= 0
    stranger = make_identity("urn:test:stranger")
    with pytest.raises(ua.uaerrors.BadSecurityChecksFailed):
        await stranger.client(plant).connect()
    assert plant.stop() == 0


def test_files_are_not_destroyed_by_a_wrong_option(tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("keep me")
    users = ("--port", "0", "--credentials", tmp_path / "users.toml")
    assert_refused(run("serve", "--insecure", *users, "--trend", notes), 2, "files.trend")
    assert_refused(run("serve", "--insecure", *users, "--ready-file", notes), 2, "files.ready")
    assert notes.read_text() == "keep me"
    passwords = (tmp_path / "users.toml").read_text()
    assert_refused(run("serve", "--insecure", *users, "--trend", users[-1]), 2, "the same file")
    assert (tmp_path / "users.toml").read_text() == passwords


def test_a_malformed_environment_is_exit_2(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_PLANT_SERVER", "abc")
    result = run("serve", "--insecure", "--port", "0", "--credentials", tmp_path / "users.toml")
    assert_refused(result, 2, "server", "TRIMTAB_PLANT_SERVER__PORT=4841")


async def test_malformed_frames_are_short_lines_in_the_log(start_plant):
    plant = start_plant()
    host, port = plant.endpoint.removeprefix("opc.tcp://").split(":")
    before = len(plant.log.read_text())
    for kind in (b"HELF", b"OPNF", b"MSGF", b"XXXF", b"CLOF", b"ERRF", b"HEL\xff"):
        for body in (b"", b"\xff" * 8, b"\x00" * 100, os.urandom(5000)):
            for size in (8 + len(body), 0, 2**32 - 1):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(kind + size.to_bytes(4, "little") + body)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
    async with plant.peer("observer") as observer:
        assert await observer.read("APC/HeartbeatOut") >= 0
    log = plant.log.read_text()[before:]
    assert "Traceback" not in log
    assert log.count("\n") > 10
    assert max(map(len, log.splitlines())) < 700


def test_credentials_are_asked_for(tmp_path):
    assert_refused(
        run("serve", "--insecure", "--port", "0", cwd=tmp_path),
        2,
        "files.credentials",
        "--credentials",
    )


def test_readable_credentials_are_refused(tmp_path):
    path = tmp_path / "users.toml"
    path.write_text('[users.a]\nrole = "apc"\npassword = "12345678"\n')
    path.chmod(0o644)
    result = run("serve", "--insecure", "--port", "0", "--credentials", path)
    assert_refused(result, 2, f"chmod 600 {path}")
    assert "12345678" not in result.stderr


@pytest.fixture
def told_systemd(tmp_path):
    """A plant under a service manager, and what the manager hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(30)
        process = subprocess.Popen(
            [*COMMAND, "serve", "--insecure", "--port", "0", "--credentials", tmp_path / "users"],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process, heard
        finally:
            process.kill()
            process.wait()


def test_systemd_hears_ready_watchdog_status_and_stopping(told_systemd):
    process, heard = told_systemd
    assert [heard.recv(100), heard.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
    status = heard.recv(500).decode()
    assert re.fullmatch(r"STATUS=serving opc\.tcp://\S+, speed 1; sessions: 0", status)
    process.terminate()
    messages = [heard.recv(100)]
    while messages[-1] == b"WATCHDOG=1":
        messages.append(heard.recv(100))
    assert messages[-1] == b"STOPPING=1"
    assert process.wait(10) == 0


def test_a_plant_that_hangs_starves_the_watchdog(told_systemd):
    process, heard = told_systemd
    assert [heard.recv(500), heard.recv(500)] == [b"READY=1", b"WATCHDOG=1"]
    assert heard.recv(500).startswith(b"STATUS=")
    process.send_signal(signal.SIGSTOP)
    heard.settimeout(2.5)
    with contextlib.suppress(TimeoutError):
        heard.recv(500)  # one that was on its way
    with pytest.raises(TimeoutError):
        heard.recv(500)
    process.send_signal(signal.SIGCONT)
    heard.settimeout(30)
    assert heard.recv(500) == b"WATCHDOG=1"


def test_baseline_is_reproducible_and_quick(tmp_path):
    files = [tmp_path / f"{n}.csv" for n in range(3)]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        result = run("baseline", "--scenario", "grade_up", "--seed", seed, "--noise", "--out", file)
        assert result.returncode == 0, result.stderr
    first, again, other = (file.read_bytes() for file in files)
    assert first == again != other
    with files[0].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 * 60 + 1
    assert abs(float(rows[-1]["P"]) - 140.0) < 3.0
    assert sorted(tmp_path.iterdir()) == files


def test_baseline_refuses_what_it_cannot_do(tmp_path):
    assert_refused(run("baseline", "--out", tmp_path / "no" / "b.csv"), 2, "not written")
    wrong = run("baseline", "--scenario", "shutdown", "--out", tmp_path / "b.csv")
    assert_refused(wrong, 2, "simulation.scenario = 'shutdown'")


def test_scenarios_and_tags_are_printed():
    table = json.loads(run("scenarios", "--json").stdout)
    assert table["grade_up"] == {"PolymerConc": 140.0, "Temperature": 355.0}
    assert "grade_down" in run("scenarios").stdout
    assert "| `R101/PV/PolymerConc` | 1102 |" in run("tags").stdout
