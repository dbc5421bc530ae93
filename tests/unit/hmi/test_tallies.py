"""Scans in AUTO and past their deadline, counted in a journal of any length."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from controller.core.state import Mode, ModeState
from controller.hmi import tallies
from controller.hmi.records import runs
from controller.journal.writer import Journal
from tests.unit.controller_core.test_journal import report
from tests.unit.hmi.test_journal_tail import INFO, write

DEADLINE_S = report(0).deadline_s


def scan(number, *, mode=Mode.AUTO, late=False):
    reason = 'a reason with "mode_after":"AUTO" and "overrun":true in it'
    return replace(
        report(number),
        after=ModeState(mode=mode, reason=reason),
        duration_s=DEADLINE_S * (1.5 if late else 0.5),
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


def counted(path, known):
    return [(run["auto_scans"], run["overruns"]) for run in runs(path, known)]


def test_each_run_has_its_own_count_and_growth_is_counted_on(path):
    known = {}
    write(path, scan(0), scan(1, mode=Mode.SHED, late=True), scan(2, late=True))
    assert counted(path, known) == [(2, 2)]
    write(path, scan(0, mode=Mode.MANUAL))
    assert counted(path, known) == [(0, 0), (2, 2)]
    assert counted(path, known) == [(0, 0), (2, 2)]


def test_what_takes_long_is_counted_in_pieces(path, monkeypatch):
    monkeypatch.setattr(tallies, "BUDGET_S", 0.0)
    monkeypatch.setattr(tallies, "CHUNK", 2)
    known = {}
    write(path, *(scan(number, late=number == 3) for number in range(5)))
    assert counted(path, known) == [(None, None)]
    assert counted(path, known) == [(None, None)]
    assert counted(path, known) == [(5, 1)]


def test_another_journal_with_the_same_numbers_is_counted_anew(path, tmp_path):
    known = {}
    write(path, scan(0), scan(1))
    assert counted(path, known) == [(2, 0)]
    path.rename(tmp_path / "old.db")
    journal = Journal.open(path, replace(INFO, started=datetime.now(UTC)))
    for item in (scan(0, mode=Mode.SHED), scan(1, mode=Mode.SHED), scan(2, late=True)):
        journal.record(item)
    assert journal.close().lost == 0
    assert counted(path, known) == [(1, 1)]
