"""Rows of a whole scan over OPC UA, beside the bare round trip that no controller can do without.

The soft plant serves in its own process; the link and the cycle of the controller run in this one,
in AUTO, and every timed scan reads, judges, advises, decides, guards and writes. The bare round
trip is one batched read and one batched write of the same nodes in the same session.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from asyncua import ua

from benchmarks.measure import Contender, Timing, measure_async
from benchmarks.rows import UNITS, Row, compared
from benchmarks.soft_plant import SPEED, SoftPlant, soft_plant
from controller.advisor import Advisor
from controller.configuration.settings import default_config_dir, load_settings
from controller.core.conditions import Circumstances
from controller.core.state import Mode
from controller.core.types import Tick, Written
from controller.cycle import Cycle
from controller.demo.room import ApcMode
from controller.metrics import Metrics
from controller.opcua.link import Link
from controller.startup import Prepared, prepare

if TYPE_CHECKING:
    from controller.core.report import CycleReport

BARE, WHOLE = "bare OPC UA round trip, read and write", "whole scan over OPC UA"
PERIOD_S = 300.0 / SPEED
BEAT_S = 0.3
"""Between two supervision ticks, which beat the heart and renew the lease."""
PAUSE_S = 0.01
"""Before each call of the paused rows: plant and processor go idle, as between real scans."""
BUDGET_S = 1.0
"""Until a scan's deadline: a tail is to be measured here, not cut off."""
IN_AUTO = 0.95
"""Least share of the timed scans that must be in AUTO with an accepted write."""
ENTRY_S = 30.0
SCANS = count()
CLEAR, SECURE = "no encryption", "SignAndEncrypt"
LIMIT_MS = {CLEAR: 3.0, SECURE: 5.0}
"""p99 of a whole scan to keep, on an idle machine."""
ADDED_MS = 1.0
"""What the controller may add to the bare round trip."""


class NoScanError(Exception):
    """The controller would not scan in AUTO; the message says what its last scan found."""


def rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """Bare round trip, whole scan, and what the controller adds, without encryption."""
    return _both(seconds, seed, secure=False)


def secure_rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """The same, signed and encrypted with Aes256Sha256RsaPss."""
    return _both(seconds, seed, secure=True)


def _both(seconds: float, seed: int, *, secure: bool) -> list[Row]:
    """Back to back, as the limits are meant, and with a pause before each call, as a service is."""
    return [
        row
        for pause_s in (0.0, PAUSE_S)
        for row in asyncio.run(_measured(seconds, seed, secure=secure, pause_s=pause_s))
    ]


@dataclass(slots=True)
class Bench:
    """A controller without its service: link, cycle, and what its scans reported."""

    link: Link
    cycle: Cycle
    scanned: int = 0
    in_auto: int = 0
    last: CycleReport | None = None
    beat_s: float = field(default=-math.inf)

    async def scan(self) -> None:
        """One scan, as the service would start it now."""
        now = monotonic()
        tick = Tick(scan_id=next(SCANS), due_s=now, started_s=now, budget_s=BUDGET_S)
        self.last = await self.cycle.scan(tick)
        self.scanned += 1
        self.in_auto += self.last.after.mode is Mode.AUTO and isinstance(self.last.outcome, Written)

    async def supervise(self) -> None:
        """A supervision tick, when one is due."""
        now = monotonic()
        if now - self.beat_s < BEAT_S:
            return
        self.beat_s = now
        tick = Tick(scan_id=next(SCANS), due_s=now, started_s=now, budget_s=BEAT_S)
        await self.cycle.supervise(tick, poll=False)
        await self.link.beat({}, alive=self.cycle.may_beat)

    async def bare(self) -> None:
        """Read the image's nodes and write the targets they were last given, with no controller."""
        line: Any = self.link._connection  # noqa: SLF001 - the lease belongs to this session
        session = line._client.uaclient.session  # noqa: SLF001
        for _, parameters in line._reads:  # noqa: SLF001
            await session.read(parameters)
        await session.write_attributes(*self._targets(line))

    def _targets(self, line: Any) -> tuple[list[Any], list[ua.DataValue]]:
        move = self.last.move if self.last is not None else None
        if move is None or not hasattr(move, "targets"):
            raise NoScanError(f"no move to repeat: {self.last and self.last.conditions}")
        keys = line._wanted.targets  # noqa: SLF001
        nodes = [line._book.nodes[key] for key in keys]  # noqa: SLF001
        values = [
            ua.DataValue(ua.Variant(float(value), line.kind(key)))
            for key, value in zip(keys, move.targets, strict=True)
        ]
        return nodes, values


async def _measured(seconds: float, seed: int, *, secure: bool, pause_s: float) -> list[Row]:
    what = SECURE if secure else CLEAR
    how = f"{what}, {1e3 * pause_s:g} ms apart" if pause_s else f"{what}, back to back"
    async with soft_plant(secure=secure) as plant, plant.operator() as room:
        bench = await _opened(plant)
        try:
            await room.reset("grade_up", seed)
            await _enter_auto(bench, room)
            bench.scanned = bench.in_auto = 0
            contenders = [
                Contender(name=WHOLE, work=bench.scan, calls=2),
                Contender(name=BARE, work=bench.bare, calls=2),
            ]
            timings = await measure_async(
                contenders, seconds=seconds, seed=seed, idle_s=pause_s, between=bench.supervise
            )
        finally:
            await bench.cycle.stop("benchmark over")
            await bench.link.close()
    return _rows(timings, how, bench, limits=pause_s == 0.0)


async def _opened(plant: SoftPlant) -> Bench:
    """A link to the plant and a cycle around it; raises NoScanError when the plant refuses."""
    prepared = _prepared(plant)
    link = Link(
        endpoint=prepared.endpoint,
        wanted=prepared.wanted,
        binding=prepared.binding,
        options=prepared.link_options,
        metrics=Metrics(prepared.labelling),
    )
    failure = await link.open(_raise)
    if failure is not None:
        raise NoScanError(f"{plant.url}: {failure.service}: {failure.detail}")
    link.unhurried()
    cycle = Cycle(
        line=link,
        adviser=Advisor(prepared.runtime),
        binding=prepared.binding,
        rules=prepared.rules,
        surroundings=Circumstances,
    )
    return Bench(link=link, cycle=cycle)


def _prepared(plant: SoftPlant) -> Prepared:
    password = plant.folder / "apc.password"
    password.touch(mode=0o600)
    password.write_text(plant.passwords["apc"], encoding="utf-8")
    server = {"url": plant.url, "user": "apc", "password_file": password}
    scan = {"period_s": PERIOD_S}
    security = plant.security.model_dump(exclude_none=True)
    given = {"server": server, "scan": scan, "security": security}
    return prepare(load_settings(default_config_dir() / "controller.toml", given))


async def _enter_auto(bench: Bench, room: Any) -> None:
    """Scan and beat until the plant follows; raises NoScanError after `ENTRY_S`."""
    end = monotonic() + ENTRY_S
    await room.select(ApcMode.MANUAL)
    for number in count():
        await bench.scan()
        await bench.supervise()
        if number == 10:
            await room.select(ApcMode.AUTO)
        if bench.cycle.state.mode is Mode.AUTO and bench.in_auto > 3:
            return
        if monotonic() > end:
            found = bench.last.conditions if bench.last is not None else ()
            raise NoScanError(f"not in AUTO after {ENTRY_S:g} s: {[str(c) for c in found]}")
        await asyncio.sleep(PAUSE_S)


def _raise(error: BaseException) -> None:
    raise error


def _rows(timings: dict[str, Timing], how: str, bench: Bench, *, limits: bool) -> list[Row]:
    whole, bare = timings[WHOLE], timings[BARE]
    share = bench.in_auto / bench.scanned
    if share < IN_AUTO:
        found = bench.last.conditions if bench.last is not None else ()
        raise NoScanError(f"only {share:.1%} of the scans in AUTO: {[str(c) for c in found]}")
    note = f"{share:.1%} of {bench.scanned} scans in AUTO with an accepted write"
    most = {"p99": LIMIT_MS[how.split(",", maxsplit=1)[0]]} if limits else {}
    return [
        compared(BARE, bare, size=how, unit="ms"),
        compared(WHOLE, whole, bare, size=how, unit="ms", note=note, limits=most),
        added(whole, bare, how, limits={"p50": ADDED_MS} if limits else {}),
    ]


def added(whole: Timing, bare: Timing, what: str, *, limits: dict[str, float] | None = None) -> Row:
    """What the controller adds: differences of the quantiles of one interleaved run."""
    ms = UNITS["ms"]

    def less(mine: float, other: float) -> float | None:
        apart = (mine - other) * ms
        return apart if math.isfinite(apart) else None

    return Row(
        name="controller adds to the round trip",
        size=what,
        ours=less(whole.wall.p50, bare.wall.p50),
        p50=less(whole.wall.p50, bare.wall.p50),
        p99=less(whole.wall.p99, bare.wall.p99),
        p999=less(whole.wall.p999, bare.wall.p999),
        cpu_p50=less(whole.cpu.p50, bare.cpu.p50),
        cpu_p99=less(whole.cpu.p99, bare.cpu.p99),
        cpu_p999=less(whole.cpu.p999, bare.cpu.p999),
        unit="ms",
        repetitions=whole.repetitions,
        limits=limits or {},
        note="differences of quantiles, not quantiles of differences",
    )
