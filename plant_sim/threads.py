"""Work on many plants, shared among threads.

Kernels release the interpreter's lock. Whoever calls takes pieces too, and never waits for a thread
that has not begun: on a busy machine the work is done no later than by one thread alone.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba

_PIECES_A_THREAD = 4  # of unequal work, such as a plant that runs away


def default_threads() -> int:
    """As many as numba uses: the processor's cores, or `NUMBA_NUM_THREADS`."""
    config: Any = numba.config  # its attributes are made from the environment
    return int(config.NUMBA_NUM_THREADS)


def checked_threads(threads: int | None) -> int:
    """Return how many threads to use, the default for None; raises ValueError for none at all."""
    if threads is None:
        return default_threads()
    if threads < 1:
        raise ValueError(f"threads: {threads}; allowed: 1 and above")
    return threads


def share(count: int, work: Callable[[int, int], int], *, threads: int, least: int) -> int:
    """Call `work(first, end)` on pieces of range(count) and return the sum of its results.

    Pieces are multiples of `least` long, but for the last.
    """
    if count <= 0:
        return 0
    wanted = -(-count // (threads * _PIECES_A_THREAD))
    length = count if threads == 1 else -(-wanted // least) * least
    pieces = deque((first, min(first + length, count)) for first in range(0, count, length))

    def drain() -> int:
        total = 0
        while True:
            try:
                piece = pieces.popleft()
            except IndexError:
                return total
            total += work(*piece)

    helpers = min(threads, len(pieces)) - 1
    others = [_pool(threads - 1).submit(drain) for _ in range(helpers)]
    total = drain()
    return total + sum(other.result() for other in others if not other.cancel())


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="plants")
