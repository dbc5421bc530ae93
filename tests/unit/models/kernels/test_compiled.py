"""The cache of the compiled kernels: used, never stale, and not needed."""

import shutil
from pathlib import Path

import pytest

import models
from models.kernels import compiled
from tests.support.fresh_interpreter import copied, probed

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
    environment = copied(PACKAGE / "kernels", target, tmp_path)
    (target.parent / "__init__.py").write_text("")
    return target, environment


def test_the_second_start_compiles_nothing_and_an_edit_is_seen(site):
    folder, environment = site
    directory, cached, made, five = probed(PROBE, environment)
    assert Path(directory).parent == folder / "__pycache__"
    assert (cached, five) == (0, 5.0)
    assert probed(PROBE, environment) == (directory, made, 0, 5.0)
    source = folder / "linear.py"
    source.write_text(source.read_text().replace("return (a + b)", "return 1.0 + (a + b)"))
    assert probed(PROBE, environment)[1:] == (0, made, 6.0)


def test_the_place_can_be_chosen(site, tmp_path):
    _, environment = site
    directory, *_ = probed(PROBE, environment | {"NUMBA_CACHE_DIR": str(tmp_path / "given")})
    assert Path(directory).parent == tmp_path / "given"


def test_without_a_place_to_write_it_works(site, tmp_path):
    folder, environment = site
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    (folder / "__pycache__").write_text("in the way")
    nowhere = {"NUMBA_CACHE_DIR": str(blocked), "XDG_CACHE_HOME": str(blocked)}
    directory, cached, made, five = probed(PROBE, environment | nowhere)
    assert directory is None
    assert cached == 0
    assert made > 0
    assert five == 5.0


def test_a_change_of_any_kernel_changes_the_fingerprint(tmp_path):
    copy = shutil.copytree(PACKAGE / "kernels", tmp_path / "kernels")
    before = compiled.fingerprint(copy)
    (copy / "elementary.py").write_text("# other\n")
    assert compiled.fingerprint(copy) != before
