"""Ahead-of-use compilation of the numeric kernels, with a cache that cannot go stale.

Numba's own cache looks at the file of the compiled function only. Kernels here call each other
across modules and have constants of other modules baked in, so after an upgrade that touched
`reactor.py` alone an old kernel would keep running the old equations. The cache directory
therefore carries a fingerprint of the sources of all kernels.

The directory is the first writable one of: `$NUMBA_CACHE_DIR`, the package's own `__pycache__`,
the user's cache (`$XDG_CACHE_HOME` or `~/.cache`). With none of them writable the kernels are
compiled at every start, which costs seconds and changes nothing else; `compilation` tells.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar, cast

import numba

KERNEL_MODULES = (
    "compiled",
    "lane_types",
    "lanes",
    "lane_functions",
    "reactor",
    "integrate",
    "regulatory",
    "interlock",
    "dcs",
    "dcs_batch",
    "integrate_batch",
    "arithmetic",
    "threads",
)
"""Modules whose functions, or whose constants, end up in compiled code, and what they import."""

Function = TypeVar("Function", bound=Callable[..., Any])

_made: list[tuple[Any, float]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """How many of this process's kernels came from the cache, and what all of them took [s].

    directory: the cache; None where no place is writable.
    """

    directory: Path | None
    cached: int
    compiled: int
    seconds: float


def compilation() -> Compilation:
    """What the kernels imported so far have cost."""
    cached = sum(1 for kernel, _ in _made if sum(kernel.stats.cache_hits.values()) > 0)
    return Compilation(
        directory=cache_directory(),
        cached=cached,
        compiled=len(_made) - cached,
        seconds=sum(seconds for _, seconds in _made),
    )


def compiled(signature: str, *, nogil: bool = False) -> Callable[[Function], Function]:
    """Compile the decorated function for `signature` when its module is imported.

    `nogil`: it releases the interpreter's lock, so that several threads may run it at once.
    """

    def decorate(function: Function) -> Function:
        begin = perf_counter()
        kernel = _kernel(function, signature, nogil=nogil)
        _made.append((kernel, perf_counter() - begin))
        return kernel

    return decorate


def _kernel(function: Function, signature: str, *, nogil: bool) -> Function:
    directory = cache_directory()
    if directory is not None:
        try:
            return _compile(function, signature, directory, nogil=nogil)
        except OSError:
            pass  # the directory went away or is full: work without it
    kernel = numba.njit(signature, error_model="numpy", nogil=nogil)
    return cast("Function", kernel(function))


def _compile(function: Function, signature: str, directory: Path, *, nogil: bool) -> Function:
    """Compile with the cache in `directory`; numba reads its place only when decorating."""
    config: Any = numba.config  # its attributes are made from the environment
    before = config.CACHE_DIR
    config.CACHE_DIR = str(directory)
    try:
        # error_model: tests for division by zero would keep LLVM from using SIMD
        decorate = numba.njit(signature, cache=True, error_model="numpy", nogil=nogil)
        return cast("Function", decorate(function))
    finally:
        config.CACHE_DIR = before


@cache
def cache_directory() -> Path | None:
    """The directory for this version of the kernels, or None where nothing is writable."""
    here = Path(__file__).resolve().parent
    places = [here / "__pycache__"]
    if os.environ.get("NUMBA_CACHE_DIR"):
        places.insert(0, Path(os.environ["NUMBA_CACHE_DIR"]))
    user_cache = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):  # no home directory
        places.append((Path(user_cache) if user_cache else Path.home() / ".cache") / "trimtab")
    name = f"kernels-{fingerprint(here)}"
    return next((place / name for place in places if _writable(place / name)), None)


def fingerprint(package: Path) -> str:
    """Twelve hex digits that change with the source of any kernel module."""
    digest = hashlib.sha256()
    for module in KERNEL_MODULES:
        digest.update((package / f"{module}.py").read_bytes())
    return digest.hexdigest()[:12]


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False
