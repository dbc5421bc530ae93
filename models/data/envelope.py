"""Which setpoints can be tracked: near the operating points at which the data were at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import ConvexHull

from models.bundle import HalfPlane, rounded
from models.recipe import RecipeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.data.dataset import Dataset
    from models.recipe import Recipe

    F64 = NDArray[np.float64]


def envelope(data: Dataset, recipe: Recipe) -> list[HalfPlane]:
    """Half-planes around the operating points at which the data were at rest.

    A window is at rest while no CV spans more than the recipe allows; its mean is an operating
    point. The hull of them all is grown by the margin. Raises RecipeError where the data hold
    too few.
    """
    rule = recipe.envelope
    points = rest_points(data, recipe)
    n_cv = len(recipe.cvs)
    if len(points) <= n_cv:
        raise RecipeError(
            f"envelope: only {len(points)} windows of {rule.rest_hours:g} h are at rest in the "
            "data; allow a larger envelope.rest_span or a shorter envelope.rest_hours"
        )
    if n_cv == 1:
        low, high = float(points.min()), float(points.max())
        grow = rule.margin * (high - low)
        return [
            HalfPlane(normal=[1.0], limit=rounded(high + grow)),
            HalfPlane(normal=[-1.0], limit=rounded(-low + grow)),
        ]
    hull = ConvexHull(points)
    centre = points[hull.vertices].mean(axis=0)
    planes = []
    for row in np.unique(np.round(hull.equations, 9), axis=0):
        normal, limit = row[:-1], -float(row[-1])
        reach = limit - float(normal @ centre)
        planes.append(
            HalfPlane(
                normal=[rounded(float(n)) for n in normal],
                limit=rounded(limit + rule.margin * reach),
            )
        )
    return planes


def rest_points(data: Dataset, recipe: Recipe) -> F64:
    """Means (K, n_cv) of the windows at rest."""
    rule = recipe.envelope
    span = np.array([rule.rest_span[cv.name] for cv in recipe.cvs])
    length = max(2, round(rule.rest_hours * 3600.0 / recipe.source.sample_time_s))
    parts = [np.zeros((0, len(recipe.cvs)))]
    for begin, end in data.bounds():
        if end - begin >= length:
            windows = np.lib.stride_tricks.sliding_window_view(data.cv[begin:end], length, axis=0)
            still = np.all(windows.max(axis=-1) - windows.min(axis=-1) <= span, axis=1)
            parts.append(windows[still].mean(axis=-1))
    return np.concatenate(parts)
