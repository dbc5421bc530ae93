"""Children that start, stop, fail and never outlive the demo; real processes throughout."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from controller.demo.processes import (
    DemoError,
    command,
    ended,
    finished,
    start,
    stop,
    wait_for_file,
)

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def alive(pid: int) -> bool:
    """True for a process that runs; one that ended and was not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def said(child, word: str) -> None:
    for _ in range(200):
        if word in child.log.read_text():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(child.log.read_text())


async def test_a_child_runs_in_a_session_of_its_own_without_our_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TRIMTAB_SCAN__PERIOD_S", "7")
    code = """
    import os
    own = os.getsid(0) == os.getpid()
    print(own, "TRIMTAB_SCAN__PERIOD_S" in os.environ, os.environ["PYTHONSAFEPATH"])
    """
    child = start("child", python(code), log=tmp_path / "log")
    assert await finished(child, 10) == 0
    assert child.last_words() == "True False 1"


async def test_a_nice_child_stands_behind(tmp_path: Path):
    child = start("child", python("import os; print(os.nice(0))"), log=tmp_path / "log", nice=7)
    assert await finished(child, 10) == 0
    assert int(child.last_words()) == os.nice(0) + 7


async def test_stop_asks_first_and_kills_what_does_not_listen(tmp_path: Path):
    child = start("child", python(STUBBORN), log=tmp_path / "log")
    await said(child, "ready")
    assert await stop(child, signal.SIGINT, 0.3) == -signal.SIGKILL
    assert not alive(child.process.pid)


async def test_stop_lets_a_child_end_in_order(tmp_path: Path):
    code = """
    import signal, time
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        print("ready", flush=True); time.sleep(60)
    except KeyboardInterrupt:
        print("shed")
    """
    child = start("child", python(code), log=tmp_path / "log")
    await said(child, "ready")
    assert await stop(child, signal.SIGINT, 5.0) == 0
    assert child.last_words() == "ready\nshed"


async def test_a_child_that_ends_before_it_is_ready_is_an_error_with_its_words_and_code(
    tmp_path: Path,
):
    code = "import sys; print('port 4840 is taken', file=sys.stderr); sys.exit(4)"
    child = start("trimtab-plant", python(code), log=tmp_path / "log")
    with pytest.raises(DemoError, match="trimtab-plant ended with exit code 4") as caught:
        await wait_for_file(tmp_path / "ready", child, 10)
    assert "port 4840 is taken" in str(caught.value)
    assert caught.value.exit_code == 4


async def test_a_signal_is_named_in_the_error(tmp_path: Path):
    child = start("trimtab run", python("import os; os.abort()"), log=tmp_path / "log")
    assert await finished(child, 10) == -signal.SIGABRT
    assert "was ended by signal 6" in str(ended(child))
    assert ended(child).exit_code == 1


async def test_waiting_has_an_end(tmp_path: Path):
    child = start("child", python("import time; time.sleep(60)"), log=tmp_path / "log")
    with pytest.raises(DemoError, match="was not ready within 0 s"):
        await wait_for_file(tmp_path / "ready", child, 0.2)
    with pytest.raises(DemoError, match="did not end within 0 s"):
        await finished(child, 0.2)
    await stop(child, signal.SIGTERM)


def test_children_die_with_a_demo_that_is_killed_hard(tmp_path: Path):
    code = f"""
    import sys, time
    from pathlib import Path
    from controller.demo.processes import start
    child = start("child", [sys.executable, "-c", "import time; time.sleep(60)"],
                  log=Path({str(tmp_path / "log")!r}))
    print(child.process.pid, flush=True)
    time.sleep(60)
    """
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as demo:
        pid = int(demo.stdout.readline())
        time.sleep(0.3)
        assert alive(pid)
        demo.kill()
    for _ in range(100):
        if not alive(pid):
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the child outlived the demo")


def test_a_child_whose_parent_is_gone_already_does_not_start(tmp_path: Path):
    from controller.demo.processes import TETHER

    mark = tmp_path / "mark"
    foreign = "1" if os.getpid() != 1 else "2"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(TETHER), foreign, "/bin/touch", str(mark)], check=False
    )
    assert done.returncode == 1
    assert not mark.exists()


def test_commands_are_found_beside_this_python():
    (found,) = command("trimtab-plant")
    assert Path(found) == Path(sys.executable).with_name("trimtab-plant")


def test_without_scripts_the_module_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert command("trimtab") == [str(tmp_path / "python"), "-m", "controller.cli"]
