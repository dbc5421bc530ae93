"""Validation: a snapshot becomes readings; what must not be used becomes NaN with a reason.

Judged are quality, type, finiteness, range, staleness, spikes and frozen values.  Everything that
computes with process time uses elapsed plant time; ages are wall seconds.  The memory is a value:
scans and ticks keep the one returned, in which a tick has changed only what it may.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from controller.configuration.choices import among
from controller.core.judge import Judge, ValidationMemory, ValidationRules
from controller.core.types import Handshake, OperatorLimits, OperatorMode, Readings, flags, vector

if TYPE_CHECKING:
    from controller.configuration.binding import Binding, BoundMv
    from controller.core.types import F64, Snapshot

__all__ = ["ValidationMemory", "ValidationRules", "validate"]


def validate(
    snapshot: Snapshot,
    binding: Binding,
    rules: ValidationRules,
    memory: ValidationMemory,
    *,
    is_scan: bool = True,
) -> tuple[Readings, ValidationMemory]:
    """Judge every value of a snapshot and convert it to the manifest's order and units.

    is_scan: False on a supervision tick: it counts no scan, and the memory it returns differs from
    the given one in the server's clock and session alone.
    """
    judge = Judge(snapshot, binding, rules, memory, is_scan=is_scan)
    mv = vector(judge.required(entry.actual) for entry in binding.mvs)
    init = flags(judge.truth(entry.keys.get("init")) or False for entry in binding.mvs)
    init_since = judge.init_since(raised=bool(init.any()))
    readings = Readings(
        plant_time_s=judge.clock(),
        elapsed_s=judge.elapsed_s,
        connected=judge.connected,
        cv=vector(judge.measured(entry.pv) for entry in binding.cvs),
        sp=vector(judge.required(entry.sp) for entry in binding.cvs),
        mv=mv,
        dv=vector(judge.measured(entry.pv) for entry in binding.dvs),
        target=vector(judge.doubtful(entry.target_key, entry) for entry in binding.mvs),
        track=vector(
            judge.doubtful(entry.keys["track"], entry) if "track" in entry.keys else actual
            for entry, actual in zip(binding.mvs, mv.tolist(), strict=True)
        ),
        available=flags(
            _follows(judge, entry) and not raised
            for entry, raised in zip(binding.mvs, init.tolist(), strict=True)
        ),
        init=init,
        windup_low=flags(judge.hint(entry.keys.get("windup_lo")) for entry in binding.mvs),
        windup_high=flags(judge.hint(entry.keys.get("windup_hi")) for entry in binding.mvs),
        init_s=snapshot.plant_time_s - init_since if bool(init.any()) else 0.0,
        limits=_limits(judge, binding),
        handshake=_handshake(judge, binding, rules),
        quality=MappingProxyType(judge.quality),
        faults=tuple(judge.faults),
        heartbeat_stale=judge.heartbeat_stale,
        clock_step_s=judge.clock_step_s,
        new_session=judge.new_session,
    )
    return readings, judge.remembered(init_since) if is_scan else judge.noticed()


def _follows(judge: Judge, entry: BoundMv) -> bool:
    """True when this MV accepts a remote target; every doubt is a no."""
    mode = entry.keys.get("mode")
    follows = mode is None or among(judge.choice(mode), entry.remote)
    permit = judge.truth(entry.keys.get("permit"), missing=True)
    return follows and permit is True and judge.is_finite(entry.actual.key)


def _limits(judge: Judge, binding: Binding) -> OperatorLimits:
    range_low = vector(entry.low for entry in binding.mvs)
    range_high = vector(entry.high for entry in binding.mvs)
    return OperatorLimits(
        low=_limit(judge, binding, "lo_lim", range_low).clip(min=range_low),
        high=_limit(judge, binding, "hi_lim", range_high).clip(max=range_high),
        max_move=vector(_max_move(judge, entry) for entry in binding.mvs),
        range_low=range_low,
        range_high=range_high,
    )


def _limit(judge: Judge, binding: Binding, name: str, otherwise: F64) -> F64:
    """(n_mv,) the limits of the DCS, `otherwise` where it has none, NaN where unusable."""
    return vector(
        judge.limit(entry.keys[name], entry.conversion.value) if name in entry.keys else bound
        for entry, bound in zip(binding.mvs, otherwise.tolist(), strict=True)
    )


def _max_move(judge: Judge, entry: BoundMv) -> float:
    key = entry.keys.get("max_move_node")
    if key is None:
        return entry.max_move
    node = judge.limit(key, entry.conversion.difference, least=0.0)
    return node if node != node else min(entry.max_move, node)  # noqa: PLR0124 - NaN stays NaN


def _handshake(judge: Judge, binding: Binding, rules: ValidationRules) -> Handshake:
    keys = binding.handshake
    operator: OperatorMode | None = rules.stand_in
    if "mode" in keys:
        shows = judge.choice(keys["mode"], allowed=tuple(binding.mode_values))
        operator = None if shows is None else OperatorMode(binding.mode_values[shows])
    return Handshake(
        operator=operator,
        permit=judge.truth(keys.get("permit")),
        active=judge.truth(keys.get("active")),
        shed_reason=judge.text(keys.get("shed_reason")),
    )
