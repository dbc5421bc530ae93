"""What a figure was measured on: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "numpy",
    "scipy",
    "numba",
    "torch",
    "onnx",
    "onnxruntime",
    "casadi",
    "do-mpc",
    "asyncua",
    "gymnasium",
    "d3rlpy",
)


def facts() -> dict[str, Any]:
    """CPU, cores, load, Python, libraries (null: not installed) and git commit of a run."""
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load_1min": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "commit": commit(),
    }


def cpu_model() -> str:
    """Name of the CPU as the kernel has it, or the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def commit() -> str | None:
    """Commit of the checkout, with "+" where files differ from it; None outside of git."""
    git = shutil.which("git")
    folder = Path(__file__).resolve().parents[1]
    if git is None or not (folder / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        asked = [git, "-C", str(folder), *arguments]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()

    found = ask("rev-parse", "--short=12", "HEAD")
    changed = ask("status", "--porcelain", "--untracked-files=no")
    return f"{found}{'+' if changed else ''}" if found else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
