"""Compilation of the kernels when their module is imported, from a cache where there is one.

Numba's cache looks at the file of the compiled function only, but kernels call each other across
modules; so the cache directory carries a fingerprint of the sources of the whole folder. It is the
first writable one of `$NUMBA_CACHE_DIR`, the folder's own `__pycache__` and the user's cache.
Without any of them the kernels are compiled at every start: seconds, and nothing else changes.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Function = TypeVar("Function", bound="Callable[..., Any]")

_HERE = Path(__file__).resolve().parent
_kernels: list[Any] = []
_seconds: list[float] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """How the kernels came to be: from the cache, or compiled, in `seconds` of wall time.

    directory: the cache, None where nothing is writable.
    """

    directory: Path | None
    cached: int
    compiled: int
    seconds: float


def compiled(signature: str) -> Callable[[Function], Function]:
    """Compile the decorated function for `signature`, at once.

    Products that are added are fused (FMA); nothing else of fast arithmetic: sums keep their order,
    so results do not depend on the width of SIMD.
    """
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}

    def decorate(function: Function) -> Function:
        begin = perf_counter()
        directory = cache_directory()
        kernel = None
        if directory is not None:
            try:
                with _caching_in(directory):
                    kernel = numba.njit(signature, cache=True, **options)(function)
            except OSError:
                kernel = None  # the directory went away or is full: work without it
        if kernel is None:
            kernel = numba.njit(signature, **options)(function)
        _kernels.append(kernel)
        _seconds.append(perf_counter() - begin)
        return cast("Function", kernel)

    return decorate


def compilation() -> Compilation:
    """What the kernels imported so far have cost."""
    cached = sum(1 for kernel in _kernels if sum(kernel.stats.cache_hits.values()) > 0)
    return Compilation(
        directory=cache_directory(),
        cached=cached,
        compiled=len(_kernels) - cached,
        seconds=sum(_seconds),
    )


@cache
def cache_directory() -> Path | None:
    """The directory for this version of the kernels, or None where nothing is writable."""
    given, user = os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    places = [Path(given)] if given else []
    places.append(_HERE / "__pycache__")
    with suppress(RuntimeError):  # no home directory
        places.append((Path(user) if user else Path.home() / ".cache") / "trimtab")
    name = f"models-{fingerprint(_HERE)}"
    return next((place / name for place in places if _writable(place / name)), None)


def fingerprint(folder: Path) -> str:
    """Twelve hex digits that change with the source of any kernel."""
    digest = hashlib.sha256()
    for source in sorted(folder.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def _caching_in(directory: Path) -> Iterator[None]:
    """Numba reads its cache's place when a function is decorated."""
    config: Any = numba.config  # its attributes are made from the environment
    before, config.CACHE_DIR = config.CACHE_DIR, str(directory)
    try:
        yield
    finally:
        config.CACHE_DIR = before


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False
