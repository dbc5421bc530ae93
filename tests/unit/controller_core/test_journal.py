"""The journal: what goes in comes out, failures are seen, and edits are found."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from controller.core.box import move_box, no_targets
from controller.core.conditions import Condition
from controller.core.observe import advice_request
from controller.core.policy import PolicyFailed, PolicyLate, PolicyMove, judged, move_of
from controller.core.report import CycleReport
from controller.core.state import Mode, ModeState
from controller.core.types import (
    Advised,
    Fault,
    Faulted,
    FaultKind,
    GuardReason,
    GuardRefusal,
    Late,
    Move,
    MoveOrigin,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    Partial,
    Refused,
    Tick,
    WriteFailure,
    Written,
    flags,
    vector,
)
from controller.errors import ConfigError
from controller.journal import writer
from controller.journal.document import request_of, restored
from controller.journal.reader import Reader
from controller.journal.replay import replay
from controller.journal.writer import LOST, Event, Journal, RunInfo
from controller.testing import plain_advice, plain_readings
from models.runtime import Refusal, RefusalReason

UTC_NOW = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
INFO = RunInfo(
    host="here",
    versions={"trimtab": "0.1.0"},
    bundle="polymer-cstr",
    manifest_sha256="0" * 64,
    config={"controller.toml": "[scan]\nperiod_s = 1\n"},
)
AUTO = ModeState(mode=Mode.AUTO, acknowledged=True, reason="in command")
READINGS = plain_readings(cv=vector([0.1 + 0.2, 50.0]), target=vector([np.nan, 50.0]))
REQUEST = advice_request(READINGS, move_box(READINGS, no_targets(2)), freeze=False)
ADVICE = plain_advice(vector([50.1, 49.9]))
MOVE = Move(
    targets=vector([50.1, np.nan]),
    write=flags([True, False]),
    request=True,
    origin=MoveOrigin.CORRECTION,
)


def report(scan_id, proposal=None, **changes):
    whole = CycleReport(
        tick=Tick(scan_id=scan_id, due_s=10.0, started_s=10.001, budget_s=0.05, skipped=2),
        utc=UTC_NOW,
        before=ModeState(mode=Mode.SHADOW, armed=True),
        after=AUTO,
        readings=READINGS,
        proposal=proposal or Advised(advice=ADVICE, request=REQUEST, elapsed_s=0.001),
        move=MOVE,
        outcome=Written(elapsed_s=0.002),
        conditions=(Condition.UNCERTAIN_INPUT,),
        duration_s=0.004,
        deadline_s=0.05,
        stage_s={"read": 0.001, "advise": 0.002},
    )
    return replace(whole, **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "journal.db"


def written(path, *items, info=INFO):
    """Write a run, close it, and return what the closing said."""
    journal = Journal.open(path, info)
    for item in items:
        assert journal.record(item)
    return journal.close()


def test_a_scan_comes_back_whole(path):
    health = written(path, report(0), report(1, move=None))
    assert (health.failures, health.lost, health.waiting, health.written) == (0, 0, 0, 2)
    with Reader.open(path) as reader:
        scan = reader.scan(0)
        assert reader.scan(2) is None
    assert (scan["run"], scan["scan_id"], scan["utc"]) == (1, 0, UTC_NOW.isoformat())
    assert (scan["mode_before"], scan["mode_after"], scan["reason"]) == (
        "SHADOW",
        "AUTO",
        "in command",
    )
    assert restored(scan["cv"]).tobytes() == READINGS.cv.tobytes()
    assert scan["read_back"] == [None, 50.0]
    assert scan["move"] == [50.1, 49.9]
    assert (scan["target"], scan["write"], scan["written"]) == ([50.1, None], [True, False], True)
    assert (scan["certified"], scan["gap"], scan["iterations"]) == (True, 0.0, 1)
    assert scan["conditions"] == ["uncertain_input"]
    assert scan["lateness_s"] == pytest.approx(0.001)
    assert (scan["deadline_s"], scan["overrun"], scan["skipped"]) == (0.05, False, 2)
    assert scan["stage_s"] == {"read": 0.001, "advise": 0.002}


def test_the_request_comes_back_bit_for_bit(path):
    written(path, report(0))
    with Reader.open(path) as reader:
        back = request_of(reader.scan(0))
    for name in ("low", "high", "range_low", "range_high", "windup_low", "windup_high"):
        assert getattr(back, name).tobytes() == getattr(REQUEST, name).tobytes()
        assert getattr(back, name).dtype == getattr(REQUEST, name).dtype
    for name in ("cv", "sp", "mv", "dv"):
        assert getattr(back.sample, name).tobytes() == getattr(REQUEST.sample, name).tobytes()
    assert back.freeze is False
    assert back.sample.plant_time_s == REQUEST.sample.plant_time_s


REFUSAL = Refusal(reason=RefusalReason.OUTSIDE_ENVELOPE, detail="too high")


@pytest.mark.parametrize(
    ("proposal", "kind", "asked"),
    [
        (Late(request=REQUEST, elapsed_s=1.0, answer=ADVICE), "late", True),
        (Late(request=REQUEST, elapsed_s=1.0), "late", True),
        (Refused(refusal=REFUSAL, request=REQUEST, elapsed_s=0.0), "refused", True),
        (Faulted(detail="boom", request=REQUEST, elapsed_s=0.0), "faulted", True),
        (NotAsked(reason="no box"), "not_asked", False),
    ],
)
def test_every_kind_of_proposal_has_the_same_keys(path, proposal, kind, asked):
    written(path, report(0), report(1, proposal))
    with Reader.open(path) as reader:
        first, second = reader.scans()
    assert first.keys() == second.keys()
    assert second["proposal"] == kind
    assert (request_of(second) is not None) == asked
    assert (second["low"] is not None) == asked


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"outcome": Partial(failures=(WriteFailure(tag="a", status="Bad"),))},
            {"outcome": "partial", "failures": [["a", "Bad"]], "written": False},
        ),
        (
            {"outcome": NotWritten(reason=NotWrittenReason.TIMEOUT, detail="1 s")},
            {"outcome": "not_written", "outcome_detail": "no answer in time: 1 s"},
        ),
        (
            {"move": GuardRefusal(reason=GuardReason.NON_FINITE, detail="nan")},
            {"guard": ["not finite", "nan"], "target": None, "written": False},
        ),
        (
            {
                "readings": replace(
                    READINGS,
                    plant_time_s=np.nan,
                    faults=(Fault(tag="t", kind=FaultKind.STALE, detail="old"),),
                )
            },
            {"plant_time_s": None, "faults": [["t", "stale", "old"]]},
        ),
        ({"duration_s": 0.06}, {"overrun": True}),
    ],
)
def test_outcomes_and_faults_are_told(path, changes, expected):
    written(path, report(0, **changes))
    with Reader.open(path) as reader:
        scan = reader.scan(0)
    assert {key: scan[key] for key in expected} == expected


def test_events_and_runs(path):
    event = Event(kind="operator_mode", utc=UTC_NOW, detail={"to": "auto", "x": float("nan")})
    written(path, event, report(0))
    written(path, report(0), info=replace(INFO, host="there"))
    with Reader.open(path) as reader:
        assert [run["host"] for run in reader.runs()] == ["here", "there"]
        assert reader.runs()[0]["config"] == dict(INFO.config)
        assert reader.latest_run() == 2
        assert reader.events() == []
        (told,) = reader.events(1)
        assert (told["kind"], told["detail"]) == ("operator_mode", {"to": "auto", "x": None})
        assert len(list(reader.scans(1))) == len(list(reader.scans())) == 1
        assert reader.verify() is None


def test_a_reader_follows_a_running_controller(path):
    journal = Journal.open(path, INFO)
    try:
        with Reader.open(path) as reader:
            for number in range(3):
                journal.record(report(number))
                deadline = time.monotonic() + 10.0
                while reader.scan(number) is None:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                assert [scan["scan_id"] for scan in reader.scans(after=number - 1)] == [number]
            assert [scan["scan_id"] for scan in reader.tail(2)] == [1, 2]
    finally:
        journal.close()


# ---------------------------------------------------------------------- tampering


def edited(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(statement).rowcount > 0
        connection.commit()


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE scan SET document = replace(document, '50.1', '50.2') WHERE seq = 3", 3),
        ("UPDATE scan SET hash = '00' WHERE seq = 3", 3),
        ("UPDATE scan SET scan_id = 77 WHERE seq = 3", 3),
        ("UPDATE event SET run = 9 WHERE seq = 4", 4),
        ("DELETE FROM scan WHERE seq = 3", 3),
        ("DELETE FROM run", 1),
        ("UPDATE scan SET seq = 99 WHERE seq = 3", 3),
        ("INSERT INTO event VALUES (7, 1, '{\"run\":1}', 'ab')", 7),
    ],
)
def test_an_edit_is_found(path, statement, seq):
    event = Event(kind="note", utc=UTC_NOW)
    written(path, report(0), report(1), event, report(2), report(3))
    with Reader.open(path) as reader:
        assert reader.verify() is None
        assert reader.head()[0] == 6
    edited(path, statement)
    with Reader.open(path) as reader:
        assert reader.verify().seq == seq


# ---------------------------------------------------------------------- failures


def test_a_full_disk_loses_nothing_half_and_is_told_afterwards(path):
    journal = Journal.open(path, INFO, queue_records=4)
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    taken = 0
    for number in range(200):
        taken += journal.record(report(number))
        time.sleep(0.0005)
    assert eventually(lambda: journal.health().failing)
    health = journal.health()
    assert "full" in health.error
    assert health.failures >= 1
    assert health.lost == 200 - taken > 0
    journal._connection.execute("PRAGMA max_page_count = 100000")
    assert eventually(lambda: not journal.health().failing)
    assert journal.close().lost == health.lost
    with Reader.open(path) as reader:
        assert len(list(reader.scans())) == taken
        events = reader.events()
        assert {event["kind"] for event in events} == {LOST}
        assert sum(event["detail"]["count"] for event in events) == health.lost
        assert reader.verify() is None


def eventually(truth, seconds=20.0):
    end = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_a_locked_file_never_blocks_a_scan(path):
    journal = Journal.open(path, INFO, queue_records=3)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.perf_counter()
        for number in range(300):
            journal.record(report(number))
        assert time.perf_counter() - started < 0.5
        assert journal.health().lost > 0
        other.execute("ROLLBACK")
    journal.close()
    with Reader.open(path) as reader:
        assert reader.scan(0) is not None
        assert reader.verify() is None


def test_a_close_that_cannot_write_counts_what_is_lost(path):
    journal = Journal.open(path, INFO)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(5):
            journal.record(report(number))
        health = journal.close(timeout_s=30.0)
        assert (health.lost, health.failing) == (5, True)
        other.execute("ROLLBACK")


LATIN_1 = b"St\xf6rung".decode("utf-8", "surrogateescape")
"""What a string of the DCS that is not UTF-8 would be, if nothing had mended it on the way in."""


def test_a_record_that_cannot_be_stored_is_left_out_counted_and_told(path):
    journal = Journal.open(path, INFO)
    note = Event(kind="note", utc=UTC_NOW)
    bad = report(1, after=replace(AUTO, reason=LATIN_1))
    with journal._lock:  # so that all of them are one batch
        for item in (report(0), bad, note, report(0), report(2)):  # a number given twice, too
            journal.record(item)
    assert eventually(lambda: journal.health().lost == 2 and not journal.health().failing)
    assert journal.record(report(3))
    assert (health := journal.close()).lost == 2
    assert (health.failing, health.error) == (False, "")
    with Reader.open(path) as reader:
        assert [scan["scan_id"] for scan in reader.scans()] == [0, 2, 3]
        told = [event["detail"] for event in reader.events() if event["kind"] == LOST]
        assert sum(entry["count"] for entry in told) == 2
        assert any("surrogates" in entry["error"] for entry in told)
        assert "note" in {event["kind"] for event in reader.events()}
        assert reader.verify() is None


def test_a_disk_that_hangs_is_failing_once_a_record_is_late(path, monkeypatch):
    answers = threading.Event()
    append = writer.append

    def hang(connection, rows):
        answers.wait(30.0)
        append(connection, rows)

    journal = Journal.open(path, INFO, late_s=0.2)
    monkeypatch.setattr(writer, "append", hang)
    try:
        assert not journal.health().failing
        journal.record(report(0))
        assert eventually(lambda: journal.health().failing, 5.0)
        assert "waiting" in journal.health().error
    finally:
        answers.set()
    assert eventually(lambda: not journal.health().failing)
    assert journal.close().lost == 0


def test_a_full_queue_is_failing_until_the_journal_tells_of_the_gap(path, monkeypatch):
    answers = threading.Event()
    append = writer.append
    journal = Journal.open(path, INFO, queue_records=1)
    monkeypatch.setattr(writer, "append", lambda *given: answers.wait(30.0) and append(*given))
    numbers = itertools.count()
    try:
        assert eventually(lambda: not journal.record(report(next(numbers))), 5.0)
        assert journal.health().failing
    finally:
        answers.set()
    assert eventually(lambda: not journal.health().failing)
    assert journal.close().lost == 1


def test_a_close_while_the_disk_hangs_counts_what_waits_as_lost(path, monkeypatch):
    answers = threading.Event()
    journal = Journal.open(path, INFO)
    monkeypatch.setattr(writer, "append", lambda *_: answers.wait(30.0))
    try:
        journal.record(report(0))
        health = journal.close(timeout_s=0.2)
    finally:
        answers.set()
        journal._thread.join(30.0)
        journal._connection.close()
    assert (health.lost, health.failing) == (1, True)


def test_a_dead_thread_is_failing_and_everything_after_it_is_lost(path, monkeypatch):
    journal = Journal.open(path, INFO)

    def die(_journal):
        raise RuntimeError("no more")

    monkeypatch.setattr(Journal, "_store", die)
    journal.record(report(0))
    assert eventually(lambda: not journal._thread.is_alive())
    assert not journal.record(report(1))
    health = journal.close()
    assert (health.failing, health.lost, health.waiting) == (True, 2, 0)
    assert "no more" in health.error


KILLED = """
import os, sys, time
sys.path.insert(0, {folder!r})
from pathlib import Path
from test_journal import INFO, Journal, report
journal = Journal.open(Path({path!r}), INFO)
for number in range(50):
    journal.record(report(number))
while journal.health().written < 50:
    time.sleep(0.01)
os._exit(9)
"""


def test_a_killed_controller_leaves_a_whole_journal(path):
    from pathlib import Path

    script = KILLED.format(folder=str(Path(__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert done.returncode == 9
    with Reader.open(path) as reader:
        assert len(list(reader.scans())) == 50
        assert reader.verify() is None
    written(path, report(0))
    with Reader.open(path) as reader:
        assert reader.latest_run() == 2
        assert reader.verify() is None


# ---------------------------------------------------------------------- not a journal


def test_a_path_that_cannot_be_a_journal(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"journal\.path"):
        Journal.open(tmp_path / "file" / "journal.db", INFO)
    text = tmp_path / "text.db"
    text.write_text("this is no database at all, whatever it is called" * 50)
    with pytest.raises(ConfigError, match="not a database"):
        Journal.open(text, INFO)


def test_somebody_elses_database_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another database"):
        Journal.open(path, INFO)
    with pytest.raises(ConfigError, match="not a journal"):
        Reader.open(path)
    assert path.read_bytes() == before


def test_a_journal_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        Reader.open(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


# ---------------------------------------------------------------------- replay


class Counter:
    """A model with a memory: it answers the box's low plus a drift that grows every scan."""

    def __init__(self, drift=0.1):
        self.drift = drift

    def initial_memory(self):
        return 0.0

    def advise(self, request, memory):
        memory = memory + self.drift
        if request.freeze:
            return REFUSAL, memory
        return plain_advice(vector(request.low + memory)), memory


def recorded(path, model, count=5):
    """A run in which `model` was asked, refused, was late, failed and was not asked."""
    memory = model.initial_memory()
    items = []
    for number in range(count):
        request = replace(REQUEST, freeze=number == 1)
        if number == 3:
            items.append(report(number, NotAsked(reason="x")))
            continue
        if number == 4:
            items.append(report(number, Faulted(detail="x", request=request, elapsed_s=0.0)))
            continue
        answer, memory = model.advise(request, memory)
        kind = {
            1: Refused(refusal=answer, request=request, elapsed_s=0.0),
            2: Late(request=request, elapsed_s=1.0, answer=answer),
        }.get(number) or Advised(advice=answer, request=request, elapsed_s=0.0)
        items.append(report(number, kind))
    written(path, *items)


def test_a_replay_gives_every_bit_again(path):
    recorded(path, Counter(), count=9)
    with Reader.open(path) as reader:
        assert list(replay(reader, Counter())) == []


def test_a_replay_with_another_model_tells_every_difference(path):
    recorded(path, Counter())
    with Reader.open(path) as reader:
        found = list(replay(reader, Counter(0.1 + 1e-14)))
    assert {(mismatch.scan_id, mismatch.key) for mismatch in found} >= {(0, "move"), (2, "move")}


def test_a_replay_ends_where_a_row_is_missing(path):
    recorded(path, Counter(), count=9)
    edited(path, "DELETE FROM scan WHERE scan_id = 5")
    with Reader.open(path) as reader:
        (only,) = replay(reader, Counter())
    assert (only.scan_id, only.key) == (6, "row")


class Drifting(Counter):
    """Answers with the foreign move where there is one, and remembers every call."""

    def advise(self, request, memory):
        answer, memory = super().advise(request, memory)
        if request.policy_move is None:
            return answer, memory
        return plain_advice(vector(request.policy_move + memory)), memory


def recorded_foreign(path, model):
    """A foreign policy that moves, is late, fails and gives NaN."""
    memory = model.initial_memory()
    asked = REQUEST.sample
    moves = PolicyMove(asked=asked, move=vector([0.1 + 0.2, 50.0]), elapsed_s=0.01)
    answers = [
        moves,
        PolicyLate(asked=asked, detail="no answer", elapsed_s=0.02),
        PolicyFailed(asked=asked, detail="ended with exit code 3"),
        PolicyFailed(asked=None, detail="not asked"),
        replace(moves, move=vector([np.nan, np.inf])),
        moves,
    ]
    items = []
    for number, given in enumerate(answers):
        request = replace(REQUEST, policy_move=move_of(given))
        answer, memory = model.advise(request, memory)
        proposal = judged(Advised(advice=answer, request=request, elapsed_s=0.0), given)
        items.append(report(number, proposal, policy=given))
    written(path, *items)


def test_a_run_with_a_foreign_policy_replays_without_it(path):
    recorded_foreign(path, Drifting())
    with Reader.open(path) as reader:
        scans = list(reader.scans())
        assert list(replay(reader, Drifting())) == []
        found = list(replay(reader, Drifting(drift=0.2)))
    assert [scan["policy"]["answer"] for scan in scans] == [
        "move", "late", "failed", "failed", "move", "move",
    ]  # fmt: skip
    assert [scan["proposal"] for scan in scans[:4]] == ["advised", "late", "faulted", "faulted"]
    assert scans[0]["policy"]["asked"]["cv"] == [0.1 + 0.2, 50.0]
    assert scans[3]["policy"]["asked"] is None
    assert scans[2]["proposal_detail"] == "ended with exit code 3"
    assert request_of(scans[0]).policy_move.tobytes() == vector([0.1 + 0.2, 50.0]).tobytes()
    assert request_of(scans[1]).policy_move is None
    assert request_of(scans[4]).policy_move.tobytes() == vector([np.nan, np.inf]).tobytes()
    assert {item.scan_id for item in found} == {0, 1, 2, 3, 5}, (
        "NaN and infinity stay what they are"
    )


def test_a_journal_from_before_foreign_policies_replays(path):
    recorded(path, Counter())
    edited(path, "UPDATE scan SET document = replace(document, ',\"policy_move\":null}', '}')")
    edited(path, "UPDATE scan SET document = replace(document, '\"policy\":null,', '')")
    with Reader.open(path) as reader:
        scan = reader.scan(0)
        assert "policy" not in scan
        assert "policy_move" not in scan["request"]
        assert list(replay(reader, Counter())) == []


def test_a_scan_from_before_novelty_was_recorded_replays(path):
    recorded(path, Counter())
    edited(path, "UPDATE scan SET document = json_remove(document, '$.novelty', '$.outside_bands')")
    with Reader.open(path) as reader:
        assert "novelty" not in reader.scan(0)
        assert list(replay(reader, Counter())) == []


def test_a_scan_from_before_the_time_to_no_return_was_recorded_replays(path):
    recorded(path, Counter())
    with Reader.open(path) as reader:
        assert "time_to_no_return_s" in reader.scan(0)
    edited(path, "UPDATE scan SET document = json_remove(document, '$.time_to_no_return_s')")
    with Reader.open(path) as reader:
        assert list(replay(reader, Counter())) == []


def test_novelty_is_recorded_and_replayed_to_the_bit(path):
    class Novel(Counter):
        def advise(self, request, memory):
            answer, memory = super().advise(request, memory)
            if isinstance(answer, Refusal):
                return answer, memory
            return replace(answer, novelty=memory / 3.0, outside_bands=0.25), memory

    recorded(path, Novel())
    with Reader.open(path) as reader:
        assert reader.scan(0)["novelty"] == 0.1 / 3.0
        assert reader.scan(0)["outside_bands"] == 0.25
        assert list(replay(reader, Novel())) == []
        assert {found.key for found in replay(reader, Counter())} == {"novelty", "outside_bands"}
