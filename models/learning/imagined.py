"""Horizons that the learned process model is asked for: plans that no controller has made.

Plans begin at states of the record, and at states where such plans have led. Each is asked twice:
as it is, and with one MV or the disturbance changed, so that the sequence PICNN learns what a
move does and not only where the process goes. A horizon ends where the members of the process
model disagree or the state leaves the range of the data (truncated model rollouts, Janner et al.
2019, arXiv 1906.08253).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.learning.plans import Planner, block_means
from models.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.learning.dynamics import Dynamics, History
    from models.recipe import Recipe

    F64 = NDArray[np.float64]
    Flags = NDArray[np.bool_]

# Rows that are stepped at once: few enough for the cache of a processor.
_CHUNK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizons:
    """Imagined horizons, K of them, each with a changed twin.

    state: (K, n_y). filters: (K, n_x). moves: (K, n_mv) that are shown as in force. plan,
    twin_plan: (K, n_blocks, n_mv) [MV units]. disturbance, twin_disturbance: (K, n_cv) [CV unit a
    sample] at the first sample. change, twin_change: (K, n_blocks, n_y) of the state at each
    block end; valid: (K, n_blocks) both are inside what the data tell. probe: (K,) index of the MV
    that differs, n_mv for the disturbance.
    """

    state: F64
    filters: F64
    moves: F64
    plan: F64
    twin_plan: F64
    disturbance: F64
    twin_disturbance: F64
    change: F64
    twin_change: F64
    valid: Flags
    probe: NDArray[np.int64]


class Imagination:
    """The learned process model as a place to try plans.

    Raises RecipeError where the record holds no stretch as long as the horizon.
    """

    def __init__(self, members: Sequence[Dynamics], past: History, recipe: Recipe) -> None:
        self._members, self._past = members, past
        self._count = recipe.imagined.horizons
        self._blocks = list(recipe.cost.blocks)
        self._keep = recipe.disturbance_keep
        low, high = past.state.min(axis=0), past.state.max(axis=0)
        room = recipe.imagined.margin * (high - low)
        self._inside = (low - room, high + room)
        self._apart = recipe.imagined.disagreement * np.maximum(past.state.std(axis=0), 1e-6)
        self._rows = past.starts(sum(self._blocks))
        if len(self._rows) == 0:
            raise RecipeError(
                f"no stretch of the data is longer than the {sum(self._blocks)} samples of the "
                "horizon; give longer records or shorten `cost.blocks`"
            )
        self._recorded = block_means(past.moves, self._rows, self._blocks)
        self._planner = Planner(recipe, self._recorded)
        self._probes = len(recipe.mvs) + 1

    def horizons(
        self,
        rng: np.random.Generator,
        advance: Callable[[int], None] = lambda done: None,  # noqa: ARG005
    ) -> Horizons:
        """All horizons of the recipe; `advance(rollouts done)` is called now and then."""
        done = 0

        def more(rollouts: int) -> None:
            nonlocal done
            done += rollouts
            advance(done)

        drawn = rng.integers(0, len(self._rows), self._count)
        rows = self._rows[drawn]
        past = self._past
        begin = past.state[rows], past.filters[rows], past.moves[rows]
        first, led = self._generation(rng, begin, self._recorded[drawn], more)
        others = self._recorded[rng.integers(0, len(self._rows), len(led[0]))]
        second, _ = self._generation(rng, led, others, more)
        return Horizons(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in (first, second)])
                for field in fields(Horizons)
            }
        )

    def _generation(
        self,
        rng: np.random.Generator,
        begin: tuple[F64, F64, F64],
        recorded: F64,
        more: Callable[[int], None],
    ) -> tuple[Horizons, tuple[F64, F64, F64]]:
        """Horizons from states, filters and moves, and such inside them to go on from."""
        state, filters, moves = begin
        count = len(state)
        plan = self._planner.plans(rng, moves, recorded)
        disturbance = self._planner.disturbances(rng, count)
        probe = rng.integers(0, self._probes, count)
        twin, other = self._planner.twins(rng, plan, disturbance, probe)
        change, filters_at, valid = self._ask(state, filters, plan, disturbance, more)
        twin_change, _, twin_valid = self._ask(state, filters, twin, other, more)
        horizons = Horizons(
            state=state,
            filters=filters,
            moves=self._planner.shown(rng, moves),
            plan=plan,
            twin_plan=twin,
            disturbance=disturbance,
            twin_disturbance=other,
            change=change,
            twin_change=twin_change,
            valid=valid & twin_valid,
            probe=probe,
        )
        rows = np.arange(count)
        block = rng.integers(0, len(self._blocks), count)
        kept = valid[rows, block]
        rows, block = rows[kept], block[kept]
        led = state[rows] + change[rows, block], filters_at[rows, block], plan[rows, block]
        return horizons, led

    def _ask(
        self,
        state: F64,
        filters: F64,
        plan: F64,
        disturbance: F64,
        more: Callable[[int], None],
    ) -> tuple[F64, F64, Flags]:
        """Change (K, n_blocks, n_y), filters (K, n_blocks, n_x) and validity (K, n_blocks)."""
        parts = []
        for begin in range(0, max(len(state), 1), _CHUNK):
            some = slice(begin, begin + _CHUNK)
            parts.append(self._rollout(state[some], filters[some], plan[some], disturbance[some]))
            more(len(parts[-1][0]))
        change, at, valid = (np.concatenate(column) for column in zip(*parts, strict=True))
        return change, at, valid

    @torch.no_grad()
    def _rollout(
        self, state: F64, filters: F64, plan: F64, disturbance: F64
    ) -> tuple[F64, F64, Flags]:
        device = self._members[0].offset.device
        at = [_f32(state, device)] * len(self._members)
        memory = [_f32(filters, device)] * len(self._members)
        push = np.zeros_like(state)
        push[:, : disturbance.shape[1]] = disturbance
        valid = np.ones(len(state), dtype=np.bool_)
        rows: list[tuple[F64, F64, Flags]] = []
        for block, length in enumerate(self._blocks):
            moves = _f32(plan[:, block], device)
            for _ in range(length):
                stepped = [
                    member(y, x, moves)
                    for member, y, x in zip(self._members, at, memory, strict=True)
                ]
                at = [y + _f32(push, device) for y, _ in stepped]
                memory = [x for _, x in stepped]
                push = push * self._keep
                each = torch.stack(at).double().cpu().numpy()
                mean = each.mean(axis=0)
                valid &= self._believed(each, mean)
            rows.append((mean - state, memory[0].double().cpu().numpy(), valid.copy()))
        change, filtered, believed = (np.stack(c, axis=1) for c in zip(*rows, strict=True))
        return np.nan_to_num(change), np.nan_to_num(filtered), believed

    def _believed(self, each: F64, mean: F64) -> Flags:
        """Rows (K,) inside the range of the data on which the members (n, K, n_y) agree."""
        low, high = self._inside
        inside = np.all((mean >= low) & (mean <= high), axis=1)
        agreed = np.all(np.abs(each - mean) <= self._apart, axis=(0, 2))
        both: Flags = inside & agreed
        return both


def _f32(array: F64, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)
