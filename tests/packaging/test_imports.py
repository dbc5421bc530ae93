"""What the controller starts without: torch, gymnasium, numba and the plant."""

import subprocess
import sys

import pytest

BLOCK = """
import importlib.abc, importlib, pkgutil, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ImportError(name + " is out of reach")
        return None

sys.meta_path.insert(0, Blocked())
"""

IMPORT_ALL = """
import controller
names = [item.name for item in pkgutil.walk_packages(controller.__path__, "controller.")]
names = [name for name in names if name not in ("controller.testing", "controller.demo.tether")]
for name in names:
    importlib.import_module(name)
import models.runtime, models.bundle
print(len(names))
"""

RUN = """
from controller.cli import main
sys.argv = ["trimtab", {arguments}]
main()
"""


def python(code: str, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK.format(names=set(names)) + code],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_module_of_the_controller_imports_without_them():
    done = python(IMPORT_ALL, "torch", "gymnasium", "numba", "plant_sim")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40


@pytest.mark.parametrize("arguments", ['"--help"', '"run", "--help"', '"demo", "--help"'])
def test_the_command_line_answers_without_them(arguments: str):
    done = python(RUN.format(arguments=arguments), "torch", "gymnasium", "numba", "plant_sim")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_the_block_itself_works():
    done = python("import numba", "numba")
    assert done.returncode == 1
    assert "numba is out of reach" in done.stderr
