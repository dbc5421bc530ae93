"""The shipped configuration and the shipped bundle belong together, and replay bit for bit."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from controller.configuration.binding import bind
from controller.configuration.settings import default_config_dir, load_settings
from controller.configuration.tags import load_tags
from controller.core.box import Box, box_origin, move_box, no_targets
from controller.core.observe import advice_request
from controller.core.report import CycleReport
from controller.core.state import Mode, ModeState
from controller.core.types import NOTHING_WRITTEN, Advised, NotAsked, OperatorMode, Refused, Tick
from controller.core.validate import ValidationMemory, ValidationRules, validate
from controller.journal.reader import Reader
from controller.journal.replay import replay
from controller.journal.writer import Journal, RunInfo
from controller.testing import FakeClock, FakeLink
from models.bundle import default_bundle
from models.runtime import Advice, Runtime

SCANS = 60


@pytest.fixture(scope="module")
def runtime():
    return Runtime.load(default_bundle())


@pytest.fixture(scope="module")
def binding(runtime):
    settings = load_settings(default_config_dir() / "controller.toml")
    assert settings.scan.period_s == runtime.manifest.sample_time_s  # at speed 1
    tags = load_tags(settings.tags.path)
    return bind(tags, runtime.manifest, file=settings.tags.path)


def drive(link, rng):
    """One scan further: measurements wander, the setpoint steps, an MV is taken for a while."""
    values = link.values
    values["cv.PolymerConc.pv"] = 100.0 + 5.0 * rng.standard_normal()
    values["cv.Temperature.pv"] = 350.0 + rng.standard_normal()
    values["dv.MonomerConc.pv"] = 400.0 + 5.0 * rng.standard_normal()
    values["cv.PolymerConc.sp"] = float(rng.choice([100.0, 95.0, 300.0]))
    values["cv.Temperature.sp"] = 350.0
    values["mv.InitiatorFeed.mode"] = int(rng.choice([2, 2, 2, 0]))


def asked(runtime, memory, readings, origin):
    box = move_box(readings, origin)
    if not (isinstance(box, Box) and readings.usable):
        return NotAsked(reason="no box"), memory
    request = advice_request(readings, box, freeze=False)
    answer, memory = runtime.advise(request, memory)
    if isinstance(answer, Advice):
        assert (request.low <= answer.move).all()
        assert (answer.move <= request.high).all()
        return Advised(advice=answer, request=request, elapsed_s=0.0), memory
    return Refused(refusal=answer, request=request, elapsed_s=0.0), memory


def test_a_journal_of_the_real_model_replays_bit_for_bit(runtime, binding, tmp_path):
    rng = np.random.default_rng(7)
    clock = FakeClock()
    link = FakeLink(binding=binding, clock=clock)
    link.select(OperatorMode.AUTO)
    rules = ValidationRules(
        sample_time_s=runtime.manifest.sample_time_s,
        max_gap_s=runtime.manifest.max_gap_s,
        heartbeat_limit_s=3.0,
    )
    state = ModeState(mode=Mode.SHADOW)
    seen, memory = ValidationMemory(), runtime.initial_memory()
    info = RunInfo(host="h", versions={}, bundle="b", manifest_sha256="", config={})
    journal = Journal.open(tmp_path / "journal.db", info)
    kinds = set()
    for number in range(SCANS):
        clock.advance(300.0)
        drive(link, rng)
        tick = Tick(scan_id=number, due_s=clock(), started_s=clock(), budget_s=1.0)
        readings, seen = validate(link.freeze(tick), binding, rules, seen)
        origin = box_origin(state, readings, no_targets(2), read_only=False)
        proposal, memory = asked(runtime, memory, readings, origin)
        kinds.add(type(proposal))
        journal.record(
            CycleReport(
                tick=tick,
                utc=datetime.now(UTC),
                before=state,
                after=state,
                readings=readings,
                proposal=proposal,
                move=None,
                outcome=NOTHING_WRITTEN,
                conditions=(),
                duration_s=0.0,
                deadline_s=1.0,
            )
        )
    assert journal.close().written == SCANS
    assert kinds == {Advised, Refused}  # 300 kg/m3 is outside the envelope
    with Reader.open(tmp_path / "journal.db") as reader:
        assert reader.verify() is None
        assert list(replay(reader, Runtime.load(default_bundle()))) == []
