"""One worker process of a foreign policy, and the line to it: messages, or how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from controller.policy import worker

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping

WORKER = Path(worker.__file__)

KEPT_BACK = ("TRIMTAB_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_")
"""Beginnings of environment variables that a foreign policy is not given: secrets, and the service
manager's ear."""

OWN_PYTHON = frozenset({"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"})
"""Variables that bind an interpreter to its packages: not for another one."""

NO_PROTOCOL = "the worker sent no message of the protocol"

EXIT_S = 0.5
"""Time from the end of the line to the exit of a worker that is not busy."""

LOOK_S = 0.2
"""Distance of two looks for an exit that the line does not show."""

Message: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """There is no worker, or there is none any more."""

    reason: str


class WorkerProcess:
    """A running worker; `spawn` makes one."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._killed = False
        self.pid = process.pid

    @classmethod
    async def spawn(cls, python: Path | None) -> Self | Ended:
        """Start an interpreter, this one for None, with the worker as its program."""
        try:
            process = await asyncio.create_subprocess_exec(
                python or sys.executable,
                str(WORKER),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=_environment(os.environ, foreign=python is not None),
                start_new_session=True,  # its children die with it, and Ctrl-C is not for it
            )
        except OSError as error:
            return Ended(reason=f"{python or sys.executable} cannot be started: {error.strerror}")
        return cls(process)

    def send(self, message: Mapping[str, Any]) -> None:
        """Hand over one message without waiting; it is lost when the worker has ended."""
        line = self._process.stdin
        if line is not None and not line.is_closing():
            line.write(worker.pack(message))

    async def receive(self) -> Message | Ended:
        """The next message, or why there will be none."""
        line = self._process.stdout
        assert line is not None  # noqa: S101 - spawn asks for a pipe
        try:
            (size,) = worker.HEAD.unpack(await line.readexactly(worker.HEAD.size))
            if size > worker.LONGEST_MESSAGE:
                return Ended(reason=NO_PROTOCOL)
            message = json.loads(await line.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return Ended(reason=await self._how_it_ended())
        except (ValueError, RecursionError):
            return Ended(reason=NO_PROTOCOL)
        if not isinstance(message, dict):
            return Ended(reason=NO_PROTOCOL)
        return message

    async def ended(self) -> Ended:
        """Wait for the exit, which children that hold the line can keep from being seen there.

        They keep `Process.wait` waiting too, so the exit is looked for.
        """
        while self._process.returncode is None:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        return Ended(reason=await self._how_it_ended())

    def kill(self) -> None:
        """End it and its children at once, whatever they do; the second time nothing."""
        if not self._killed:
            self._killed = True
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Let it end by itself if it can, else end it; returns when it is gone."""
        line = self._process.stdin
        if line is not None:
            line.close()
        await self._exit()
        self.kill()  # its children too, where it has gone before them
        await self._exit()

    async def _exit(self) -> int | None:
        """The exit code; None when it has not ended within EXIT_S."""
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_S):
                await self._process.wait()
        return self._process.returncode

    async def _how_it_ended(self) -> str:
        code = await self._exit()
        if code is None:
            return "the worker closed its line"
        if code < 0:
            return f"the worker was ended by {_signal_name(-code)}"
        return f"the worker ended with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment(own: Mapping[str, str], *, foreign: bool) -> dict[str, str]:
    """The controller's environment without what is not the policy's business."""
    return {
        name: value
        for name, value in own.items()
        if not name.startswith(KEPT_BACK) and not (foreign and name in OWN_PYTHON)
    }
