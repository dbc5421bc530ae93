"""The correction at many states of a record at once, for `models.evaluation.assessment`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.learning.calibration import online_features
from models.learning.reference import Reference, Scans

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.bundle import Manifest
    from models.bundle.sections import Policy
    from models.data.dataset import Dataset
    from models.recipe import Recipe

    F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A bundle, the data it is asked about, and where. rows: the states that were drawn, (N,)."""

    manifest: Manifest
    reference: Reference
    data: Dataset
    recipe: Recipe
    features: F64
    rows: NDArray[np.int64]


def policy_increments(question: Question, policy: Policy, prefix: str) -> F64:
    """Increments (M, n_mv) [MV units] of a policy at all rows of the data."""
    features = online_features(question.data, question.manifest, policy.features)
    with torch.no_grad():
        seen = question.reference.tensor(features)
        scaled = question.reference.policy(seen, prefix, policy.layers)
    increments: F64 = scaled.cpu().numpy() * np.array(policy.increment_scale)
    return increments


def scans_of(question: Question) -> Scans:
    """The corrections at the drawn states.

    As a scan has them that begins there: no bias, no disturbance, no integrator, CVs as measured;
    the moves limited by the ranges of the MVs and the trust radius alone.
    """
    manifest, rows = question.manifest, question.rows
    now, mv = question.data.cv[rows], question.data.mv[rows]
    low, high = (np.array([getattr(m, side) for m in manifest.mvs]) for side in ("low", "high"))
    half = (high - low) / 2.0
    mv = np.clip(mv, low, high)
    wish = policy_increments(question, manifest.policy, "policy.net")[rows]
    policy = (np.clip(mv + wish, low, high) - mv) / half
    n_blocks = len(manifest.cost.blocks)
    down, up = (np.repeat(((side - mv) / half)[:, None], n_blocks, axis=1) for side in (low, high))
    radius = manifest.cost.trust_radius
    if radius is not None:
        down[:, 0] = np.maximum(down[:, 0], policy - radius)
        up[:, 0] = np.minimum(up[:, 0], policy + radius)
    columns = {
        "features": question.features[rows],
        "disturbance": np.zeros_like(now),
        "now": now,
        "error": question.data.sp[rows] - now,
        "bias": np.zeros((len(rows), n_blocks, now.shape[1])),
        "policy": policy,
        "low": down,
        "high": up,
    }
    return Scans(**{name: question.reference.tensor(value) for name, value in columns.items()})


def correction(question: Question, rng: np.random.Generator) -> dict[str, Any]:
    """The minimum at the drawn states: certificates, distance from the policy, convexity."""
    scans, reference = scans_of(question), question.reference
    cost = question.manifest.cost
    best = reference.minimise(scans)
    with torch.no_grad():
        least = reference.cost(scans, best)
    gap = frank_wolfe_gap(scans, best, reference.gradient(scans, best))
    share = gap / (cost.gap_absolute + cost.gap_relative * least.abs())
    names = [mv.name for mv in question.manifest.mvs]
    away = (best[:, 0] - scans.policy).abs()
    return {
        "states": len(question.rows),
        "certified": float((share <= 1.0).double().mean()),
        "gap_over_tolerance": float(share.max()),
        "cost_median": float(least.median()),
        "from_policy_median": dict(zip(names, away.median(dim=0).values.tolist(), strict=True)),
        "bulge": bulge(reference, scans, rng),
    }


def frank_wolfe_gap(scans: Scans, moves: Tensor, slope: Tensor) -> Tensor:
    """Upper bound (B,) of cost - least cost over the box, see `models.online.correction`."""
    reach = torch.maximum(slope * (moves - scans.low), slope * (moves - scans.high))
    return reach.sum(dim=(1, 2))


@torch.no_grad()
def bulge(reference: Reference, scans: Scans, rng: np.random.Generator) -> float:
    """How far the cost of a chord's middle exceeds the mean of its ends, relative to them, at most.

    One random chord of the box for each state; 0 but for rounding where the cost is convex.
    """
    ends = []
    for _ in range(2):
        share = reference.tensor(rng.uniform(size=tuple(scans.low.shape)))
        ends.append(scans.low + share * (scans.high - scans.low))
    middle = reference.cost(scans, (ends[0] + ends[1]) / 2.0)
    mean = (reference.cost(scans, ends[0]) + reference.cost(scans, ends[1])) / 2.0
    return float(((middle - mean) / mean.abs().clamp(min=1e-12)).clamp(min=0.0).max())
