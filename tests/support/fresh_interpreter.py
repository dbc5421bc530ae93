"""A package that compiles itself, copied out of the checkout and run by a fresh interpreter."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path


def copied(package: Path, destination: Path, home: Path) -> dict[str, str]:
    """Copy a package into a folder of packages; an environment that sees only that folder."""
    shutil.copytree(package, destination, ignore=shutil.ignore_patterns("__pycache__"))
    kept = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    return kept | {
        "PYTHONPATH": str(home / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home / "home"),
        "XDG_CACHE_HOME": str(home / "cache"),
    }


def probed(code: str, environment: dict[str, str]):
    """What a fresh interpreter prints, a Python literal; null is None."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=environment["PYTHONPATH"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout.replace("null", "None"))
