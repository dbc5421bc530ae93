"""Child processes of tests: started, read, ended by the test that started them."""

import asyncio
import os
import random
import re
import signal
import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import until, until_told, wait_for

START_S = 90.0
END_S = 20.0
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Numerical libraries that take a core each would keep those beside them waiting."""


def free_port() -> int:
    """A port that nobody listens at, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_pair() -> int:
    """The first of two ports in a row, below those that the system gives to clients."""
    for port in random.sample(range(20_000, 32_000, 2), 100):
        with suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 1))
            return port
    return pytest.fail("no two free ports in a row")


class _Child(ABC):
    """A process that its test ends."""

    popen: subprocess.Popen[Any]

    @abstractmethod
    def text(self) -> str:
        """All that it has said."""

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def require_running(self) -> None:
        """Fail where it has ended by itself, with what it said."""
        if not self.running:
            pytest.fail(f"ended with {self.popen.returncode}:\n{self.text()}")

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = END_S) -> int:
        """Ask it to end; its exit code.  One that does not is killed, and the test fails."""
        if self.running:
            self.popen.send_signal(number)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return pytest.fail(f"did not end within {seconds} s of {number.name}:\n{self.text()}")

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()


class Process(_Child):
    """A child with its output in a file."""

    def __init__(self, argv: Sequence[str], log: Path, cwd: Path, **environment: str) -> None:
        self.log = log
        with log.open("wb") as out:
            self.popen = subprocess.Popen(
                argv,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **ONE_THREAD, "COLUMNS": "200", **environment},
            )

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def end(self, number: signal.Signals = signal.SIGINT, seconds: float = END_S) -> int:
        """`stop`, while other tasks go on."""
        return await asyncio.to_thread(self.stop, number, seconds)

    def _said(self, pattern: str) -> re.Match[str] | None:
        self.require_running()
        return re.search(pattern, self.text(), flags=re.MULTILINE)

    async def wait_for(self, pattern: str, seconds: float = START_S) -> re.Match[str]:
        """Wait until it has said what matches."""
        return await until(lambda: self._said(pattern), seconds, f"{pattern} in {self.log}")

    def says(self, pattern: str, seconds: float = START_S) -> re.Match[str]:
        """`wait_for` in a test without an event loop."""
        return wait_for(lambda: self._said(pattern), seconds, f"{pattern} in {self.log}")


class PipedProcess(_Child):
    """A child whose output is kept in memory, so that no limit on files touches it."""

    def __init__(self, argv: Sequence[str], cwd: Path, **environment: str) -> None:
        self.lines: list[str] = []
        self.popen = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **ONE_THREAD, **environment},
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        self.lines.extend(self.popen.stdout)

    def text(self) -> str:
        return "".join(self.lines[-30:])

    async def ready(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until the condition holds, and fail at once where the process ends instead."""

        def up() -> Any:
            self.require_running()
            return condition()

        await until_told(up, START_S, what)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, stopped or not, and what reads it."""
        if self.running:
            self.popen.send_signal(signal.SIGCONT)
        try:
            self.stop(number)
        finally:
            self._reader.join(5)
            if self.popen.stdout is not None:
                self.popen.stdout.close()
