"""The journal's end, whatever becomes of the journal."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from controller.core.state import Mode, ModeState
from controller.core.types import Faulted
from controller.hmi.journal_tail import JournalTail
from controller.hmi.records import NoRecordError, page, runs, scan
from controller.hmi.view import view
from controller.journal.writer import Event, Journal, RunInfo
from tests.unit.controller_core.test_journal import REQUEST, report

FOLDER = "/srv/site7"
INFO = RunInfo(host="h", versions={}, bundle="b", manifest_sha256="0" * 64, config={})


def event(kind, **detail):
    return Event(kind=kind, utc=datetime.now(UTC), detail=detail)


def write(path, *items):
    journal = Journal.open(path, INFO)
    for item in items:
        journal.record(item)
    assert journal.close().lost == 0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "journal.db"


@pytest.fixture
def tail(path):
    made = JournalTail(path)
    yield made
    made.close()


async def test_a_journal_that_comes_later(path, tail):
    assert not await tail.poll()
    assert tail.tail.problem == "no journal yet"  # without the path: everybody may read it
    write(path, report(0), report(1))
    assert await tail.poll()
    assert (tail.tail.scan["scan_id"], tail.tail.problem) == (1, "")
    assert not await tail.poll()
    assert [document["scan_id"] for document in await tail.past()] == [0, 1]


async def test_an_open_journal_is_followed_and_a_new_run_too(path, tail):
    journal = Journal.open(path, INFO)
    journal.record(report(0))
    journal.record(event("mode", before="AUTO", after="SHED", reason="lease"))
    journal.record(event("stop", reason="controller stopped"))
    assert journal.close().lost == 0
    await tail.poll()
    assert tail.tail.mode["after"] == "SHED"
    assert tail.tail.stop["reason"] == "controller stopped"
    journal = Journal.open(path, INFO)
    journal.record(event("start", url="opc.tcp://x"))
    assert journal.close().lost == 0
    await tail.poll()
    assert (tail.tail.mode, tail.tail.stop) == (None, None)
    assert tail.tail.scan["run"] == 1
    write(path, report(0))
    await tail.poll()
    assert (tail.tail.scan["run"], tail.tail.scan["scan_id"]) == (3, 0)


async def test_another_file_in_its_place(path, tail):
    write(path, report(0), report(1), report(2))
    await tail.poll()
    path.rename(path.with_name("old.db"))
    assert await tail.poll()
    assert "no journal yet" in tail.tail.problem
    assert tail.tail.scan["scan_id"] == 2
    write(path, report(0))
    assert await tail.poll()
    assert (tail.tail.scan["scan_id"], tail.tail.problem) == (0, "")


async def test_a_file_that_is_no_journal(path, tail):
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    assert await tail.poll()
    assert "not a database" in tail.tail.problem
    assert await tail.past() == []
    with pytest.raises(NoRecordError, match="cannot be read") as caught:
        runs(path, {})
    assert str(path.parent) not in tail.tail.problem + str(caught.value)


def test_runs_and_scans(path):
    write(path, report(0), report(1), report(2), event("stop", reason="done"))
    write(path, report(0))
    counted = {}
    second, first = runs(path, counted)
    assert (first["id"], first["scans"], first["auto_scans"]) == (1, 3, 3)
    assert first["reason"] == "done"
    assert (second["id"], second["ended"]) == (2, None)
    assert first["overruns"] == 0
    assert {run: (tally.last, tally.auto) for (run, _), tally in counted.items()} == {
        1: (2, 3),
        2: (0, 1),
    }
    found = page(path, 1, before=None, limit=2)
    assert [row["scan"] for row in found["scans"]] == [2, 1]
    assert found["next"] == 1
    rest = page(path, 1, before=1, limit=2)
    assert ([row["scan"] for row in rest["scans"]], rest["next"]) == ([0], None)
    assert rest["events"][-1]["kind"] == "stop"
    assert scan(path, 1, 2)["scan_id"] == 2
    for wrong in (lambda: scan(path, 1, 3), lambda: page(path, 9, before=None, limit=2)):
        with pytest.raises(NoRecordError, match="there is no"):
            wrong()


def test_a_run_that_died_has_no_stop(path):
    write(path, report(0))
    write(path)
    second, first = runs(path, {})
    assert first["reason"] == "ended without a word"
    assert first["ended"] is not None
    assert second["scans"] == 0


async def test_folders_in_a_journal_are_not_told(path, tail, unit, seen):
    why = f"FileNotFoundError: '{FOLDER}/policies/scaler.pkl'"
    shed = ModeState(mode=Mode.SHED, reason=f"open:{FOLDER}/a")
    write(
        path,
        report(0, Faulted(detail=why, request=REQUEST, elapsed_s=0.0), after=shed),
        event("mode", after="SHED", reason=why),
        event("worker", told=[{"file": f"file://{FOLDER}/policies/scaler.pkl"}, 3.0]),
        event("stop", reason=why, url="opc.tcp://host:4840/site7/a"),
    )
    await tail.poll()
    shown = view(unit, seen(tail=tail.tail))
    assert "'scaler.pkl'" in shown["certificate"]["text"]
    page_of_run = page(path, 1, before=None, limit=2)
    one = scan(path, 1, 0)
    assert (one["proposal_detail"], one["reason"]) == (
        "FileNotFoundError: 'scaler.pkl'",
        "open:a",
    )
    told = json.dumps([asdict(tail.tail), shown, page_of_run, one, runs(path, {})])
    assert FOLDER not in told
    assert "file:scaler.pkl" in told
    assert "opc.tcp://host:4840/site7/a" in told
