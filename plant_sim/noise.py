"""Measurement noise of many plants, each from the random stream that it has when alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_AHEAD = 120
"""Instants drawn at once; a call for each sample would cost more than the numbers."""
_ROWS_A_THREAD = 256
"""Rows that are worth a thread."""


class NormalDraws:
    """Standard normal numbers on A, P, T for the coming instants of every plant.

    numbers: (rows, instants, 3). row: (N,), the row of each plant; those without noise share row 0,
    which is zeros.
    """

    def __init__(self, rngs: Sequence[np.random.Generator | None]) -> None:
        self._rngs = list(rngs)
        self._begin = _AHEAD  # nothing drawn yet
        rows = 1 if all(rng is None for rng in rngs) else len(rngs) + 1
        self.numbers: F64 = np.zeros((rows, _AHEAD, 3))
        self.row: I64 = np.array([0 if rng is None else i + 1 for i, rng in enumerate(rngs)])

    def __len__(self) -> int:
        """How many plants."""
        return len(self._rngs)

    def replace(self, index: int, rng: np.random.Generator | None) -> None:
        """Give plant `index` the stream `rng` from the next instant on; None: no noise."""
        self._rngs[index] = rng
        self.row[index] = 0 if rng is None else index + 1
        if rng is None:
            return
        if len(self.numbers) == 1:
            self.numbers = np.zeros((len(self) + 1, *self.numbers.shape[1:]))
        rng.standard_normal(out=self.numbers[index + 1, self._begin :])

    def take(self, instants: int) -> int:
        """Use up `instants` instants; returns the place in `numbers` where they begin."""
        if self._begin + instants > self.numbers.shape[1]:
            self._draw(instants)
        begin = self._begin
        self._begin += instants
        return begin

    def _draw(self, instants: int) -> None:
        """Bring what is left to the front and draw as many as there is room for behind it."""
        rest = self.numbers[:, self._begin :].copy()
        left = rest.shape[1]
        if instants > self.numbers.shape[1]:
            self.numbers = np.zeros((len(self.numbers), instants, 3))
        self.numbers[:, :left] = rest
        self._begin = 0
        rows = [(self.numbers[i + 1, left:], rng) for i, rng in enumerate(self._rngs) if rng]
        threads = min(numba.get_num_threads(), -(-len(rows) // _ROWS_A_THREAD))
        if threads <= 1:
            _fill(rows)
            return
        with ThreadPoolExecutor(threads) as pool:  # numpy draws without the interpreter's lock
            list(pool.map(_fill, [rows[part::threads] for part in range(threads)]))


def _fill(rows: Sequence[tuple[F64, np.random.Generator]]) -> None:
    for numbers, rng in rows:
        rng.standard_normal(out=numbers)
