"""What the held-action PICNN learns from: the cost of one move followed by the best later ones.

    c(s, a) = min over U_1, U_2, .. of J(s, [a, U_1, U_2, ..])

J is the sequence cost of `models.online.sequence`, jointly convex in all moves, so its partial
minimum is convex in a: a target that a network convex in a can meet. Its gradient at a is dJ/dU_0
at the minimising later moves (envelope theorem), its Hessian a Schur complement in the free ones.
States are those of the data, with moves in force and setpoints drawn anew; no plant is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.data.envelope import rest_points
from models.data.transitions import filtered, fit_features, value_matrix
from models.online.box_problem import Unsolved
from models.online.correction import minimise
from models.online.features import FeatureMap
from models.online.sequence import SequenceModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundle import Feature, Manifest
    from models.data.dataset import Dataset
    from models.online.box_problem import BoxProblem
    from models.online.sequence import Response
    from models.recipe import HeldRecipe, Recipe

    F64 = NDArray[np.float64]

# Shares of the states: move in force as recorded, anywhere in its range, else nearby; setpoint
# as recorded, anywhere among the operating points, else nearby.
_MOVE_KEPT, _MOVE_ANYWHERE = 0.4, 0.15
_SETPOINT_KEPT, _SETPOINT_ANYWHERE = 0.2, 0.3
_NEARBY_MOVE = (0.03, 0.1, 0.3, 0.6)  # of half a span
_NEARBY_ERROR = (-3.3, 0.0)  # decades of a CV's scale
_NEARBY_OTHER = 0.1  # scaled distance of the other move from the best, in half of the states


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTargets:
    """Gradients of the target at two moves of each state: its best move, and another.

    features: (N, n). error: (N, n_cv) SP - CV in CV scales. moves, gradients: (N, 2, n_mv);
    moves are scaled deviations from the move in force. curvature: (N, n_mv, n_mv) at the best.
    """

    features: F64
    error: F64
    moves: F64
    gradients: F64
    curvature: F64


def kept_targets(path: Path, make: Callable[[], HeldTargets]) -> HeldTargets:
    """Targets from a file, or made and written there whole."""
    from safetensors.numpy import load_file, save_file  # noqa: PLC0415

    if not path.exists():
        made = make()
        columns = {name: np.ascontiguousarray(getattr(made, name)) for name in made.__slots__}
        draft = path.with_suffix(".draft")
        save_file(columns, draft)
        draft.replace(path)
    return HeldTargets(**load_file(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _States:
    """values: (N, n_values). filters: (N, n_filters). setpoint: (N, n_cv)."""

    values: F64
    filters: F64
    setpoint: F64


def held_features(data: Dataset, recipe: Recipe, held: HeldRecipe) -> list[Feature]:
    """The features of the held-action PICNN, fitted to the data."""
    return fit_features(held.features, recipe, data).features


def held_targets(
    data: Dataset, recipe: Recipe, held: HeldRecipe, manifest: Manifest, tensors: Mapping[str, F64]
) -> HeldTargets:
    """Solve for the targets; determined by the arguments alone."""
    rng = np.random.default_rng([recipe.seed, 4])
    figures = {"proximal": 0.0, "move_penalty": held.move_penalty}
    teacher = manifest.model_copy(update={"cost": manifest.cost.model_copy(update=figures)})
    model = SequenceModel(teacher, tensors)
    spec = held_features(data, recipe, held)
    states = _states(data, recipe, held.states, rng)
    error = states.setpoint - states.values[:, : model.n_cv]
    inputs = FeatureMap(manifest.cost.features, manifest).vector(
        states.values, error, states.filters
    )
    parts = [
        _solve(_Question(model=model, manifest=teacher, features=row, now=now, error=miss), rng)
        for row, now, miss in zip(inputs, states.values, error, strict=True)
    ]
    moves, gradients, curvature = (np.array(column) for column in zip(*parts, strict=True))
    return HeldTargets(
        features=FeatureMap(spec, manifest).vector(states.values, error, states.filters),
        error=error / model.scale,
        moves=moves,
        gradients=gradients,
        curvature=curvature,
    )


def _states(data: Dataset, recipe: Recipe, count: int, rng: np.random.Generator) -> _States:
    """Rows of the data under other moves and setpoints."""
    n_cv, n_mv = len(recipe.cvs), len(recipe.mvs)
    rows = rng.integers(len(data.episode), size=count)
    values = value_matrix(data)[rows]
    low = np.array([mv.low for mv in recipe.mvs])
    high = np.array([mv.high for mv in recipe.mvs])
    size = rng.choice(_NEARBY_MOVE, size=(count, 1)) * (high - low) / 2.0
    nearby = values[:, -n_mv:] + rng.normal(size=(count, n_mv)) * size
    anywhere = rng.uniform(low, high, size=(count, n_mv))
    kind = rng.random((count, 1))
    drawn = np.where(kind > 1.0 - _MOVE_ANYWHERE, anywhere, nearby)
    values[:, -n_mv:] = np.clip(np.where(kind < _MOVE_KEPT, values[:, -n_mv:], drawn), low, high)
    wanted = [f for f in recipe.cost.features if f.kind == "filter"]
    filters = np.array([filtered(f, recipe, data)[rows] for f in wanted]).reshape(-1, count).T
    scale = np.array([cv.scale for cv in recipe.cvs])
    size = 10.0 ** rng.uniform(*_NEARBY_ERROR, size=(count, 1)) * scale
    nearby = values[:, :n_cv] + rng.normal(size=(count, n_cv)) * size
    points = rest_points(data, recipe)
    corners = points[rng.integers(len(points), size=(count, n_cv + 1))]
    share = rng.dirichlet(np.ones(n_cv + 1), size=count)
    anywhere = np.einsum("ik,ikc->ic", share, corners)
    kind = rng.random((count, 1))
    drawn = np.where(kind > 1.0 - _SETPOINT_ANYWHERE, anywhere, nearby)
    setpoint = np.where(kind < _SETPOINT_KEPT, data.sp[rows], drawn)
    return _States(values=values, filters=filters, setpoint=setpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One state; features: (n,) of the sequence cost, now: (n_values,), error: (n_cv,)."""

    model: SequenceModel
    manifest: Manifest
    features: F64
    now: F64
    error: F64

    def problem(self, response: Response, first: tuple[F64, F64] | None = None) -> BoxProblem:
        """The sequence cost over the ranges, the first move in the box `first` if given."""
        n, mvs = self.model.n_mv, self.manifest.mvs
        half = np.array([(mv.high - mv.low) / 2.0 for mv in mvs])
        low = np.tile((np.array([mv.low for mv in mvs]) - self.now[-n:]) / half, (self.blocks, 1))
        high = np.tile((np.array([mv.high for mv in mvs]) - self.now[-n:]) / half, (self.blocks, 1))
        if first is not None:
            low[0], high[0] = first
        return self.model.problem(
            response,
            now=self.now[: self.model.n_cv],
            error=self.error,
            bias=np.zeros_like(response.free),
            policy=np.zeros(n),
            low=low,
            high=high,
        )

    @property
    def blocks(self) -> int:
        """Number of blocks of moves."""
        return self.model.n_blocks

    def least(self, problem: BoxProblem, start: F64) -> F64:
        """Minimising moves, flat; raises ArithmeticError where none is certified."""
        cost = self.manifest.cost
        found = minimise(
            problem,
            start,
            gap_absolute=cost.gap_absolute,
            gap_relative=cost.gap_relative,
            max_iterations=cost.max_iterations,
        )
        if isinstance(found, Unsolved):
            raise ArithmeticError(f"held action: no certified target: {found}")  # noqa: TRY004
        return found.z


def _solve(question: _Question, rng: np.random.Generator) -> tuple[F64, F64, F64]:
    """Moves (2, n_mv), gradients (2, n_mv) and the curvature (n_mv, n_mv) at one state."""
    n = question.model.n_mv
    response = question.model.response(question.features)
    free = question.problem(response)
    z = question.least(free, np.zeros(question.blocks * n))
    low, high = free.low[:n], free.high[:n]
    near, far = z[:n] + _NEARBY_OTHER * rng.normal(size=n), rng.uniform(low, high)
    other = np.clip(near, low, high) if rng.random() < 0.5 else far
    fixed = question.problem(response, (other, other))
    moved = question.least(fixed, z)
    moves = np.array([z[:n], other])
    gradients = np.array([free.gradient(z)[:n], fixed.gradient(moved)[:n]])
    return moves, gradients, _partial_curvature(free, z, n)


def _partial_curvature(problem: BoxProblem, z: F64, n: int) -> F64:
    """Hessian (n, n) of the partial minimum over the variables from n on, at a minimum z."""
    gradient, hessian = problem.gradient(z), problem.curvature(z)
    held = ((z <= problem.low) & (gradient >= 0.0)) | ((z >= problem.high) & (gradient <= 0.0))
    later = np.flatnonzero(~held)
    later = later[later >= n]
    block = hessian[np.ix_(later, later)]
    across = hessian[:n, later]
    partial: F64 = hessian[:n, :n] - across @ np.linalg.solve(block, across.T)
    return partial
