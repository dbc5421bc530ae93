"""The cache of the compiled kernels: used, never stale, and not needed."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import models
from models.kernels import compiled

PACKAGE = Path(models.__file__).parent
PROBE = """
from models.kernels import linear
from models.kernels.compiled import compilation
import numpy as np
found = compilation()
print((str(found.directory) if found.directory else None, found.cached, found.compiled,
       linear.dot(np.ones(5), np.ones(5))))
"""


@pytest.fixture
def site(tmp_path):
    """A copy of the kernels outside the checkout, and an environment that sees only it."""
    target = tmp_path / "site" / "models" / "kernels"
    shutil.copytree(PACKAGE / "kernels", target, ignore=shutil.ignore_patterns("__pycache__"))
    (target.parent / "__init__.py").write_text("")
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment |= {
        "PYTHONPATH": str(tmp_path / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    return target, environment


def probe(environment):
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=environment,
        cwd=environment["PYTHONPATH"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout)


def test_the_second_start_compiles_nothing_and_an_edit_is_seen(site):
    folder, environment = site
    directory, cached, made, five = probe(environment)
    assert Path(directory).parent == folder / "__pycache__"
    assert (cached, five) == (0, 5.0)
    assert probe(environment) == (directory, made, 0, 5.0)
    source = folder / "linear.py"
    source.write_text(source.read_text().replace("return (a + b)", "return 1.0 + (a + b)"))
    assert probe(environment)[1:] == (0, made, 6.0)


def test_the_place_can_be_chosen(site, tmp_path):
    _, environment = site
    directory, *_ = probe(environment | {"NUMBA_CACHE_DIR": str(tmp_path / "given")})
    assert Path(directory).parent == tmp_path / "given"


def test_without_a_place_to_write_it_works(site, tmp_path):
    folder, environment = site
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    (folder / "__pycache__").write_text("in the way")
    nowhere = {"NUMBA_CACHE_DIR": str(blocked), "XDG_CACHE_HOME": str(blocked)}
    directory, cached, made, five = probe(environment | nowhere)
    assert directory is None
    assert cached == 0
    assert made > 0
    assert five == 5.0


def test_a_change_of_any_kernel_changes_the_fingerprint(tmp_path):
    copy = shutil.copytree(PACKAGE / "kernels", tmp_path / "kernels")
    before = compiled.fingerprint(copy)
    (copy / "elementary.py").write_text("# other\n")
    assert compiled.fingerprint(copy) != before
