"""The scan with a foreign policy: its move is an input, its silence a late scan, ticks go on."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest

from controller.core.conditions import Circumstances, Condition
from controller.core.policy import PolicyFailed, PolicyLate, PolicyMove
from controller.core.state import Mode
from controller.core.types import Advised, Faulted, Late, NotAsked, OperatorMode, Quality, Tick
from controller.core.validate import ValidationRules
from controller.cycle import Cycle
from controller.testing import FakeClock, FakeLink, ScriptedAdvisor, plain_binding

PERIOD_S = 1.0
MOVE = np.array([51.0, 49.0])
RULES = ValidationRules(sample_time_s=PERIOD_S, max_gap_s=10.0, heartbeat_limit_s=3.0)


@dataclass
class ScriptedPolicy:
    """Answers from a script, else with MOVE; waits for `gate` first."""

    script: deque = field(default_factory=deque)
    asked: list = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = False

    def __post_init__(self):
        self.gate.set()

    async def ask(self, sample, due_s):
        self.asked.append((sample, due_s))
        await self.gate.wait()
        if self.script:
            kind, detail = self.script.popleft()
            return kind(asked=sample, detail=detail, elapsed_s=0.4)
        return PolicyMove(asked=sample, move=MOVE, elapsed_s=0.1)

    def abandon(self):
        self.abandoned = True
        self.script.append((PolicyFailed, "the controller is ending"))
        self.gate.set()


class Rig:
    def __init__(self):
        self.clock = FakeClock()
        self.binding = plain_binding(2, 2, 1)
        self.link = FakeLink(binding=self.binding, clock=self.clock)
        self.model = ScriptedAdvisor()
        self.policy = ScriptedPolicy()
        self.cycle = Cycle(
            line=self.link,
            adviser=self.model,
            binding=self.binding,
            rules=RULES,
            surroundings=Circumstances,
            policy=self.policy,
            clock=self.clock,
        )
        self.scans = 0

    def tick(self):
        now = self.clock()
        return Tick(scan_id=self.scans, due_s=now, started_s=now, budget_s=0.5)

    async def scan(self):
        self.clock.advance(PERIOD_S)
        report = await self.cycle.scan(self.tick())
        self.scans += 1
        return report

    async def in_auto(self):
        await self.scan()
        self.link.select(OperatorMode.AUTO)
        report = await self.scan()
        assert report.after.mode is Mode.AUTO
        return report

    def late(self, scans):
        self.policy.script.extend([(PolicyLate, "no answer of the policy")] * scans)


@pytest.fixture
async def rig():
    return Rig()


async def test_its_move_goes_into_the_request_and_is_asked_about_the_plant_now(rig):
    report = await rig.in_auto()
    assert isinstance(report.proposal, Advised)
    assert rig.model.requests[-1].policy_move is MOVE
    sample, due_s = rig.policy.asked[-1]
    assert sample.cv.tolist() == [50.0, 50.0]
    assert due_s == report.tick.due_s
    assert report.policy.move is MOVE
    assert next(iter(report.stage_s)) == "policy"


async def test_it_is_asked_in_every_mode_so_that_shadow_shows_it(rig):
    for mode in (OperatorMode.MANUAL, OperatorMode.SHADOW):
        rig.link.select(mode)
        report = await rig.scan()
        assert isinstance(report.proposal, Advised)
    assert len(rig.policy.asked) == 2
    assert rig.link.moves == []


async def test_three_late_in_a_row_hold_hold_and_shed_and_write_nothing(rig):
    await rig.in_auto()
    await rig.scan()
    written = len(rig.link.moves)
    rig.late(3)
    reports = [await rig.scan() for _ in range(3)]
    assert [report.after.mode for report in reports] == [Mode.HOLD, Mode.HOLD, Mode.SHED]
    for report in reports:
        assert isinstance(report.proposal, Late)
        assert Condition.ADVICE_LATE in report.conditions
        assert not report.written
    assert "no answer of the policy" in reports[-1].after.reason
    assert rig.link.moves[written:] == []
    assert len(rig.link.sheds) == 1


async def test_one_late_scan_holds_and_the_next_answer_resumes(rig):
    await rig.in_auto()
    rig.late(1)
    assert (await rig.scan()).after.mode is Mode.HOLD
    assert (await rig.scan()).after.mode is Mode.AUTO


async def test_a_failed_policy_holds_too_and_the_models_memory_stays_current(rig):
    await rig.in_auto()
    rig.policy.script.append((PolicyFailed, "the worker was ended by SIGSEGV"))
    report = await rig.scan()
    assert isinstance(report.proposal, Faulted)
    assert report.after.mode is Mode.HOLD
    assert "SIGSEGV" in report.after.reason
    assert rig.model.requests[-1].policy_move is None, "the bundle's own keeps the memory"
    assert report.proposal.answer is not None
    assert not report.written


async def test_a_late_policy_bars_the_entry_to_auto(rig):
    await rig.scan()
    rig.link.select(OperatorMode.AUTO)
    rig.late(1)
    assert (await rig.scan()).after.mode is Mode.SHADOW
    assert (await rig.scan()).after.mode is Mode.AUTO


async def test_without_usable_values_it_is_not_asked(rig):
    await rig.in_auto()
    asked = len(rig.policy.asked)
    rig.link.quality[rig.binding.cvs[0].pv.key] = Quality.BAD
    report = await rig.scan()
    assert isinstance(report.proposal, NotAsked)
    assert report.policy.asked is None
    assert len(rig.policy.asked) == asked


async def test_a_value_that_comes_back_while_nobody_was_asked_is_no_advice(rig, monkeypatch):
    """Bad at the first look and good at the second: the bundle's own move must not be written."""
    await rig.in_auto()
    key = rig.binding.cvs[0].pv.key
    rig.link.quality[key] = Quality.BAD
    freeze = FakeLink.freeze
    looks = 0

    def heal(link, tick):
        nonlocal looks
        looks += 1
        if looks == 2:
            del link.quality[key]
        return freeze(link, tick)

    monkeypatch.setattr(FakeLink, "freeze", heal)
    report = await rig.scan()
    assert looks == 2
    assert isinstance(report.proposal, Faulted)
    assert not report.written


async def waiting_scan(rig):
    rig.policy.gate.clear()
    rig.clock.advance(PERIOD_S)
    scan = asyncio.create_task(rig.cycle.scan(rig.tick()))
    for _ in range(5):
        await asyncio.sleep(0)
    return scan


async def test_ticks_go_on_while_it_is_asked_and_an_operators_release_holds(rig):
    await rig.in_auto()
    written = len(rig.link.moves)
    scan = await waiting_scan(rig)
    assert not scan.done()
    seen = await rig.cycle.supervise(rig.tick(), poll=False)
    assert seen.after.mode is Mode.AUTO
    assert rig.cycle.may_beat
    rig.link.select(OperatorMode.SHADOW)
    seen = await rig.cycle.supervise(rig.tick(), poll=False)
    assert seen.after.mode is Mode.SHADOW
    rig.policy.gate.set()
    report = await scan
    assert report.after.mode is Mode.SHADOW
    assert not any(move.request for move in rig.link.moves[written:])


async def test_a_shed_while_it_is_asked_stays_a_shed(rig):
    await rig.in_auto()
    scan = await waiting_scan(rig)
    rig.link.lease_held = False
    assert (await rig.cycle.supervise(rig.tick(), poll=False)).after.mode is Mode.SHED
    rig.link.lease_held = True
    rig.policy.gate.set()
    report = await scan
    assert report.after.mode is Mode.SHED
    assert not report.written


async def test_limits_changed_while_it_is_asked_hold_in_this_scan(rig):
    await rig.in_auto()
    scan = await waiting_scan(rig)
    key = rig.binding.mvs[0].keys["hi_lim"]
    rig.link.values[key] = 50.0
    rig.policy.gate.set()
    report = await scan
    assert report.written
    assert report.proposal.request.high[0] == 50.0
    assert report.move.targets[0] <= 50.0


async def test_the_look_counts_no_scan(rig):
    """A spike is rejected for a number of scans: looking twice a scan must not halve it."""
    await rig.in_auto()
    key = rig.binding.cvs[0].pv.key
    before = rig.cycle._memory.tags[key].repeats
    await rig.scan()
    assert rig.cycle._memory.tags[key].repeats == before + 1


async def test_stopping_waits_for_no_answer(rig):
    await rig.in_auto()
    scan = await waiting_scan(rig)
    await asyncio.wait_for(rig.cycle.stop("controller stopped"), 5.0)
    assert rig.policy.abandoned
    assert scan.done()
    assert rig.cycle.state.mode is Mode.SHED
    assert rig.link.sheds == ["controller stopped"]
