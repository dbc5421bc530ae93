"""Measurement noise of many plants, each from the random stream that it has when alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plant_sim.threads import share

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_AHEAD = 120
"""Instants drawn at once; a call for each sample would cost more than the numbers."""
_ROWS_A_PIECE = 128
"""Rows that are worth handing to another thread."""


class NormalDraws:
    """Standard normal numbers on A, P, T for the coming instants of every plant.

    numbers: (rows, instants, 3). row: (N,), the row of each plant; those without noise share row 0,
    which is zeros.
    """

    def __init__(self, rngs: Sequence[np.random.Generator | None], *, threads: int = 1) -> None:
        self._rngs, self._threads = list(rngs), threads
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

        def fill(first: int, end: int) -> int:
            for numbers, rng in rows[first:end]:  # numpy draws without the interpreter's lock
                rng.standard_normal(out=numbers)
            return 0

        share(len(rows), fill, threads=self._threads, least=_ROWS_A_PIECE)
