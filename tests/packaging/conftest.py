"""The wheel, and an environment that it alone is installed in."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def clean(**more: str) -> dict[str, str]:
    """This process's environment, without what leads to the checkout or changes a configuration."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "TRIMTAB_", "VIRTUAL_ENV"))
    }
    return kept | more


@pytest.fixture(scope="session")
def environment() -> Callable[..., dict[str, str]]:
    return clean


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel under test: TRIMTAB_WHEEL, or built here from the checkout."""
    given = os.environ.get("TRIMTAB_WHEEL")
    if given:
        return Path(given).resolve()
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel; its dependencies are borrowed from here.

    A .pth line adds this environment's packages at the end of the path, without running their own
    .pth files: the editable install of the checkout is not among them.
    """
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    purelib = sysconfig.get_path("purelib", vars={"base": str(folder)})
    (Path(purelib) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", wheel],
        check=True,
        env=clean(),
    )
    return folder / "bin"
