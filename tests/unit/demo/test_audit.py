"""What counts as a certified write, and the other figures from the journal."""

import math

import numpy as np
import pytest

from controller.demo.audit import condense

SPANS = (2.5, 50.0)


def test_a_certified_move_written_as_it_was_certified_counts_as_such(row):
    found = condense([row()], SPANS)
    assert (found.writes, found.uncertified_writes) == (1, 0)
    assert found.worst_gap == 1e-7
    assert found.worst_ratio == pytest.approx(1e-2)


@pytest.mark.parametrize(
    "changes",
    [
        {"certified": False},
        {"certified": None, "gap": None, "tolerance": None},
        {"gap": 1.1e-5},
        {"gap": None},
        {"gap": "inf"},
        {"target": [1.8, math.nextafter(340.0, 341.0)]},
        {"written": False, "outcome": "partial", "certified": False},
    ],
)
def test_a_write_without_a_valid_certificate_is_found(row, changes):
    assert condense([row(), row(**changes)], SPANS).uncertified_writes == 1


def test_an_mv_that_was_not_written_need_not_equal_the_move(row):
    assert condense([row(target=[1.8, None])], SPANS).uncertified_writes == 0


def test_scans_that_wrote_nothing_are_not_writes(row):
    rows = [row(written=False, outcome="not_written", certified=False, target=None)]
    found = condense(rows, SPANS)
    assert (found.scans, found.writes, found.uncertified_writes) == (1, 0, 0)
    assert found.worst_gap is found.worst_ratio is found.entry_bump is None


def test_the_entry_bump_is_the_largest_share_of_a_span_in_the_first_write(row):
    rows = [row(target=[1.81, 340.1], move=[1.81, 340.1]), row(target=[2.5, 350.0])]
    assert condense(rows, SPANS).entry_bump == pytest.approx(0.01 / 2.5)


def test_counts_and_quantiles(row):
    rows = [row(duration_s=0.001 * n, overrun=n == 100, skipped=n == 100) for n in range(101)]
    found = condense(rows, SPANS)
    assert (found.scans, found.overruns, found.skipped) == (101, 1, 1)
    assert found.scan_p50_s == pytest.approx(0.05)
    assert found.scan_p99_s == pytest.approx(0.099)


def test_the_series_have_nan_where_a_scan_had_no_advice(row):
    found = condense([row(policy_move=None, move=None, gap=None, written=False), row()], SPANS)
    assert np.isnan(found.policy[0]).all()
    assert found.move.tolist()[1] == [1.8, 340.0]
    assert np.isnan(found.gap_ratio[0])


def test_no_scans_at_all():
    found = condense([], SPANS)
    assert found.scans == found.writes == 0
    assert found.move.shape == (0, 2)
