"""Episodes that were computed already, one small file each, found by what decides their outcome."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.evaluation.episode import Trace
    from models.evaluation.suites import Case, Setting

    F64 = NDArray[np.float64]

EPISODE_VERSION = 1
"""Goes up when an episode is run, measured or stored in another way."""

TREND_POINTS = 192


def key_of(digest: str, setting: Setting, case: Case, start_seed: int) -> str:
    """Sha256 hex of everything an episode's outcome depends on; `digest` is the pilot's."""
    rules = setting.rules
    parts = {
        "version": EPISODE_VERSION,
        "pilot": digest,
        "environment": setting.recipe.source.environment,
        "plant": plant_digest(setting.recipe.source.environment),
        "switches": case.switches,
        "scenario": case.scenario,
        "setpoint": case.setpoint,
        "start_seed": start_seed,
        "sample_time_s": setting.sample_time_s,
        "hours": setting.hours,
        "measured": [rules.last_hours, rules.settle_share, rules.settle_band, rules.limits],
        "cvs": [[cv.name, rules.symbols[cv.name]] for cv in setting.recipe.cvs],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def plant_digest(environment: str) -> str:
    """Digest of the code that an environment runs on, alone and vectorised."""
    import gymnasium  # noqa: PLC0415

    import plant_sim.env  # noqa: F401, PLC0415  # registers the environment

    spec = gymnasium.spec(environment)
    entries = [entry for entry in (spec.entry_point, spec.vector_entry_point) if entry is not None]
    return code_digest(
        *(
            entry.split(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
            for entry in entries
        )
    )


@cache
def code_digest(*modules: str) -> str:
    """Sha256 hex over the code of `modules` and of what they import from their own packages.

    Comments, layout and docstrings do not count.
    """
    waiting, found = list(modules), {}
    while waiting:
        name = waiting.pop()
        path = None if name in found else _source(name)
        if path is None:
            continue
        tree = _Bare().visit(ast.parse(path.read_bytes()))
        found[name] = ast.dump(tree)
        package = name.split(".")[0]
        waiting += [used for used in _imports(tree) if used.split(".")[0] == package]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


class _Bare(ast.NodeTransformer):
    """Takes out what does not change what a module does."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if for_types else self.generic_visit(node)


def _source(name: str) -> Path | None:
    """Where a module lies, without importing it; None for a name inside a module."""
    package, *rest = name.split(".")
    spec = importlib.util.find_spec(package)
    for root in (spec and spec.submodule_search_locations) or ():
        inner = Path(root, *rest)
        for path in (inner / "__init__.py", inner.with_suffix(".py")):
            if path.is_file():
                return path
    return None


def _imports(tree: ast.AST) -> list[str]:
    """Modules that a tree imports, and names that may be modules."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


class Cache:
    """A directory of finished episodes; safe for several writers, damaged files do not count."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, key: str) -> Path:
        """Where the episode `key` lies."""
        return self.directory / key[:2] / f"{key}.npz"

    def load(self, key: str) -> Any | None:
        """What was kept under `key` (measures, or a list of returns), None if nothing whole is."""
        arrays = self._read(key)
        if arrays is None:
            return None
        try:
            return json.loads(str(arrays["row"]))
        except (KeyError, json.JSONDecodeError):
            return None

    def load_trend(self, key: str) -> dict[str, F64] | None:
        """Trend: hours (n,), cv, mv, peaks (n, ...), setpoint (n_cv,); see `trend_of`."""
        arrays = self._read(key)
        if arrays is None or "cv" not in arrays:
            return None
        return {name: np.asarray(arrays[name], float) for name in arrays if name != "row"}

    def save(self, key: str, row: Any, trend: dict[str, F64] | None = None) -> None:
        """Keep `row` (anything JSON can hold) and a trend, whole or not at all."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        small = {name: np.asarray(value, "float32") for name, value in (trend or {}).items()}
        handle, draft = tempfile.mkstemp(prefix=".draft-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, row=np.array(json.dumps(row, allow_nan=False)), **small)  # type: ignore[arg-type]
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)

    def _read(self, key: str) -> dict[str, NDArray[Any]] | None:
        try:
            # Opened here: np.load leaves a damaged file open.
            with self.path(key).open("rb") as file, np.load(file, allow_pickle=False) as kept:
                return {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None


def trend_of(trace: Trace, setting: Setting) -> dict[str, F64]:
    """At most about `TREND_POINTS` points; a peak is the highest since the last point."""
    samples = len(trace.reward)
    step = -(-samples // TREND_POINTS)
    rows = np.arange(0, samples + 1, step)
    ends = np.maximum.reduceat(trace.peaks, rows[:-1], axis=0)
    return {
        "hours": rows * setting.sample_time_s / 3600.0,
        "cv": trace.cv[rows],
        "mv": trace.mv[rows],
        "peaks": np.concatenate((ends[:1], ends)),
        "setpoint": trace.setpoint,
    }


def load_trend(directory: Path, key: str) -> dict[str, F64] | None:
    """Trend of the episode whose row has `trend` = key; None if the cache does not hold it."""
    return Cache(directory).load_trend(key)
