"""Validation: what must not be used becomes NaN, with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from controller.configuration.binding import bind
from controller.configuration.tags import parse_tags
from controller.core.judge import SPIKE_SCANS
from controller.core.types import FaultKind, OperatorMode, Quality
from controller.core.validate import ValidationMemory, ValidationRules, validate
from controller.testing import (
    EPOCH,
    FakeClock,
    FakeLink,
    plain_binding,
    plain_manifest,
    plain_tags,
)

RULES = ValidationRules(sample_time_s=300.0, max_gap_s=1800.0, heartbeat_limit_s=3.0)
PV, SP, ACTUAL = "cv.CV0.pv", "cv.CV0.sp", "mv.MV0.actual"


class Plant:
    """A FakeLink with a memory of validation, scanned every 300 s."""

    def __init__(self, binding=None, rules=RULES):
        self.binding = binding or plain_binding(1, 1, 1)
        self.rules = rules
        self.clock = FakeClock()
        self.link = FakeLink(binding=self.binding, clock=self.clock)
        self.memory = ValidationMemory()

    def scan(self, elapsed=300.0, **changes):
        self.clock.advance(elapsed)
        snapshot = replace(self.link.freeze(None), **changes)
        readings, self.memory = validate(snapshot, self.binding, self.rules, self.memory)
        return readings

    def look(self, elapsed=1.0, **changes):
        """One supervision tick."""
        self.clock.advance(elapsed)
        snapshot = replace(self.link.freeze(None), **changes)
        readings, self.memory = validate(
            snapshot, self.binding, self.rules, self.memory, is_scan=False
        )
        return readings

    def with_measurement(self, key, **changes):
        snapshot = self.link.freeze(None)
        measurements = dict(snapshot.measurements)
        measurements[key] = replace(measurements[key], **changes)
        return {"measurements": measurements}


def kinds(readings):
    return {fault.tag: fault.kind for fault in readings.faults}


def test_a_sound_snapshot_is_read_in_order_and_shape():
    plant = Plant(plain_binding(3, 4, 2))
    plant.link.values["cv.CV2.pv"] = 7.0
    readings = plant.scan()
    assert readings.cv.tolist() == [50.0, 50.0, 7.0]
    assert readings.mv.shape == readings.target.shape == (4,)
    assert readings.dv.shape == (2,)
    assert readings.usable
    assert readings.available.all()
    assert readings.faults == ()
    assert readings.handshake.operator is OperatorMode.MANUAL
    assert readings.limits.max_move.tolist() == [10.0] * 4
    assert set(readings.quality.values()) == {Quality.GOOD}


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        (PV, float("nan"), FaultKind.NON_FINITE),
        (PV, float("inf"), FaultKind.NON_FINITE),
        (PV, 100.5, FaultKind.RANGE),
        (PV, -0.5, FaultKind.RANGE),
        (PV, True, FaultKind.TYPE),
        (PV, "50", FaultKind.TYPE),
        (SP, 200.0, FaultKind.RANGE),
        (ACTUAL, float("nan"), FaultKind.NON_FINITE),
        ("dv.DV0.pv", -1.0, FaultKind.RANGE),
        ("mv.MV0.lo_lim", float("nan"), FaultKind.NON_FINITE),
        ("mv.MV0.max_move_node", -1.0, FaultKind.RANGE),
        ("mv.MV0.permit", "yes", FaultKind.TYPE),
        ("handshake.mode", 7, FaultKind.TYPE),
        ("handshake.permit", 0.5, FaultKind.TYPE),
    ],
)
def test_unusable_values(key, value, kind):
    plant = Plant()
    plant.link.values[key] = value
    readings = plant.scan()
    assert kinds(readings) == {key: kind}
    assert readings.quality[key] is Quality.BAD


@pytest.mark.parametrize("key", [PV, SP, ACTUAL, "dv.DV0.pv"])
def test_what_the_model_needs_is_nan_when_bad(key):
    plant = Plant()
    plant.link.quality[key] = Quality.BAD
    readings = plant.scan()
    assert kinds(readings) == {key: FaultKind.QUALITY}
    assert not readings.usable


def test_a_value_that_the_server_nulled_is_bad():
    plant = Plant()
    readings = plant.scan(0.0, **plant.with_measurement(PV, value=None))
    assert kinds(readings) == {PV: FaultKind.QUALITY}


def test_a_tag_never_delivered_is_missing():
    plant = Plant()
    del plant.link.values[PV]
    assert kinds(plant.scan()) == {PV: FaultKind.MISSING}


def test_uncertain_is_used_and_reported():
    plant = Plant()
    plant.link.quality[PV] = Quality.UNCERTAIN
    readings = plant.scan()
    assert readings.usable
    assert kinds(readings) == {PV: FaultKind.UNCERTAIN}


def test_nothing_is_trusted_without_a_connection():
    plant = Plant()
    readings = plant.scan(connected=False)
    assert not readings.usable
    assert np.isnan(readings.cv).all()
    assert readings.handshake.operator is None
    assert readings.handshake.active is None
    assert not readings.available.any()
    assert readings.faults == ()  # one condition says it, not every tag


@pytest.mark.parametrize("age", [3.1, None, float("nan")])
def test_a_heartbeat_that_stands_still_makes_everything_stale(age):
    readings = Plant().scan(heartbeat_age_s=age)
    assert readings.heartbeat_stale
    assert not readings.usable


def test_a_dcs_without_heartbeat_is_judged_by_deliveries():
    raw = plain_tags(1, 1, 1)
    del raw["handshake"]["heartbeat_out"]
    binding = bind(parse_tags(raw, file="t"), plain_manifest(1, 1, 1), file="t")
    readings = Plant(binding).scan(heartbeat_age_s=None)
    assert not readings.heartbeat_stale
    assert readings.usable


def test_a_delivery_too_old_is_stale_even_if_good():
    plant = Plant()
    plant.clock.advance(300.0)
    old = plant.with_measurement(PV, received_s=plant.clock() - 3.1)
    assert kinds(plant.scan(0.0, **old)) == {PV: FaultKind.STALE}


def test_a_quiet_value_that_is_polled_is_not_stale():
    plant = Plant()
    for _ in range(5):
        plant.clock.advance(300.0)
        quiet = plant.with_measurement(PV, source_time=EPOCH)
        assert plant.scan(0.0, **quiet).usable


def watched(**changes):
    raw = plain_tags(1, 1, 1)
    raw["cv"]["CV0"] |= changes
    return bind(parse_tags(raw, file="t"), plain_manifest(1, 1, 1), file="t")


def test_a_source_time_behind_the_servers_clock_is_stale():
    plant = Plant(watched(stale_after_s=2.0))
    plant.clock.advance(300.0)
    now = EPOCH + timedelta(seconds=plant.clock())
    late = plant.with_measurement(PV, source_time=now - timedelta(seconds=2.5))
    assert kinds(plant.scan(0.0, **late)) == {PV: FaultKind.STALE}
    late = plant.with_measurement(PV, source_time=now - timedelta(seconds=1.5))
    assert plant.scan(0.0, **late).usable


MINUTES = timedelta(minutes=5)


def stamped(plant, server_offset=timedelta(0), **offsets):
    """A snapshot of a server with a clock of its own, and sources that are off that clock."""
    now = EPOCH + timedelta(seconds=plant.clock()) + server_offset
    entries = plant.link.freeze(None).measurements
    shifted = {
        key: replace(entry, source_time=now + offsets.get(key.split(".")[0], timedelta(0)))
        for key, entry in entries.items()
    }
    return {"measurements": shifted, "server_time": now}


@pytest.mark.parametrize("offset", [MINUTES, -MINUTES])
def test_a_server_whose_clock_is_minutes_off_ours_is_no_doubt(offset):
    plant = Plant(watched(stale_after_s=2.0))
    for _ in range(3):
        plant.clock.advance(300.0)
        assert plant.scan(0.0, **stamped(plant, offset)).usable


def test_a_source_ahead_of_the_server_makes_no_other_source_old():
    plant = Plant(watched(stale_after_s=2.0))
    for _ in range(3):
        plant.clock.advance(300.0)
        assert plant.scan(0.0, **stamped(plant, dv=MINUTES)).usable


def test_a_source_ahead_of_the_server_that_stands_still_is_stale():
    plant = Plant(watched(stale_after_s=2.0))
    frozen = stamped(plant, cv=MINUTES)["measurements"][PV]
    for elapsed, usable in ((0.0, True), (1.5, True), (1.0, False)):
        plant.clock.advance(elapsed)
        snapshot = stamped(plant, cv=MINUTES)
        held = replace(frozen, received_s=plant.clock())
        snapshot["measurements"] |= {PV: held}
        assert plant.look(0.0, **snapshot).usable is usable


def test_sources_that_are_all_ahead_are_held_against_each_other():
    plant = Plant(watched(stale_after_s=2.0))
    plant.clock.advance(300.0)
    every = dict.fromkeys(("cv", "mv", "dv", "handshake", "clock"), MINUTES)
    assert plant.scan(0.0, **stamped(plant, **every)).usable
    every["cv"] = timedelta(minutes=4)
    assert kinds(plant.scan(0.0, **stamped(plant, **every))) == {PV: FaultKind.STALE}


def test_a_late_source_among_others_that_are_ahead_of_the_server_is_stale():
    plant = Plant(watched(stale_after_s=5.0))
    ahead = dict.fromkeys(("mv", "dv", "handshake", "clock"), timedelta(seconds=5))
    for _ in range(3):
        plant.clock.advance(300.0)
        late = stamped(plant, cv=timedelta(seconds=-25), **ahead)
        assert kinds(plant.scan(0.0, **late)) == {PV: FaultKind.STALE}


def test_a_server_whose_source_times_all_stand_still_is_stale():
    plant = Plant(watched(stale_after_s=2.0))
    assert plant.scan().usable
    stamp = EPOCH + timedelta(seconds=plant.clock())
    plant.clock.advance(300.0)
    frozen = {
        key: replace(entry, source_time=stamp)
        for key, entry in plant.link.freeze(None).measurements.items()
    }
    assert kinds(plant.scan(0.0, measurements=frozen)) == {PV: FaultKind.STALE}


def test_a_step_of_our_own_wall_clock_changes_nothing():
    plant = Plant(watched(stale_after_s=2.0))
    assert plant.scan().usable
    for hours in (1, -2, 1):
        assert plant.scan(utc=EPOCH + timedelta(hours=hours)).usable


def test_a_spike_is_rejected_and_the_next_sound_value_used():
    plant = Plant(watched(max_step=5.0))
    plant.scan()
    plant.link.values[PV] = 90.0
    assert kinds(plant.scan()) == {PV: FaultKind.SPIKE}
    plant.link.values[PV] = 51.0
    assert plant.scan().cv.tolist() == [51.0]


def test_a_step_that_stays_is_rejected_long_enough_to_shed_and_then_believed():
    plant = Plant(watched(max_step=5.0))
    plant.scan()
    plant.link.values[PV] = 90.0
    for _ in range(SPIKE_SCANS):
        assert not plant.scan().usable
    assert plant.scan().cv.tolist() == [90.0]


def test_the_allowed_step_grows_with_elapsed_plant_time():
    plant = Plant(watched(max_step=5.0))
    plant.scan()
    plant.link.values[PV] = 59.0
    assert plant.scan(600.0).usable


def test_a_restarted_plant_clock_forgets_the_past():
    plant = Plant(watched(max_step=5.0))
    plant.scan()
    plant.link.values[PV] = 90.0
    readings = plant.scan(plant_time_s=0.0)
    assert np.isnan(readings.elapsed_s)
    assert readings.usable


def test_a_frozen_value_is_bad_after_its_scans():
    plant = Plant(watched(frozen_after_scans=3))
    assert [plant.scan().usable for _ in range(5)] == [True, True, True, False, False]
    plant.link.values[PV] = 50.1
    assert plant.scan().usable


def test_a_tick_counts_no_scan():
    plant = Plant(watched(frozen_after_scans=1, max_step=5.0))
    for step in range(4):
        plant.link.values[PV] = 50.0 + step
        assert plant.scan().usable
        assert all(plant.look().usable for _ in range(5))
    assert not plant.scan().usable
    assert kinds(plant.look()) == {PV: FaultKind.FROZEN}  # it stays one until the next scan


def test_a_tick_leaves_a_rejected_step_rejected():
    plant = Plant(watched(max_step=5.0))
    plant.scan()
    plant.link.values[PV] = 90.0
    for _ in range(SPIKE_SCANS):
        assert not plant.scan().usable
        assert not plant.look().usable
    assert plant.scan().usable


def test_a_tick_notices_that_the_servers_clock_stands_still():
    raw = plain_tags(1, 1, 1)
    del raw["handshake"]["heartbeat_out"], raw["clock"]
    raw["cv"]["CV0"]["stale_after_s"] = 3.0
    plant = Plant(bind(parse_tags(raw, file="t"), plain_manifest(1, 1, 1), file="t"))
    assert plant.scan().usable
    stamp = EPOCH + timedelta(seconds=plant.clock() + 1.0)  # the server stops 1 s after the scan

    def stopped():
        entries = plant.link.freeze(None).measurements.items()
        return {key: replace(entry, source_time=stamp) for key, entry in entries}

    stale = [bool(plant.look(measurements=stopped()).faults) for _ in range(6)]
    assert stale == [False, False, False, False, True, True]


def test_one_unreadable_plant_time_forgets_nothing():
    plant = Plant(watched(max_step=5.0))
    plant.link.values["mv.MV0.init"] = True
    plant.scan()
    before = plant.memory
    assert not plant.scan(plant_time_s=float("nan")).usable
    assert (plant.memory.tags, plant.memory.init_since_s) == (before.tags, before.init_since_s)
    plant.link.values[PV] = 90.0
    readings = plant.scan()
    assert kinds(readings) == {PV: FaultKind.SPIKE}
    assert readings.init_s == 600.0


@pytest.mark.parametrize(
    ("elapsed", "counted", "step"),
    [
        (300.0, 300.0, 0.0),
        (0.0, 0.0, 0.0),
        (-0.5, 0.0, 0.0),
        (-3600.0, np.nan, -3600.0),
        (1801.0, np.nan, 1801.0),
    ],
)
def test_a_jump_of_the_plants_clock_is_told_from_jitter(elapsed, counted, step):
    plant = Plant()
    assert plant.scan().clock_step_s == 0.0
    time = plant.clock()
    for look in (plant.look, plant.scan):  # a tick leaves it for the scan to see
        readings = look(0.0, plant_time_s=time + elapsed)
        assert (readings.clock_step_s, readings.elapsed_s) == pytest.approx(
            (step, counted), nan_ok=True
        )


def test_small_steps_back_add_up_to_a_jump():
    plant = Plant()
    plant.scan()
    time = plant.clock()
    steps = [plant.scan(0.0, plant_time_s=time - back).clock_step_s for back in (0.6, 1.2)]
    assert steps == pytest.approx([0.0, -1.2])


def test_a_session_opened_anew_is_seen_once():
    plant = Plant()
    plant.link.session = 7
    assert not plant.scan().new_session
    assert not plant.look().new_session
    plant.link.session = 8
    assert plant.look().new_session
    assert not plant.look().new_session
    assert not plant.scan().new_session


def test_a_connection_seen_lost_comes_back_as_a_new_session():
    plant = Plant()
    assert not plant.scan(connected=False).new_session  # none was open before
    assert not plant.scan().new_session
    for see in (plant.scan, plant.look):
        assert not see(connected=False).new_session
        assert not see(connected=False).new_session
        assert see().new_session
        assert not see().new_session


def test_an_image_that_could_not_be_polled_is_of_the_same_session():
    plant = Plant()
    plant.scan()
    readings = plant.scan(current=False)
    assert not readings.connected
    assert not readings.usable
    assert not plant.scan().new_session


def test_plant_time_that_cannot_be_read_is_a_fault():
    readings = Plant().scan(plant_time_s=float("nan"))
    assert kinds(readings) == {"clock.plant_time": FaultKind.MISSING}
    assert not readings.usable


@pytest.mark.parametrize(
    ("key", "value"),
    [("mv.MV0.mode", 0), ("mv.MV0.permit", False), ("mv.MV0.init", True)],
)
def test_an_mv_is_available_only_if_every_tag_says_so(key, value):
    plant = Plant()
    plant.link.values[key] = value
    assert not plant.scan().available[0]


def test_an_mv_without_mode_and_permit_tags_is_available():
    raw = plain_tags(1, 1, 1)
    for key in ("mode", "permit", "init", "track", "lo_lim", "hi_lim", "max_move_node"):
        del raw["mv"]["MV0"][key]
    plant = Plant(bind(parse_tags(raw, file="t"), plain_manifest(1, 1, 1), file="t"))
    plant.link.values[ACTUAL] = 33.0
    readings = plant.scan()
    assert readings.available.all()
    assert readings.track.tolist() == [33.0]  # Actual stands in
    assert readings.limits.low.tolist() == [0.0]
    assert readings.limits.max_move.tolist() == [10.0]


def test_limits_are_cut_with_the_range_and_max_move_with_its_default():
    plant = Plant()
    plant.link.values |= {
        "mv.MV0.lo_lim": -20.0,
        "mv.MV0.hi_lim": 60.0,
        "mv.MV0.max_move_node": 4.0,
    }
    limits = plant.scan().limits
    assert (limits.low[0], limits.high[0], limits.max_move[0]) == (0.0, 60.0, 4.0)
    plant.link.values["mv.MV0.max_move_node"] = 40.0
    assert plant.scan().limits.max_move[0] == 10.0


def test_the_override_is_timed_in_plant_time():
    plant = Plant()
    plant.link.values["mv.MV0.init"] = True
    assert [plant.scan().init_s for _ in range(3)] == [0.0, 300.0, 600.0]
    plant.link.values["mv.MV0.init"] = False
    assert plant.scan().init_s == 0.0


def test_units_are_converted():
    raw = plain_tags(1, 1, 1)
    raw["mv"]["MV0"] |= {"unit": "percent", "span": [0.0, 200.0], "range": [0.0, 50.0]}
    plant = Plant(bind(parse_tags(raw, file="t"), plain_manifest(1, 1, 1), file="t"))
    plant.link.values |= {ACTUAL: 20.0, "mv.MV0.lo_lim": 10.0, "mv.MV0.max_move_node": 2.0}
    readings = plant.scan()
    assert readings.mv.tolist() == [40.0]
    assert readings.limits.low.tolist() == [20.0]
    assert readings.limits.max_move.tolist() == [4.0]


def test_a_dcs_without_a_selector_uses_the_stand_in():
    raw = plain_tags(1, 1, 1)
    del raw["handshake"]["mode"]
    binding = bind(parse_tags(raw, file="t"), plain_manifest(1, 1, 1), file="t")
    rules = replace(RULES, stand_in=OperatorMode.MANUAL)
    assert Plant(binding, rules).scan().handshake.operator is OperatorMode.MANUAL
