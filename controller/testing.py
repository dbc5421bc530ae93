"""Stand-ins for tests: a clock, a line to a DCS, an advisor, and a plant of any dimension.

Never imported at run time.  The names CV0, MV0, DV0 and the unit kg/m3 mean nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.configuration.binding import bind
from controller.configuration.tags import Tags, parse_tags
from controller.core.types import (
    Advised,
    Handshake,
    Measurement,
    OperatorLimits,
    OperatorMode,
    Quality,
    Readings,
    Snapshot,
    Written,
    flags,
    vector,
)
from models.runtime import Advice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.configuration.binding import Binding
    from controller.core.types import F64, Move, Proposal, Scalar, Tick, WriteOutcome
    from models.runtime import AdviceRequest

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
UNIT = "kg/m3"
MODES = {OperatorMode.MANUAL: 0, OperatorMode.SHADOW: 1, OperatorMode.AUTO: 2}


@dataclass(slots=True)
class FakeClock:
    """A monotonic clock that moves when told."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        """Return the time [s]."""
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainVariable:
    """A variable of a manifest, of which a binding needs no more."""

    name: str
    unit: str = UNIT
    low: float = 0.0
    high: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainManifest:
    """The part of a manifest that is bound."""

    cvs: tuple[PlainVariable, ...]
    mvs: tuple[PlainVariable, ...]
    dvs: tuple[PlainVariable, ...] = ()


def plain_manifest(n_cv: int, n_mv: int, n_dv: int = 0) -> PlainManifest:
    """CV0.., MV0.., DV0.. from 0 to 100 kg/m3."""
    return PlainManifest(
        cvs=tuple(PlainVariable(name=f"CV{i}") for i in range(n_cv)),
        mvs=tuple(PlainVariable(name=f"MV{i}") for i in range(n_mv)),
        dvs=tuple(PlainVariable(name=f"DV{i}") for i in range(n_dv)),
    )


def plain_tags(n_cv: int, n_mv: int, n_dv: int = 0) -> dict[str, Any]:
    """The contents of a tags.toml for `plain_manifest`, with every tag of the hand-shake."""
    scaled: dict[str, Any] = {"unit": UNIT, "range": [0.0, 100.0]}
    optional = ("track", "lo_lim", "hi_lim", "max_move_node", "mode", "permit", "init")
    per_mv = ("target", "actual", *optional, "windup_lo", "windup_hi")
    values = ("heartbeat_in", "heartbeat_out", "mode", "request", "permit", "active", "shed_reason")
    return {
        "schema": 1,
        "namespaces": {"plant": "urn:test"},
        "cv": {
            f"CV{i}": scaled | {"pv": f"plant:/CV{i}/PV", "sp": f"plant:/CV{i}/SP"}
            for i in range(n_cv)
        },
        "mv": {
            f"MV{i}": scaled
            | {"max_move": 10.0}
            | {name: f"plant:/MV{i}/{name}" for name in per_mv}
            for i in range(n_mv)
        },
        "dv": {f"DV{i}": scaled | {"pv": f"plant:/DV{i}/PV"} for i in range(n_dv)},
        "handshake": {name: f"plant:/APC/{name}" for name in values},
        "clock": {"plant_time": "plant:/Sim/PlantTime"},
    }


def plain_binding(n_cv: int, n_mv: int, n_dv: int = 0) -> Binding:
    """`plain_tags` bound to `plain_manifest`."""
    tags: Tags = parse_tags(plain_tags(n_cv, n_mv, n_dv), file="tags.toml")
    return bind(tags, plain_manifest(n_cv, n_mv, n_dv), file="tags.toml")


def plain_readings(n_cv: int = 2, n_mv: int = 2, n_dv: int = 1, **changes: Any) -> Readings:
    """Sound readings in the middle of every range, Auto selected and permitted."""
    half = [50.0]
    readings = Readings(
        plant_time_s=0.0,
        elapsed_s=300.0,
        connected=True,
        cv=vector(half * n_cv),
        sp=vector(half * n_cv),
        mv=vector(half * n_mv),
        dv=vector(half * n_dv),
        target=vector(half * n_mv),
        track=vector(half * n_mv),
        available=flags([True] * n_mv),
        init=flags([False] * n_mv),
        windup_low=flags([False] * n_mv),
        windup_high=flags([False] * n_mv),
        init_s=0.0,
        limits=plain_limits(n_mv),
        handshake=Handshake(operator=OperatorMode.AUTO, permit=True, active=False),
        quality=MappingProxyType({}),
    )
    return replace(readings, **changes)


def plain_limits(n_mv: int, **changes: Any) -> OperatorLimits:
    """From 0 to 100, at most 10 a scan."""
    low, high = vector([0.0] * n_mv), vector([100.0] * n_mv)
    limits = OperatorLimits(
        low=low, high=high, max_move=vector([10.0] * n_mv), range_low=low, range_high=high
    )
    return replace(limits, **changes)


def plain_advice(move: F64, *, gap: float = 0.0, tolerance: float = 1e-6) -> Advice:
    """An answer that proposes `move` and holds it; certified unless told otherwise."""
    return Advice(
        policy_move=move,
        move=move,
        plan=move.reshape(1, -1),
        predicted=np.zeros((1, 1)),
        target=np.zeros(1),
        cost=1.0,
        gap=gap,
        tolerance=tolerance,
        kkt=0.0,
        iterations=1,
    )


@dataclass(slots=True, kw_only=True)
class ScriptedAdvisor:
    """Answers from a script; when it is empty, the middle of the box, certified.

    script: each entry makes a proposal of a request.  requests: everything it was asked.
    """

    script: deque[Callable[[AdviceRequest], Proposal]] = field(default_factory=deque)
    requests: list[AdviceRequest] = field(default_factory=list)

    def propose(self, request: AdviceRequest, deadline_s: float) -> Proposal:  # noqa: ARG002
        """Answer the next scan."""
        self.requests.append(request)
        if self.script:
            return self.script.popleft()(request)
        middle = plain_advice(vector((request.low + request.high) / 2.0))
        return Advised(advice=middle, request=request, elapsed_s=0.0)


@dataclass(slots=True, kw_only=True)
class FakeLink:
    """A line to a DCS that follows: it takes targets at once and becomes Active on Request.

    values: logical tag key -> value in the server's unit; quality: exceptions from GOOD.
    session: number of the session, as a reconnect raises it.
    outcomes: scripted answers to the next writes (the write then changes nothing).
    moves, sheds: everything that was written or asked for.  obedient False = Active never rises.
    """

    binding: Binding
    clock: FakeClock
    values: dict[str, Scalar] = field(default_factory=dict)
    quality: dict[str, Quality] = field(default_factory=dict)
    outcomes: deque[WriteOutcome] = field(default_factory=deque)
    moves: list[Move] = field(default_factory=list)
    sheds: list[str] = field(default_factory=list)
    connected: bool = True
    session: int = 1
    lease_held: bool = True
    release_due: bool = False
    release_refusal: str = ""
    obedient: bool = True

    def __post_init__(self) -> None:
        """Fill in a DCS at rest: everything in the middle, Manual selected, permitted."""
        measured = [cv.pv for cv in self.binding.cvs] + [dv.pv for dv in self.binding.dvs]
        for tag in (*measured, *(cv.sp for cv in self.binding.cvs)):
            middle = tag.conversion.to_server((tag.low + tag.high) / 2.0)
            self.values.setdefault(tag.key, middle)
        for mv in self.binding.mvs:
            middle = mv.conversion.to_server((mv.low + mv.high) / 2.0)
            rest = {
                "track": middle,
                "lo_lim": mv.conversion.to_server(mv.low),
                "hi_lim": mv.conversion.to_server(mv.high),
                "max_move_node": mv.max_move / mv.conversion.gain,
                "mode": mv.remote[0],
                "permit": True,
            }
            self.values |= {mv.target_key: middle, mv.actual.key: middle}
            self.values |= {key: rest.get(name, False) for name, key in mv.keys.items()}
        at_rest: Mapping[str, Scalar] = {"mode": 0, "permit": True, "shed_reason": ""}
        for name, key in self.binding.handshake.items():
            self.values.setdefault(key, at_rest.get(name, False))

    def select(self, mode: OperatorMode) -> None:
        """The operator moves the selector; leaving Auto ends Active in order."""
        self.values[self.binding.handshake["mode"]] = MODES[mode]
        if mode is not OperatorMode.AUTO:
            self.values["handshake.active"] = False

    def acknowledge(self) -> None:
        """The operator acknowledges a shed."""
        self.values |= {"handshake.permit": True, "handshake.shed_reason": ""}

    async def poll(self) -> None:
        """Succeed: the image is always of this instant."""

    def freeze(self, tick: Tick) -> Snapshot:  # noqa: ARG002
        """Return the image of this instant; one second of the clock is one of plant time."""
        now = self.clock()
        stamp = EPOCH + timedelta(seconds=now)
        measurements = {
            key: Measurement(
                tag=key,
                value=value,
                quality=self.quality.get(key, Quality.GOOD),
                source_time=stamp,
                received_s=now,
            )
            for key, value in self.values.items()
        }
        return Snapshot(
            plant_time_s=now,
            monotonic_s=now,
            utc=stamp,
            connected=self.connected,
            measurements=MappingProxyType(measurements),
            heartbeat_age_s=0.0,
            session=self.session,
        )

    async def write(self, move: Move) -> WriteOutcome:
        """Take a move as the DCS would."""
        self.moves.append(move)
        if self.outcomes:
            return self.outcomes.popleft()
        for mv, target, wanted in zip(self.binding.mvs, move.targets, move.write, strict=True):
            if wanted:
                value = mv.conversion.to_server(float(target))
                self.values |= {mv.target_key: value, mv.actual.key: value}
                self.values[mv.keys["track"]] = value
        self.values["handshake.active"] = move.request and self.obedient
        return Written()

    async def shed(self, reason: str) -> None:
        """Take the MVs back, put the selector to Manual, and wait for an acknowledgement."""
        self.sheds.append(reason)
        self.select(OperatorMode.MANUAL)
        self.values |= {"handshake.permit": False, "handshake.shed_reason": reason}
