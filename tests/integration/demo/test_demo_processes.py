"""The demo when something breaks: real plant, real controller, real signals."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

TRIMTAB = Path(sys.executable).with_name("trimtab")


@contextlib.contextmanager
def running_demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo whose controller has just become active; ended, with its children, at the end."""
    with subprocess.Popen(
        [TRIMTAB, "demo", "--headless", "--out", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            said = []
            for line in demo.stdout:
                said.append(line)
                if "the controller is active" in line:
                    break
            else:
                pytest.fail("".join(said))
            yield demo
        finally:
            demo.kill()


def children(pid: int) -> dict[str, int]:
    """Command -> process id of the children of `pid`."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                words = (stat.parent / "cmdline").read_text().split("\0")
                name = next(word for word in words if Path(word).name.startswith("trimtab"))
                found[Path(name).name] = int(stat.parent.name)
    return found


def gone(pid: int, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.02)
    return False


def test_a_controller_that_dies_ends_the_demo_with_the_reason_and_a_report(tmp_path: Path):
    with running_demo(tmp_path) as demo:
        family = children(demo.pid)
        os.kill(family["trimtab"], signal.SIGKILL)
        rest = demo.stdout.read()
        assert demo.wait(30) == 1
    assert "trimtab run was ended by signal 9" in rest
    assert "Traceback" not in rest
    (run,) = tmp_path.iterdir()
    assert list(json.loads((run / "summary.json").read_text())) == ["startup"]
    assert "startup: was cut short" in rest
    assert "off spec" not in rest
    assert gone(family["trimtab-plant"], 5.0)


def test_a_demo_that_is_killed_leaves_no_process_behind(tmp_path: Path):
    with running_demo(tmp_path) as demo:
        family = children(demo.pid)
        assert set(family) == {"trimtab", "trimtab-plant"}
        demo.kill()
        assert all(gone(pid, 5.0) for pid in family.values())


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path):
    with running_demo(tmp_path) as demo:
        family = children(demo.pid)
        demo.send_signal(signal.SIGINT)
        time.sleep(0.05)
        demo.send_signal(signal.SIGINT)
        rest = demo.stdout.read()
        assert demo.wait(30) == 130, rest
        assert all(gone(pid, 5.0) for pid in family.values())
    assert "Traceback" not in rest
