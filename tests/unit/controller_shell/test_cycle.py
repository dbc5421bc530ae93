"""The scan and the supervision tick against a stand-in DCS and a scripted model."""

import asyncio
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from controller.configuration.binding import Binding, bind
from controller.configuration.tags import parse_tags
from controller.core.conditions import Circumstances, Condition
from controller.core.state import Mode
from controller.core.types import (
    Advised,
    Faulted,
    GuardRefusal,
    Late,
    Move,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    OperatorMode,
    Quality,
    Tick,
    Written,
)
from controller.core.validate import ValidationRules
from controller.cycle import Cycle
from controller.opcua.requests import NOT_CONNECTED, Failed
from controller.testing import (
    FakeClock,
    FakeLink,
    ScriptedAdvisor,
    plain_advice,
    plain_binding,
    plain_manifest,
    plain_tags,
)

PERIOD_S = 1.0
RULES = ValidationRules(sample_time_s=PERIOD_S, max_gap_s=10.0, heartbeat_limit_s=3.0)


class Rig:
    """A cycle with everything around it in hand."""

    def __init__(self, binding: Binding | None = None) -> None:
        self.clock = FakeClock()
        self.binding = binding or plain_binding(2, 2, 1)
        self.link = FakeLink(binding=self.binding, clock=self.clock)
        self.model = ScriptedAdvisor()
        self.around = Circumstances()
        self.cycle = Cycle(
            line=self.link,
            adviser=self.model,
            binding=self.binding,
            rules=RULES,
            surroundings=lambda: self.around,
            clock=self.clock,
        )
        self.scans = 0

    def tick(self) -> Tick:
        now = self.clock()
        return Tick(scan_id=self.scans, due_s=now, started_s=now, budget_s=0.5)

    async def scan(self):
        self.clock.advance(PERIOD_S)
        report = await self.cycle.scan(self.tick())
        self.scans += 1
        return report

    async def supervise(self, *, poll: bool = False):
        return await self.cycle.supervise(self.tick(), poll=poll)

    async def in_auto(self):
        """Enter AUTO the way an operator does; returns the report of the entering scan."""
        await self.scan()
        self.link.select(OperatorMode.AUTO)
        report = await self.scan()
        assert report.after.mode is Mode.AUTO
        return report


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_auto_is_entered_from_track_and_only_after_the_operators_act(rig):
    rig.link.select(OperatorMode.AUTO)
    for _ in range(3):
        assert (await rig.scan()).after.mode is Mode.SHADOW
    assert rig.link.moves == []
    rig.link.select(OperatorMode.MANUAL)
    await rig.scan()
    rig.link.values[rig.binding.mvs[0].keys["track"]] = 61.0
    rig.link.select(OperatorMode.AUTO)
    report = await rig.scan()
    request = report.proposal.request
    assert request.low.tolist() == [60.5, 49.5]
    assert request.high.tolist() == [61.5, 50.5]
    assert isinstance(report.move, Move)
    assert report.move.entering
    assert np.array_equal(report.move.targets, report.proposal.advice.move)


async def test_a_move_is_written_bit_for_bit_as_it_was_certified(rig):
    await rig.in_auto()
    for value in (0.1 + 0.2, 1.0 / 3.0):
        wanted = np.array([50.0 + value, 50.0 - value])
        rig.model.script.append(
            lambda request, wanted=wanted: Advised(
                advice=plain_advice(wanted), request=request, elapsed_s=0.0
            )
        )
        report = await rig.scan()
        assert report.written
        assert report.move.targets.tolist() == wanted.tolist()
        assert rig.link.moves[-1].targets.tolist() == wanted.tolist()


async def test_the_box_follows_the_last_accepted_target(rig):
    first = await rig.in_auto()
    second = await rig.scan()
    low, high = second.proposal.request.low, second.proposal.request.high
    assert low.tolist() == (first.move.targets - 10.0).tolist()
    assert high.tolist() == (first.move.targets + 10.0).tolist()


async def test_late_advice_is_discarded_and_three_in_a_row_shed(rig):
    await rig.in_auto()
    writes = len(rig.link.moves)
    rig.model.script.extend([lambda request: Late(request=request, elapsed_s=0.6)] * 3)
    modes = [(await rig.scan()).after.mode for _ in range(3)]
    assert modes == [Mode.HOLD, Mode.HOLD, Mode.SHED]
    assert all(not move.write.any() for move in rig.link.moves[writes:])
    assert rig.link.sheds
    assert "deadline" in rig.link.sheds[0]


async def test_one_late_answer_holds_and_auto_goes_on(rig):
    await rig.in_auto()
    rig.model.script.append(lambda request: Late(request=request, elapsed_s=0.6))
    assert (await rig.scan()).after.mode is Mode.HOLD
    report = await rig.scan()
    assert report.after.mode is Mode.AUTO
    assert report.written


@pytest.mark.parametrize(
    "broken",
    [
        np.array([np.nan, 50.0]),
        np.array([50.0, 75.0]),
        np.array([50.0]),
    ],
    ids=["not finite", "outside the box", "wrong shape"],
)
async def test_what_the_guard_refuses_is_never_written_and_sheds(rig, broken):
    await rig.in_auto()
    writes = len(rig.link.moves)
    rig.model.script.append(
        lambda request: Advised(advice=plain_advice(broken), request=request, elapsed_s=0.0)
    )
    report = await rig.scan()
    assert isinstance(report.move, GuardRefusal)
    assert isinstance(report.outcome, NotWritten)
    assert len(rig.link.moves) == writes
    following = await rig.scan()
    assert following.after.mode is Mode.SHED
    assert Condition.GUARD_REFUSED in following.conditions


async def test_uncertified_advice_holds_and_is_not_written(rig):
    await rig.in_auto()
    rig.model.script.append(
        lambda request: Advised(
            advice=plain_advice(np.array([50.0, 50.0]), gap=1.0), request=request, elapsed_s=0.0
        )
    )
    report = await rig.scan()
    assert report.after.mode is Mode.HOLD
    assert not report.written


async def test_a_bad_input_asks_no_model_and_holds(rig):
    await rig.in_auto()
    asked = len(rig.model.requests)
    rig.link.quality[rig.binding.cvs[0].pv.key] = Quality.BAD
    report = await rig.scan()
    assert isinstance(report.proposal, NotAsked)
    assert len(rig.model.requests) == asked
    assert report.after.mode is Mode.HOLD


async def test_a_failed_poll_is_not_an_image_of_this_instant(rig, monkeypatch):
    await rig.in_auto()

    async def fail():
        return NOT_CONNECTED

    monkeypatch.setattr(FakeLink, "poll", lambda _link: fail())
    report = await rig.scan()
    assert not report.readings.connected
    assert report.after.mode is Mode.HOLD
    assert not report.written


async def test_a_failing_model_holds_then_sheds(rig):
    await rig.in_auto()
    rig.model.script.extend(
        [lambda request: Faulted(detail="ValueError: x", request=request, elapsed_s=0.0)] * 3
    )
    modes = [(await rig.scan()).after.mode for _ in range(3)]
    assert modes == [Mode.HOLD, Mode.HOLD, Mode.SHED]


async def test_a_scan_period_that_no_longer_fits_holds_then_sheds(rig):
    await rig.in_auto()
    rig.around = Circumstances(period_problem="at 1000 times real time")
    reports = [await rig.scan() for _ in range(3)]
    assert [report.after.mode for report in reports] == [Mode.HOLD, Mode.HOLD, Mode.SHED]
    assert Condition.SCAN_PERIOD in reports[0].conditions
    assert not any(report.written for report in reports)


async def test_the_model_is_asked_in_every_mode_but_nothing_is_written(rig):
    for mode in (OperatorMode.MANUAL, OperatorMode.SHADOW):
        rig.link.select(mode)
        report = await rig.scan()
        assert isinstance(report.proposal, Advised)
        assert report.proposal.request.freeze
    assert rig.link.moves == []
    assert rig.link.sheds == []


async def test_read_only_never_writes_whatever_the_operator_selects(rig):
    rig.around = Circumstances(read_only=True)
    await rig.scan()
    rig.link.select(OperatorMode.AUTO)
    for _ in range(5):
        report = await rig.scan()
        await rig.supervise()
        assert report.after.mode is Mode.SHADOW
    assert rig.link.moves == []
    assert rig.link.sheds == []


async def test_the_operators_release_withdraws_request_without_a_shed(rig):
    await rig.in_auto()
    await rig.scan()
    rig.link.select(OperatorMode.SHADOW)
    report = await rig.scan()
    assert report.after.mode is Mode.SHADOW
    assert not rig.link.moves[-1].request
    assert rig.link.sheds == []


async def test_a_target_that_the_plant_resets_on_release_is_no_mismatch(rig):
    await rig.in_auto()
    await rig.scan()
    rig.link.select(OperatorMode.MANUAL)
    rig.link.values[rig.binding.mvs[0].target_key] = 12.0
    report = await rig.scan()
    assert report.after.mode is Mode.MANUAL
    assert Condition.READBACK_MISMATCH not in report.conditions
    assert rig.link.sheds == []


async def test_a_target_that_reads_back_otherwise_in_auto_sheds(rig):
    await rig.in_auto()
    await rig.scan()
    rig.link.values[rig.binding.mvs[0].target_key] = 12.0
    report = await rig.scan()
    assert report.after.mode is Mode.SHED
    assert Condition.READBACK_MISMATCH in report.conditions


async def test_a_target_is_read_back_in_a_hold_and_after_it(rig):
    await rig.in_auto()
    await rig.scan()
    rig.link.quality[rig.binding.cvs[0].pv.key] = Quality.BAD
    assert (await rig.scan()).after.mode is Mode.HOLD
    rig.link.values[rig.binding.mvs[0].target_key] = 90.0
    report = await rig.scan()
    assert Condition.READBACK_MISMATCH in report.conditions
    assert report.after.mode is Mode.SHED


async def test_a_target_that_cannot_be_read_back_is_told_the_operator(rig):
    await rig.in_auto()
    await rig.scan()
    rig.link.quality[rig.binding.mvs[1].target_key] = Quality.BAD
    report = await rig.scan()
    assert report.written
    assert Condition.READBACK_MISSING in report.conditions
    assert "read back: MV 1" in report.after.reason


@pytest.mark.parametrize("taken", [("mode", 0), ("init", True)])
async def test_an_mv_taken_and_given_back_between_two_scans_starts_from_track(rig, taken):
    await rig.in_auto()
    await rig.scan()
    mv = rig.binding.mvs[0]
    key, away = mv.keys[taken[0]], taken[1]
    before = rig.link.values[key]
    rig.link.values |= {key: away, mv.actual.key: 10.0, mv.keys["track"]: 10.0}  # Target stays
    assert (await rig.supervise()).after.mode is Mode.AUTO
    rig.link.values[key] = before
    report = await rig.scan()
    assert report.written
    assert report.move.targets[0] == pytest.approx(10.0, abs=0.5)


async def test_the_integrators_stand_still_until_the_dcs_follows(rig):
    rig.link.obedient = False
    await rig.in_auto()
    waiting = await rig.scan()
    assert (waiting.after.mode, waiting.proposal.request.freeze) == (Mode.AUTO, True)
    rig.link.values["handshake.active"] = True
    assert not (await rig.scan()).proposal.request.freeze


@pytest.mark.parametrize("jump_s", [36000.0, -5.0])
async def test_a_jump_of_the_plants_clock_in_auto_sheds_and_writes_nothing(rig, jump_s):
    await rig.in_auto()
    await rig.scan()
    rig.clock.advance(jump_s - PERIOD_S)
    report = await rig.scan()
    assert report.after.mode is Mode.SHED
    assert Condition.CLOCK_JUMPED in report.conditions
    assert not report.written
    assert "clock jumped" in rig.link.sheds[0]


async def test_a_hold_found_by_a_tick_lasts_no_longer_than_two_scans(rig):
    await rig.in_auto()
    rig.link.quality[rig.binding.cvs[0].pv.key] = Quality.BAD
    assert (await rig.supervise()).after.mode is Mode.HOLD
    assert [(await rig.scan()).after.mode for _ in range(2)] == [Mode.HOLD, Mode.SHED]


def without_active() -> Rig:
    """A DCS that says neither whether it follows nor whether it permits."""
    raw = plain_tags(2, 2, 1)
    for name in ("active", "request", "permit", "shed_reason"):
        del raw["handshake"][name]
    return Rig(bind(parse_tags(raw, file="t"), plain_manifest(2, 2, 1), file="t"))


@pytest.mark.parametrize("seen_by", ["scan", "tick"])
async def test_auto_does_not_resume_by_itself_after_a_lost_connection(seen_by):
    rig = without_active()
    await rig.in_auto()
    await rig.scan()
    rig.link.connected = False
    lost = await (rig.scan() if seen_by == "scan" else rig.supervise())
    assert lost.after.mode is Mode.HOLD
    rig.link.connected = True
    writes = len(rig.link.moves)
    report = await rig.scan()
    assert report.after.mode is Mode.SHED
    assert Condition.NEW_SESSION in report.conditions
    assert not report.written
    for _ in range(3):
        assert not (await rig.scan()).after.in_control
    assert all(not move.write.any() for move in rig.link.moves[writes:])


@pytest.mark.parametrize("seen_by", ["scan", "tick"])
async def test_a_session_opened_anew_between_two_looks_sheds_at_once(seen_by):
    rig = without_active()
    await rig.in_auto()
    await rig.scan()
    rig.link.session += 1
    seen = await (rig.scan() if seen_by == "scan" else rig.supervise())
    assert seen.after.mode is Mode.SHED
    assert "lost" in seen.after.reason


async def test_one_failed_poll_of_the_same_session_holds_and_auto_goes_on(rig, monkeypatch):
    await rig.in_auto()
    await rig.scan()
    answers = deque([NOT_CONNECTED])

    async def poll(_link):
        return answers.popleft() if answers else None

    monkeypatch.setattr(FakeLink, "poll", poll)
    assert (await rig.scan()).after.mode is Mode.HOLD
    report = await rig.scan()
    assert report.after.mode is Mode.AUTO
    assert report.written


async def test_the_tick_sees_the_operators_release_between_scans(rig):
    await rig.in_auto()
    rig.link.select(OperatorMode.MANUAL)
    seen = await rig.supervise()
    assert (seen.before.mode, seen.after.mode) == (Mode.AUTO, Mode.MANUAL)
    assert not rig.link.moves[-1].request


async def test_the_tick_sheds_at_once_and_asks_no_model(rig):
    await rig.in_auto()
    await rig.scan()
    asked = len(rig.model.requests)
    rig.link.lease_held = False
    seen = await rig.supervise()
    assert seen.after.mode is Mode.SHED
    assert Condition.LEASE_LOST in seen.conditions
    assert len(rig.link.sheds) == 1
    assert len(rig.model.requests) == asked


async def test_a_shed_the_plant_did_not_hear_stops_the_heart_until_it_does(rig, monkeypatch):
    await rig.in_auto()
    await rig.scan()
    heard: list[str] = []
    answers = deque([NOT_CONNECTED, NOT_CONNECTED, None])

    async def shed(_link, reason):
        heard.append(reason)
        return answers.popleft()

    monkeypatch.setattr(FakeLink, "shed", shed)
    rig.link.lease_held = False
    await rig.supervise()
    assert rig.cycle.release_due
    await rig.supervise()
    assert rig.cycle.release_due
    await rig.supervise()
    assert not rig.cycle.release_due
    assert len(heard) == 3


async def test_auto_is_not_entered_while_a_release_is_due(rig, monkeypatch):
    await rig.in_auto()
    answers = deque([NOT_CONNECTED])

    async def shed(_link, _reason):
        return answers.popleft()

    monkeypatch.setattr(FakeLink, "shed", shed)
    rig.link.lease_held = False
    await rig.supervise()
    rig.link.lease_held = True
    rig.link.values["handshake.active"] = False
    reports = []
    for mode in (OperatorMode.SHADOW, OperatorMode.AUTO, OperatorMode.AUTO):
        rig.link.select(mode)
        reports.append(await rig.scan())
    assert [report.after.mode for report in reports] == [Mode.SHADOW] * 3
    assert Condition.RELEASE_DUE in reports[-1].conditions
    await rig.supervise()
    assert (await rig.scan()).after.mode is Mode.AUTO


async def test_auto_is_not_entered_before_what_an_earlier_session_left_is_let_go(rig):
    rig.link.release_due = True
    await rig.scan()
    rig.link.select(OperatorMode.AUTO)
    rig.link.release_refusal = "handshake.request: BadNotWritable"
    report = await rig.scan()
    assert report.after.mode is Mode.SHADOW
    assert Condition.RELEASE_DUE in report.conditions
    assert report.after.reason == f"waiting for AUTO: {rig.cycle.unconfirmed}"
    assert rig.cycle.unconfirmed.endswith(": handshake.request: BadNotWritable")
    rig.link.release_due = False
    assert rig.cycle.unconfirmed == ""
    assert (await rig.scan()).after.mode is Mode.AUTO


async def test_without_the_lease_a_shed_stays_due_and_comes_with_the_lease(rig, monkeypatch):
    await rig.in_auto()
    await rig.scan()
    take = FakeLink.shed

    async def shed(link, reason):
        if not link.lease_held:
            return Failed(service="call", status="lease", detail="lease not held")
        return await take(link, reason)

    monkeypatch.setattr(FakeLink, "shed", shed)
    rig.link.lease_held = False
    await rig.supervise()
    assert rig.cycle.state.mode is Mode.SHED
    assert not rig.cycle.may_beat
    await rig.supervise()
    assert not rig.cycle.may_beat
    assert rig.link.sheds == []
    rig.link.lease_held = True
    await rig.supervise()
    assert "lease" in rig.link.sheds[0]
    await rig.supervise()
    assert rig.cycle.may_beat


async def test_the_heart_stands_still_while_the_dcs_follows_nobody_in_command(rig):
    await rig.scan()
    await rig.supervise()
    assert rig.cycle.may_beat
    rig.link.values["handshake.active"] = True
    await rig.supervise()
    assert not rig.cycle.may_beat
    rig.link.values["handshake.active"] = False
    await rig.supervise()
    assert rig.cycle.may_beat
    await rig.in_auto()
    await rig.supervise()
    assert rig.link.values["handshake.active"] is True
    assert rig.cycle.may_beat


async def test_scan_and_tick_take_turns(rig, monkeypatch):
    await rig.in_auto()
    order: list[str] = []
    write = FakeLink.write

    async def slow_write(link, move):
        order.append("write begins")
        await asyncio.sleep(0.05)
        order.append("write ends")
        return await write(link, move)

    monkeypatch.setattr(FakeLink, "write", slow_write)
    rig.link.select(OperatorMode.AUTO)

    async def tick():
        await asyncio.sleep(0.01)
        rig.link.lease_held = False
        seen = await rig.supervise()
        order.append(f"tick {seen.after.mode}")

    rig.clock.advance(PERIOD_S)
    await asyncio.gather(rig.cycle.scan(rig.tick()), tick())
    assert order == ["write begins", "write ends", "tick SHED"]
    assert rig.cycle.state.mode is Mode.SHED


async def test_an_unanswered_write_makes_the_next_box_start_from_track(rig):
    await rig.in_auto()
    rig.link.outcomes.append(NotWritten(reason=NotWrittenReason.TIMEOUT))
    assert (await rig.scan()).after.mode is Mode.AUTO
    report = await rig.scan()
    assert report.after.mode is Mode.HOLD
    request = report.proposal.request
    assert (request.high - request.low).tolist() == [1.0, 1.0]


async def test_stopping_hands_the_mvs_back_once_and_leaves_auto_for_good(rig):
    await rig.in_auto()
    await rig.cycle.stop("controller stopped")
    assert rig.link.sheds == ["controller stopped"]
    assert rig.cycle.state.mode is Mode.SHED


async def test_stopping_out_of_auto_tells_the_plant_nothing(rig):
    await rig.scan()
    await rig.cycle.stop("controller stopped")
    assert rig.link.sheds == []
    assert rig.link.moves == []


async def test_an_mv_in_manual_is_not_written_again(rig):
    await rig.in_auto()
    mode = rig.binding.mvs[0].keys["mode"]
    rig.link.values[mode] = 0
    for _ in range(3):
        report = await rig.scan()
        assert report.move.write.tolist() == [False, True]
        assert np.isnan(report.move.targets[0])


async def test_a_report_times_every_stage_and_counts_an_overrun(rig, monkeypatch):
    write = FakeLink.write

    async def slow(link, move):
        rig.clock.advance(0.7)
        return await write(link, move)

    report = await rig.in_auto()
    assert set(report.stage_s) == {"read", "validate", "advise", "guard", "write"}
    assert not report.overrun
    monkeypatch.setattr(FakeLink, "write", slow)
    report = await rig.scan()
    assert report.overrun
    assert report.stage_s["write"] == pytest.approx(0.7)
    assert isinstance(report.outcome, Written)
    assert report.duration_s == pytest.approx(0.7)
    assert replace(report, duration_s=0.4).overrun is False


async def test_a_look_between_scans_tells_what_it_read():
    rig = Rig()
    await rig.scan()
    rig.link.quality["cv.CV0.pv"] = Quality.BAD
    rig.link.values["cv.CV1.pv"] = 61.0
    seen = await rig.supervise()
    assert np.isnan(seen.readings.cv[0])
    assert seen.readings.cv[1] == 61.0
    assert seen.readings.quality["cv.CV0.pv"] is Quality.BAD
