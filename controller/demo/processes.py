"""Starting, watching and stopping the demo's processes, each by its own process id."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

TETHER = Path(__file__).with_name("tether.py")
POLL_S = 0.05
MODULES = {"trimtab": "controller.cli", "trimtab-plant": "plant_sim.cli"}
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The matrices are small: threads would only wait for each other and disturb the scan."""


class DemoError(Exception):
    """Something the demo depends on did not work; the message says what, and where to look."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Child:
    """A process of the demo; its output goes to `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        """True while the process has not ended."""
        return self.process.poll() is None

    def last_words(self, lines: int = 6) -> str:
        """The end of its output, for an error message."""
        text = self.log.read_text(encoding="utf-8", errors="replace").rstrip()
        return "\n".join(text.splitlines()[-lines:])


def command(name: str) -> list[str]:
    """How to run a console command of this distribution: beside this Python, or as a module."""
    beside = Path(sys.executable).with_name(name)
    if beside.is_file() and os.access(beside, os.X_OK):
        return [str(beside)]
    return [sys.executable, "-m", MODULES[name]]


def start(name: str, argv: Sequence[str], *, log: Path, nice: int = 0) -> Child:
    """Start `argv`; it dies with this process.

    It gets a session of its own, so that Ctrl-C in the terminal reaches the demo alone, which then
    stops its children in order.  Call from the main thread: the kernel watches the thread that
    starts the child.  nice: added to the priority value, so that the scan comes first.
    """
    tethered = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *argv]
    if nice and (found := shutil.which("nice")):
        tethered = [*tethered[:5], found, "-n", str(nice), *argv]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            tethered,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(),
        )
    return Child(name=name, process=process, log=log)


def _environment() -> dict[str, str]:
    """This process's, without settings of trimtab: the demo configures its children alone."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TRIMTAB_")}
    return {**kept, **ONE_THREAD, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


async def wait_for_file(path: Path, child: Child, timeout_s: float) -> str:
    """The content of a file that `child` writes when it is ready; raises DemoError otherwise."""
    for _ in range(round(timeout_s / POLL_S)):
        if content := _content(path):
            return content
        if not child.running:
            raise ended(child)
        await asyncio.sleep(POLL_S)
    raise DemoError(f"{child.name} was not ready within {timeout_s:.0f} s; see {child.log}")


def _content(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


async def finished(child: Child, timeout_s: float) -> int:
    """Wait for the end of `child`; its exit status.  Raises DemoError after `timeout_s`."""
    for _ in range(round(timeout_s / POLL_S)):
        if (status := child.process.poll()) is not None:
            return status
        await asyncio.sleep(POLL_S)
    raise DemoError(f"{child.name} did not end within {timeout_s:.0f} s; see {child.log}")


async def stop(child: Child, number: signal.Signals, timeout_s: float = 5.0) -> int:
    """Send `number`, wait, and kill what has not ended after `timeout_s`; the exit status."""
    if child.running:
        child.process.send_signal(number)
        try:
            return await finished(child, timeout_s)
        except DemoError:
            child.process.kill()
    return child.process.wait()


def ended(child: Child) -> DemoError:
    """The error for a child that ended although it was needed; it keeps the child's exit code."""
    status = child.process.returncode
    how = f"ended with exit code {status}" if status >= 0 else f"was ended by signal {-status}"
    words = child.last_words()
    said = f":\n{words}" if words else ""
    return DemoError(f"{child.name} {how}{said}", exit_code=max(status, 1))
