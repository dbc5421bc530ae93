"""Turns into another command that the kernel kills when the process that started it is gone.

    python -I -S tether.py <pid of the parent> <command> [argument ...]

Run as a file, before anything else is imported: the demo's children must not outlive it even when
it is killed with -9.  The attribute survives exec (prctl(2), PR_SET_PDEATHSIG).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
EXIT_ORPHAN = 1


def main(arguments: list[str]) -> None:
    """Tie this process to `arguments[0]`, its parent, and become the command in the rest."""
    parent, command = int(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the call above: no signal will come
        os._exit(EXIT_ORPHAN)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
