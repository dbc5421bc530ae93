"""Compiled kernels: cached, never stale, and working where nothing can be written."""

import ast
from pathlib import Path

import pytest

import plant_sim.compiled
from plant_sim.compiled import KERNEL_MODULES, fingerprint
from tests.support.fresh_interpreter import copied, probed

PACKAGE = Path(plant_sim.compiled.__file__).parent
PROBE = """
import json, warnings
warnings.simplefilter("error")
from plant_sim.compiled import cache_directory
from plant_sim.dcs import run_scans
from plant_sim.integrate import advance
directory = cache_directory()
print(json.dumps([str(directory) if directory else None,
                  sum(run_scans.stats.cache_hits.values()),
                  advance([440.0, 1.0, 1e-6, 10.0, 350.0], (1.0, 345.0), 600.0)[1]]))
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, outside the checkout, and an environment that sees only it."""
    destination = tmp_path / "site" / "plant_sim"
    environment = copied(PACKAGE, destination, tmp_path)
    return destination, environment


def probe(environment):
    """(cache directory, cache hits, a result of the kernels) of a fresh interpreter."""
    return tuple(probed(PROBE, environment))


def test_second_start_is_cached_and_an_edited_equation_is_not(copy):
    package, environment = copy
    directory, hits, before = probe(environment)
    assert directory == str(package / "__pycache__" / f"kernels-{fingerprint(package)}")
    assert hits == 0
    assert probe(environment) == (directory, 1, before)
    reactor = package / "reactor.py"
    reactor.write_text(reactor.read_text().replace("UA_W_K = 500.0", "UA_W_K = 50.0"))
    _, hits, after = probe(environment)
    assert hits == 0
    assert after != before


def test_user_cache_serves_a_read_only_package(copy):
    package, environment = copy
    (package / "__pycache__").write_text("a file where the directory should be")
    directory, _, _ = probe(environment)
    assert directory.startswith(environment["XDG_CACHE_HOME"])


def test_nothing_writable_still_works(copy):
    package, environment = copy
    (package / "__pycache__").write_text("a file where the directory should be")
    environment["XDG_CACHE_HOME"] = environment["HOME"] = "/dev/null/nowhere"
    directory, hits, result = probe(environment)
    assert directory is None
    assert hits == 0
    assert 345.0 < result < 355.0


def test_numba_cache_dir_comes_first(copy, tmp_path):
    package, environment = copy
    environment["NUMBA_CACHE_DIR"] = str(tmp_path / "given")
    directory, _, _ = probe(environment)
    assert directory == str(tmp_path / "given" / f"kernels-{fingerprint(package)}")
    assert not (package / "__pycache__").exists()


def imported_modules(source):
    tree = ast.parse(source.read_text())
    return {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}


def compiles(source):
    """Whether a module takes the decorator, not just the report on what was compiled."""
    return any(
        isinstance(n, ast.ImportFrom)
        and n.module == "plant_sim.compiled"
        and any(alias.name == "compiled" for alias in n.names)
        for n in ast.walk(ast.parse(source.read_text()))
    )


def test_the_fingerprint_covers_every_kernel_and_what_it_imports():
    modules = {path.stem: imported_modules(path) for path in PACKAGE.glob("*.py")}
    kernels = {path.stem for path in PACKAGE.glob("*.py") if compiles(path)}
    assert kernels
    behind = {m.removeprefix("plant_sim.") for k in kernels for m in modules[k] if "plant_sim" in m}
    assert kernels | behind == set(KERNEL_MODULES)
