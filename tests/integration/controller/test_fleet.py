"""Two reactors in one plant and two controllers on them, by the command that measures a fleet."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "benchmarks.fleet", "--units", "2"]
START_LIMIT_S = 90.0


def start(out, *options):
    return subprocess.Popen(
        [*COMMAND, "--out", str(out), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_controllers_run_on_two_reactors_in_auto(tmp_path):
    out = tmp_path / "fleet.json"
    process = start(out, "--minutes", "0.1")
    said, _ = process.communicate(timeout=START_LIMIT_S)
    assert process.returncode == 0, said
    rows = {row["name"]: row for row in json.loads(out.read_text())["rows"]}
    assert {row["size"] for row in rows.values()} == {"2 units"}
    assert 8 <= rows["scans"]["ours"] <= 16  # 6 s at a scan a second each
    assert rows["CPU of all controllers"]["ours"] > 0.0
    assert rows["CPU of the plant"]["ours"] > 0.0
    scan = rows["scan, start to commit"]
    assert 0.0 < scan["p50"] <= scan["p99"] <= scan["p999"]


def test_ctrl_c_stops_every_process(tmp_path):
    out = tmp_path / "fleet.json"
    process = start(out, "--minutes", "5")
    try:
        for line in process.stdout:
            if line.startswith("measuring"):
                break
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 3
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=START_LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    assert not out.exists()
