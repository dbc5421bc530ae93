"""Does a dataset show what each MV does to each CV? A figure for every input-output pair.

At a horizon, the change of the CVs is regressed on the situation (the policy's features and
their products) and on the moves that follow, in three blocks. The gain of a pair is the sum
over the blocks; its standard error counts episodes, not rows, as independent (cluster-robust:
Liang & Zeger 1986, Biometrika 73), because horizons overlap.

What the situation explains of an MV's next move is feedback, from which nothing can be learned
about the plant; what is left is excitation. Only the next move counts: the later ones also
answer what has happened since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.bundle import horizon_ends
from models.data.transitions import fit_features, sequence_targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.data.dataset import Dataset
    from models.data.transitions import SequenceTargets
    from models.recipe import Recipe

    F64 = NDArray[np.float64]

MOVE_BLOCKS = 3
ENOUGH_ROWS = 8000  # of overlapping horizons; more add time and no information
FEWEST_ROWS = 300  # per horizon, for about 50 coefficients


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What the data show of one pair, at the horizon where they show most.

    gain: scaled change of the CV per scaled move (half the range). ratio: the gain, positive if
    of the process's sign, over its standard error. excitation: standard deviation of the MV's next
    move as far as neither the situation nor the other MVs explain it, as a share of half its
    range. hours: the horizon.
    """

    cv: str
    mv: str
    gain: float
    ratio: float
    excitation: float
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    gain: F64  # (n_cv, n_mv)
    error: F64  # (n_cv, n_mv)
    hours: float


def identifiability(data: Dataset, recipe: Recipe) -> list[Pair]:
    """Figures of all pairs with a gain sign in the recipe; none where segments are too short."""
    targets = sequence_targets(data, recipe)
    state = fit_features(recipe.policy.features, recipe, data).matrix
    count = len(recipe.cost.blocks)
    horizons = sorted({count // 3, 2 * count // 3, count - 1})
    excitation = _excitation(targets, state)
    fits = [
        fit
        for block in horizons
        if (fit := _fit_horizon(data, recipe, targets, state, block)) is not None
    ]
    if not fits:
        return []
    pairs = []
    for i, cv in enumerate(recipe.cvs):
        for j, mv in enumerate(recipe.mvs):
            sign = recipe.cost.gain_signs[i][j]
            if sign == 0:
                continue
            ratios = [sign * fit.gain[i, j] / fit.error[i, j] for fit in fits]
            best = int(np.argmax(ratios))
            pairs.append(
                Pair(
                    cv=cv.name,
                    mv=mv.name,
                    gain=float(fits[best].gain[i, j]),
                    ratio=float(ratios[best]),
                    excitation=float(excitation[j]),
                    hours=fits[best].hours,
                )
            )
    return pairs


def _fit_horizon(
    data: Dataset, recipe: Recipe, targets: SequenceTargets, state: F64, block: int
) -> _Fit | None:
    """The regression at the end of one block of moves, or None with too few rows for it."""
    lengths = np.array(recipe.cost.blocks[: block + 1])
    inside = np.flatnonzero(targets.reach > block)
    if len(inside) < FEWEST_ROWS:
        return None
    chosen = inside[:: max(1, len(inside) // ENOUGH_ROWS)]
    rows = targets.rows[chosen]
    moves = targets.moves[chosen, : block + 1]
    groups = np.array_split(np.arange(block + 1), min(MOVE_BLOCKS, block + 1))
    grouped = np.stack(
        [np.average(moves[:, g], axis=1, weights=lengths[g]) for g in groups], axis=1
    )
    situation = _situation(state[rows])
    n_mv = moves.shape[-1]
    unexplained = _residual(situation, grouped.reshape(len(rows), -1))
    change = _residual(situation, targets.change[chosen, block])
    inverse = np.linalg.inv(
        unexplained.T @ unexplained + 1e-9 * len(rows) * np.eye(len(groups) * n_mv)
    )
    coefficients = inverse @ (unexplained.T @ change)
    gain, error = _sums(
        inverse=np.asarray(inverse, dtype=np.float64),
        moves=unexplained,
        left=change - unexplained @ coefficients,
        coefficients=coefficients,
        episode=data.episode[rows],
        n_mv=n_mv,
    )
    ends = horizon_ends(list(recipe.cost.blocks))
    return _Fit(
        gain=gain,
        error=error,
        hours=ends[block] * recipe.source.sample_time_s / 3600.0,
    )


def _sums(
    *, inverse: F64, moves: F64, left: F64, coefficients: F64, episode: NDArray[np.int64], n_mv: int
) -> tuple[F64, F64]:
    """Gains (n_cv, n_mv), summed over the blocks, and their cluster-robust standard errors."""
    number = np.unique(episode, return_inverse=True)[1]
    gain = np.zeros((left.shape[1], n_mv))
    error = np.zeros_like(gain)
    for i in range(left.shape[1]):
        score = np.zeros((number.max() + 1, moves.shape[1]))
        np.add.at(score, number, moves * left[:, i : i + 1])
        covariance = inverse @ (score.T @ score) @ inverse
        for j in range(n_mv):
            of_mv = np.arange(j, moves.shape[1], n_mv)
            gain[i, j] = coefficients[of_mv, i].sum()
            error[i, j] = np.sqrt(max(covariance[np.ix_(of_mv, of_mv)].sum(), 0.0))
    return gain, np.maximum(error, 1e-12)


def _situation(state: F64) -> F64:
    """One, the features and their products (K, 1 + n + n (n + 1) / 2)."""
    first, second = np.triu_indices(state.shape[1])
    return np.column_stack((np.ones(len(state)), state, state[:, first] * state[:, second]))


def _residual(known: F64, columns: F64) -> F64:
    """What a least-squares fit on `known` leaves of columns (K, n)."""
    return np.asarray(columns - known @ np.linalg.lstsq(known, columns, rcond=None)[0])


def _excitation(targets: SequenceTargets, state: F64) -> F64:
    """Standard deviation (n_mv,) of the next move beyond what situation and other MVs explain."""
    thin = slice(None, None, max(1, len(targets.rows) // ENOUGH_ROWS))
    left = _residual(_situation(state[targets.rows[thin]]), targets.moves[thin, 0])
    return np.array(
        [
            _residual(np.delete(left, j, axis=1), left[:, j : j + 1]).std()
            for j in range(left.shape[1])
        ]
    )
