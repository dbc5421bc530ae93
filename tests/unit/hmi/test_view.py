"""What pages show: words for modes, staleness, moves, certificates; any dimension."""

import json
import math
from datetime import timedelta

import pytest

from controller.core.state import Mode
from controller.core.types import (
    Faulted,
    Late,
    Measurement,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    Quality,
    Refused,
)
from controller.hmi.journal_tail import Tail
from controller.hmi.values import digits, finite
from controller.hmi.view import mode_of, summary, view
from controller.hmi.words import MODES, duration
from models.runtime import Refusal, RefusalReason
from tests.unit.hmi.conftest import NOW, held

PV, SP = "cv.Temperature.pv", "cv.Temperature.sp"


def temperature(document):
    return next(cv for cv in document["cvs"] if cv["tag"] == "Temperature")


def test_nothing_known_is_null_and_never_zero(unit, seen):
    shown = view(unit, seen(connected=False, problem="no answer in time"))
    assert shown["connected"] is False
    assert "no answer in time" in shown["link_text"]
    assert (shown["controller"], shown["mode"]) == ("unknown", None)
    for cv in shown["cvs"]:
        assert (cv["pv"], cv["sp"], cv["deviation_share"]) == (None, None, None)
        assert (cv["quality"], cv["stale"]) == ("bad", True)
    for move in shown["moves"]:
        assert {move[key] for key in ("policy", "corrected", "applied", "actual")} == {None}
    assert shown["certificate"]["certified"] is None
    assert shown["scan"]["age_s"] is None
    assert all(lamp["on"] is None for lamp in shown["handshake"])


def test_values_are_in_the_models_unit_with_their_deviation(unit, seen):
    cv = temperature(summary(unit, seen({PV: 352.0, SP: 350.0})))
    assert (cv["pv"], cv["sp"], cv["unit"]) == (352.0, 350.0, "K")
    assert cv["deviation_share"] == pytest.approx(2.0 / 45.0)
    assert (cv["low"], cv["high"], cv["safe_high"], cv["digits"]) == (320.0, 365.0, 362.0, 2)
    assert cv["stale"] is False


def test_a_unit_of_the_server_is_converted(plain_unit, seen):
    unit = plain_unit(1, 1)
    tags = unit.tags
    assert set(tags.cv) == {"CV0"}
    shown = summary(unit, seen({"cv.CV0.pv": 40.0, "cv.CV0.sp": 50.0, "mv.MV0.actual": 12.0}))
    assert (shown["cvs"][0]["pv"], shown["mvs"][0]["actual"]) == (40.0, 12.0)


@pytest.mark.parametrize(
    ("value", "stale", "quality", "number"),
    [
        (held(PV, 350.0), False, "good", 350.0),
        (held(PV, 350.0, age_s=30.0), True, "good", 350.0),
        (held(PV, 350.0, source=NOW - timedelta(seconds=30)), True, "good", 350.0),
        (held(PV, 350.0, quality=Quality.UNCERTAIN), False, "uncertain", 350.0),
        (held(PV, 350.0, quality=Quality.BAD), False, "bad", None),
        (held(PV, math.nan), False, "good", None),
        (held(PV, "hot"), False, "good", None),
        (held(PV, None), False, "good", None),
    ],
)
def test_doubts_about_a_value_are_shown(  # noqa: PLR0917 - a row of the table
    unit, seen, value: Measurement, stale, quality, number
):
    fresh = held("clock.plant_time", 1.0)
    cv = temperature(summary(unit, seen({PV: value, SP: 350.0, "clock.plant_time": fresh})))
    assert (cv["stale"], cv["quality"], cv["pv"]) == (stale, quality, number)


def test_the_age_of_a_stale_value_is_told(unit, seen):
    fresh = held("clock.plant_time", 1.0)
    late = held(PV, 350.0, source=NOW - timedelta(seconds=40))
    for value, age_s in ((held(PV, 350.0, age_s=30.0), 30.0), (late, 40.0), (held(PV, 1.0), None)):
        cv = temperature(summary(unit, seen({PV: value, SP: 350.0, "clock.plant_time": fresh})))
        assert cv["age_s"] == age_s
    assert temperature(summary(unit, seen({})))["age_s"] is None


def test_the_servers_clock_may_be_hours_off(unit, seen):
    there = NOW - timedelta(hours=5)
    values = {key: held(key, 350.0, source=there) for key in (PV, SP)}
    assert temperature(summary(unit, seen(values)))["stale"] is False


def test_without_a_connection_everything_is_stale(unit, seen):
    shown = summary(unit, seen({PV: 350.0, SP: 350.0}, connected=False, problem="refused"))
    assert temperature(shown)["stale"] is True
    assert temperature(shown)["pv"] == 350.0


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_has_words_and_its_reason(unit, seen, tail, mode):
    shown = summary(unit, seen(tail=tail(mode=None, reason="because of <b>that</b>")))
    assert shown["mode"] == "AUTO"
    document = Tail(scan={**tail().scan, "mode_after": str(mode), "reason": "why"}, problem="")
    shown = summary(unit, seen(tail=document))
    assert shown["mode"] == str(mode)
    assert shown["mode_text"] == f"{MODES[mode]}: why"
    assert shown["controller"] == "running"


def test_a_mode_between_two_scans_counts(unit, seen, tail):
    between = {"before": "AUTO", "after": "SHED", "reason": "the lease is not held"}
    shown = summary(unit, seen(tail=tail(mode=between)))
    assert shown["mode"] == "SHED"
    assert "the lease is not held" in shown["mode_text"]
    move = view(unit, seen(tail=tail(mode=between)))["moves"][0]
    assert (move["applied"], move["reason"]) == (None, "SHED: the lease is not held")


def test_a_controller_is_running_silent_stopped_or_unknown(unit, seen, tail):
    def state(**changes):
        shown = summary(unit, seen(**changes))
        return shown["controller"], shown["mode_stale"], shown["mode_text"]

    assert state(tail=tail())[:2] == ("running", False)
    silent = state(tail=tail(age_s=90.0))
    assert silent[:2] == ("silent", True)
    assert "90 s ago" in silent[2]
    assert state(tail=tail(age_s=90.0), beat_s=0.5)[0] == "running"
    assert state(tail=tail(age_s=0.5), beat_s=20.0)[0] == "silent"
    assert state(beat_s=20.0)[0] == "silent"
    assert state(beat_s=0.5)[0] == "running"
    stopped = state(tail=tail(age_s=90.0, stop={"reason": "controller stopped"}))
    assert stopped[0] == "stopped"
    assert "controller stopped" in stopped[2]
    assert state()[0] == "unknown"


def test_a_read_only_controller_beats_no_heart(unit, seen, tail):
    document = tail()
    document.scan["conditions"].append("read_only")
    shown = summary(unit, seen(tail=document, beat_s=60.0))
    assert shown["controller"] == "running"


def test_without_a_journal_the_plant_says_what_it_can(unit, seen):
    image = {
        "handshake.active": True,
        "handshake.mode": 2,
        "diagnostics.cycle_ms": 12.0,
        "diagnostics.correction_gap": 1e-7,
        "diagnostics.advisory.InitiatorFeed": 1.25,
    }
    shown = view(unit, seen(image, beat_s=0.2))
    assert (shown["source"], shown["mode"]) == ("plant", "AUTO")
    assert shown["scan"]["duration_s"] == 0.012
    assert shown["certificate"]["gap"] == 1e-7
    assert "not on this machine" in shown["certificate"]["text"]
    assert shown["moves"][0]["corrected"] == 1.25
    assert shown["moves"][0]["policy"] is None
    assert mode_of(unit, seen({"handshake.active": False, "handshake.mode": 1}))[0] == "SHADOW"


def test_moves_say_what_was_written(unit, seen, tail):
    shown = view(unit, seen({"mv.InitiatorFeed.actual": 1.0}, tail=tail()))
    first = shown["moves"][0]
    assert (first["corrected"], first["applied"], first["reason"]) == (40.0, 40.0, "")
    assert first["actual"] == 1.0
    assert shown["certificate"]["certified"] is True
    assert shown["certificate"]["text"].startswith("Certified: the gap is 1 %")


def test_moves_say_why_nothing_was_written(unit, seen, tail):
    nothing = NotWritten(reason=NotWrittenReason.NOTHING_TO_WRITE)
    shadow = tail(mode=None, reason="selected by the operator", move=None, outcome=nothing)
    shown = view(unit, seen(tail=shadow))
    assert shown["moves"][0]["applied"] is None
    assert shown["moves"][0]["reason"] == "AUTO: selected by the operator"
    refused = NotWritten(reason=NotWrittenReason.REJECTED, detail="BadUserAccessDenied")
    shown = view(unit, seen(tail=tail(outcome=refused)))
    assert "rejected by the server: BadUserAccessDenied" in shown["moves"][0]["reason"]


@pytest.mark.parametrize(
    ("proposal", "words"),
    [
        (Late(answer=None, request=None, elapsed_s=1.0, detail="policy"), "after the deadline"),
        (
            Refused(
                refusal=Refusal(reason=next(iter(RefusalReason)), detail="outside the envelope"),
                request=None,
                elapsed_s=0.1,
            ),
            "outside the envelope",
        ),
        (Faulted(answer=None, detail="it broke", request=None, elapsed_s=0.1), "it broke"),
        (NotAsked(reason="a measurement is bad"), "a measurement is bad"),
    ],
)
def test_a_missing_certificate_has_its_reason(unit, seen, tail, proposal, words):
    shown = view(unit, seen(tail=tail(proposal=proposal, move=None)))
    assert words in shown["certificate"]["text"]
    assert not shown["certificate"]["certified"]


def test_the_lease_of_a_controller_that_is_not_heard_is_not_known(unit, seen, tail):
    assert view(unit, seen(tail=tail()))["lease"] == {"held": True, "text": "Held"}
    assert view(unit, seen(tail=tail(age_s=90.0)))["lease"]["held"] is None


def test_lamps_follow_the_tags(unit, seen):
    on = {
        "handshake.permit": True,
        "handshake.request": True,
        "handshake.active": True,
        "handshake.shed_reason": "heartbeat lost",
    }
    lamps = {item["name"]: item for item in view(unit, seen(on, beat_s=0.1))["handshake"]}
    assert [lamps[name]["on"] for name in ("permit", "request", "active")] == [True] * 3
    assert lamps["shed"] == {
        "name": "shed",
        "label": "Shed",
        "on": True,
        "text": "heartbeat lost",
    }
    assert lamps["heartbeat_in"]["on"] is True
    assert lamps["heartbeat_out"]["on"] is None
    lost = view(unit, seen(on, connected=False, problem="x", beat_s=0.1))["handshake"]
    assert all(lamp["on"] is None for lamp in lost)


def test_setpoints_may_be_set_within_both_ranges(unit, seen):
    limits = view(unit, seen(ranges={SP: (300.0, 360.0)}))["actions"]["setpoints"]
    found = {item["tag"]: (item["low"], item["high"]) for item in limits}
    assert found["Temperature"] == (300.0, 360.0)
    assert found["PolymerConc"] == (-10.0, 400.0)
    assert view(unit, seen())["actions"]["mode"] == ["MANUAL", "SHADOW", "AUTO"]


@pytest.mark.parametrize(("n_cv", "n_mv"), [(1, 1), (3, 2), (1, 4)])
def test_any_dimension(plain_unit, seen, tail, n_cv, n_mv):
    unit = plain_unit(n_cv, n_mv)
    shown = view(unit, seen(tail=tail(n_cv=n_cv, n_mv=n_mv)))
    assert len(shown["cvs"]) == n_cv
    assert [move["tag"] for move in shown["moves"]] == [f"MV{k}" for k in range(n_mv)]
    assert all(move["applied"] is not None for move in shown["moves"])
    json.dumps(shown, allow_nan=False)


def test_a_document_is_always_json(unit, seen, tail):
    broken = tail()
    scan = {**broken.scan, "gap": "inf", "tolerance": None, "move": [None, "inf"], "novelty": None}
    shown = view(unit, seen({PV: math.inf}, tail=Tail(scan=scan, problem="")))
    json.dumps(shown, allow_nan=False)
    assert shown["moves"][1]["corrected"] is None


def test_numbers_and_spans():
    assert finite(math.nan) is None
    assert finite(True) is None  # noqa: FBT003
    assert finite(1.23456789123) == 1.234568
    assert [digits(0, span) for span in (0.01, 1, 2.5, 45, 250, 1e5)] == [6, 4, 3, 2, 1, 0]
    assert [duration(s) for s in (3, 150, 8000, 400000)] == ["3 s", "2 min", "2 h", "5 d"]


def test_a_change_is_live_within_a_second_and_a_half():
    """At worst it waits for the plant to publish, for the next view, and for the next message."""
    from controller.hmi import fleet, hub, watch

    assert fleet.LONGEST_S + watch.COMPUTED_S + hub.SHORTEST_S <= 1.0
    assert watch.LOOKED_S + watch.COMPUTED_S + hub.SHORTEST_S <= 1.0
