"""Several reactors in one process: each is a plant of its own."""

import csv
import json
import socket
import subprocess
import sys

import pytest

from plant_sim.trend import COLUMNS

COMMAND = [sys.executable, "-m", "plant_sim.cli"]


async def test_two_reactors_are_two_plants(start_plant):
    plant = start_plant("--units", "2", "--seed", "7", "--speed", "3000")
    first, second = plant.ready["endpoints"]
    assert plant.endpoint == first != second
    async with (
        plant.peer("engineer", endpoint=first) as one,
        plant.peer("engineer", endpoint=second) as two,
        plant.peer("operator", endpoint=first) as operator,
        plant.peer("apc", endpoint=first) as apc_one,
        plant.peer("apc", endpoint=second) as apc_two,
    ):
        assert [await peer.read("Sim/Seed") for peer in (one, two)] == [7, 8]
        for peer in (one, two):
            await peer.until("Sim/PlantTime", lambda time_s: time_s > 60.0)
        truths = [await peer.read("Sim/Truth/MonomerConc") for peer in (one, two)]
        assert truths[0] != truths[1]

        await operator.put("R101/SP/PolymerConc", 120.0)
        assert await two.read("R101/SP/PolymerConc") == 100.0
        assert await apc_one.do("APC/TakeLease", "one", 10.0) == [True]
        assert await two.read("APC/LeaseOwner") == ""
        assert await apc_two.do("APC/TakeLease", "two", 10.0) == [True]
        assert await one.read("APC/LeaseOwner") == "one"

        await one.put("Sim/Paused", True)  # noqa: FBT003
        rest_s = await one.read("Sim/PlantTime")
        now_s = await two.read("Sim/PlantTime")
        await two.until("Sim/PlantTime", lambda time_s: time_s > now_s + 300.0)
        assert await one.read("Sim/PlantTime") == rest_s
        await two.do("Sim/Reset", "grade_up", 3)
        assert await one.read("Sim/Scenario") == "startup"
        assert await two.read("Sim/Scenario") == "grade_up"
    assert plant.stop() == 0
    assert not plant.trend.exists()
    for number, seed_scenarios in ((1, {"startup"}), (2, {"startup", "grade_up"})):
        with plant.trend.with_name(f"trend-{number}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert tuple(rows[0]) == COLUMNS
        assert {row["scenario"] for row in rows} == seed_scenarios
    lines = [json.loads(line) for line in plant.log.read_text().splitlines()]
    assert [line["unit"] for line in lines if line["event"] == "reset"] == [2]


def free_then_taken():
    """A port that is free and a socket that listens on the next one."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        taken = socket.socket()
        try:
            taken.bind(("127.0.0.1", port + 1))
            taken.listen()
        except OSError:
            taken.close()
        else:
            return port, taken
    pytest.fail("no two free ports side by side")


def test_units_are_at_consecutive_ports_or_not_served_at_all(tmp_path):
    port, taken = free_then_taken()
    options = (
        "--insecure",
        "--units",
        "2",
        "--port",
        str(port),
        "--ready-file",
        tmp_path / "ready.json",
    )
    with taken:
        result = subprocess.run(
            [*COMMAND, "serve", "--credentials", tmp_path / "users.toml", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert result.returncode == 4, result.stderr
    assert f"127.0.0.1:{port + 1}" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "ready.json").exists()
