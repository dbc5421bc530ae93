"""`trimtab monitor`: everything up, addresses that answer, everything down on Ctrl-C."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from controller.journal.reader import Reader

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
START_S, AUTO_S, STOP_S = 120.0, 60.0, 30.0


class Monitor:
    """The command, its output line by line."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.log = folder / "said.txt"
        with self.log.open("wb") as out:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "controller.cli", "monitor", "--out", "runs", *options],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=ENVIRONMENT,
            )

    def wait_for(self, pattern: str, seconds: float) -> re.Match:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            text = self.log.read_text()
            if found := re.search(pattern, text, flags=re.MULTILINE):
                return found
            assert self.popen.poll() is None, text
            time.sleep(0.1)
        return pytest.fail(f"{pattern} not in {self.log.read_text()}")

    def children(self) -> list[int]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.popen.pid:
                    found.append(int(stat.parent.name))
        return found


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http
        return answer.read().decode()


@pytest.fixture
def monitor(tmp_path):
    made = []

    def start(*options: str) -> Monitor:
        made.append(Monitor(tmp_path, *options))
        return made[-1]

    yield start
    for each in made:
        if each.popen.poll() is None:
            each.popen.kill()
            each.popen.wait()


@pytest.mark.timeout(300)
def test_everything_answers_at_its_address_and_ends_in_order(monitor, tmp_path):
    running = monitor("--auto", "--speed", "3000")
    metrics = running.wait_for(r"^ +controller +(http\S+)", START_S)[1]
    running.wait_for(r"^Ctrl-C ends", START_S)
    running.wait_for(r"in command; setpoints 100 kg/m3, 350 K", AUTO_S)
    assert 'trimtab_mode{trimtab_mode="AUTO"}' in fetched(metrics)
    watched = shutil.which("prometheus") is not None
    if watched:
        prometheus = running.wait_for(r"^ +Prometheus +(http\S+)", 1.0)[1]
        rules = json.loads(fetched(f"{prometheus}/api/v1/rules"))["data"]["groups"]
        assert {group["name"] for group in rules} == {"trimtab", "trimtab-figures"}
        query = urllib.parse.quote('up{job="trimtab",plant_unit="R101"} == 1')
        end = time.monotonic() + 20.0
        while not json.loads(fetched(f"{prometheus}/api/v1/query?query={query}"))["data"]["result"]:
            assert time.monotonic() < end, "Prometheus does not scrape the controller"
            time.sleep(0.2)
    else:
        running.wait_for(r"not installed: apt-get install", 1.0)
    children = running.children()
    assert len(children) >= 2 + watched

    running.popen.send_signal(signal.SIGINT)
    assert running.popen.wait(STOP_S) == 0, running.log.read_text()
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    (folder,) = (tmp_path / "runs").iterdir()
    with Reader.open(folder / "journal.db") as reader:
        stops = [event["detail"] for event in reader.events() if event["kind"] == "stop"]
        assert reader.verify() is None
    assert [(stop["reason"], stop["mode"]) for stop in stops] == [("controller stopped", "AUTO")]
    assert str(folder) in running.log.read_text()


@pytest.mark.timeout(300)
def test_nothing_is_in_auto_by_itself_and_a_child_that_dies_ends_it(monitor, tmp_path):
    """And `trimtab check` finds no fault, such as heartbeats as far apart as the plant waits."""
    running = monitor("--speed", "300")
    metrics = running.wait_for(r"^ +controller +(http\S+)", START_S)[1]
    running.wait_for(r"^nothing is in AUTO until an operator selects it", START_S)
    (settings,) = (tmp_path / "runs").glob("*/controller.toml")
    check = [sys.executable, "-m", "controller.cli", "check", "--config", str(settings)]
    checked = subprocess.run(check, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert 'trimtab_mode{trimtab_mode="AUTO"} 0.0' in fetched(metrics)
    (plant,) = [
        pid
        for pid in running.children()
        if "serve" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    ]
    os.kill(plant, signal.SIGKILL)
    assert running.popen.wait(STOP_S) == 1
    assert "trimtab-plant was ended by signal 9" in running.log.read_text()


def test_a_bundle_that_is_none_is_refused(monitor, tmp_path):
    running = monitor("--bundle", str(tmp_path))
    assert running.popen.wait(60.0) == 3
    assert "trimtab monitor:" in running.log.read_text()
